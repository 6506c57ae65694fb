"""Words of the verbs of workers."""

from __future__ import annotations

from dataclasses import dataclass

from backout.commands.options.base import Options, word


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Worker(Options):
    """Drive runs that were handed over, until it is stopped.

    It takes what `deploy --detach` and CI hand over to its zone, and goes on with
    runs whose driver gives no sign of life. Beside that it watches the targets of
    its zone, as `watch` does, one of all workers at a time, and looks at the checks
    that are to be seen from there (`from`). Stopped, it ends what it has begun,
    or hands it over to another one.

    Example: invoke worker --zone eu --width 4

    Exit codes: 0 stopped; 2 a mistake in the words or files; 3 there is no ledger
    of the team, or it cannot be listened at.
    """

    name = "worker"
    room = "backout.commands.worker:Working.worker"
    zone: str | None = word("Its zone. Default: what backout.yaml says, else `default`.")
    width: int = word("So many runs side by side.", 4)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Workers(Options):
    """List zones, workers, what they drive, and what is stalled.

    Example: invoke workers

    Exit codes: 0 listed; 3 there is no ledger of the team.
    """

    name = "workers"
    writes = False
    room = "backout.commands.zones:Looking.workers"
