"""Words of the verbs by which people agree with each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from backout.commands.options.base import Confirmed, word


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Approve(Confirmed):
    """Say yes, or no, to what somebody else wants to do.

    Shows the plan that was asked about: commits, files, hosts, steps, and what
    cannot be undone. What is agreed to is exactly that plan, once.

    Example: invoke approve 20261122-073403-4f1a

    Exit codes: 0 answered; 2 nothing was asked under that name; 3 refused: it is
    your own, it has expired, it was answered or used, or you did not confirm.
    """

    name = "approve"
    room = "backout.commands.approve:Approving.approve"
    run: str = field(metadata={"help": "The run that asks, as `status` shows it."})
    refuse: str | None = word("Say no, and this is why.")
