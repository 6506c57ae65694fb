"""Words of the verbs by which people agree with each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.commands.options.base import TARGET, Aimed, Confirmed, word


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Approve(Confirmed):
    """Say yes, or no, to what somebody else wants to do.

    Shows the plan that was asked about: commits, files, hosts, steps, and what
    cannot be undone. What is agreed to is exactly that plan, once. Until a run
    has used it a yes is taken back with --refuse.

    Example: invoke approve 20261122-073403-4f1a

    Exit codes: 0 answered; 2 nothing was asked under that name; 3 refused: it is
    your own, it has expired, it was answered or used, or you did not confirm.
    """

    name = "approve"
    room = "backout.commands.approve:Approving.approve"
    run: str = field(metadata={"help": "The run that asks, as `status` shows it."})
    refuse: str | None = word("Say no, and this is why.")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Follow(Aimed):
    """Show a run live, as the terminal of its owner does.

    Without a run the open one of --target, from its beginning. Ctrl-C asks
    whether to leave it running or to stop it; a stop backs out, as Ctrl-C at
    its own terminal does, and is on record with your name. Where there is no
    terminal to ask on it is left running.

    Example: invoke follow --target prod

    Exit codes: as the run's own; 8 its owner is gone, or you left it running;
    2 there is no such run; 3 the target has no open run.
    """

    name = "follow"
    writes = False
    room = "backout.commands.follow:Following.follow"
    spared = {"run": "target"}  # noqa: RUF012 - of the class, and nobody changes it
    run: str | None = field(metadata={"help": "The run, as `status` shows it. Or --target."})


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Hold(Confirmed):
    """Answer a run that is held: again, done or back-out.

    `again` tries the failed step once more; `done` says that a person has done it,
    which its check must confirm; `back-out` takes the whole run back. An answer is
    for one step on one host. Without --answer it shows what is asked. Where the
    run's process is gone, this one goes on with the run.

    Example: invoke hold --target prod --host web1 --answer again

    Exit codes: 0 answered, or shown; 2 which step is not clear; 3 nothing is held,
    or it was answered before; 8 more is asked; where it goes on with the run,
    those of deploy.
    """

    name = "hold"
    room = "backout.commands.hold:Answering.hold"
    spared = {"run": "target"}  # noqa: RUF012 - of the class, and nobody changes it
    run: str | None = field(metadata={"help": "The run, as `status` shows it. Or: --target."})
    target: str | None = word(TARGET)
    answer: str | None = word("again, done or back-out.")
    host: str | None = word("The host on which the step failed, where there are several.")
    step: str | None = word("The step that failed, where there are several.")
