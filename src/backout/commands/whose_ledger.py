"""Whether what the ledger has of a target is this project's.

A ledger knows targets by their names alone. Where two projects share one, and each has a `prod`, a
rollback in the one would take back what the other has deployed.
"""

from __future__ import annotations

from backout.commands.shipment import none_is_here
from backout.errors import Refused
from backout.model import Target
from backout.ports import Operator
from backout.project.project import Workplace

LOOK_BACK = 50
"""So many releases are looked through: a working copy that lacks the newest has an older one."""

NEXT = (
    "git fetch, where this working copy is behind; a ledger of its own, where this is another"
    " project; the same command at a terminal, which asks, where its history was rewritten"
)


def strange(workplace: Workplace, target: Target) -> str:
    """In words, when no commit of the target's last releases is in this working copy; empty where
    one is, or where that cannot be told. The sample is made here, and anew where it is gone."""
    if target.sample:
        return ""
    rows = workplace.journal.releases(target.name, LOOK_BACK)
    commits = tuple(dict.fromkeys(row.release.commit for row in rows if row.release.commit))
    here = workplace.machines(target).reach("")
    if not commits or not none_is_here(target, here, commits):
        return ""
    return (
        f"the {target.name} of this ledger looks like another project's: no commit of its releases"
        f" is in this working copy (the newest: {rows[0].release}, run {rows[0].run})"
    )


def refuse(workplace: Workplace, target: Target, operator: Operator) -> None:
    """Raises Refused where it looks like another project's, and nobody at a terminal says that it
    is this one's; `--yes` does not, for it was not asked that."""
    if not (words := strange(workplace, target)):
        return
    question = f"{words}. If it is this one's, with a history rewritten, type {target.name}:"
    if operator.present and operator.ask(question) == target.name:
        return
    raise Refused(words, where=target.name, state="nothing was changed", next=NEXT)
