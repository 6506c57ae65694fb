"""What is said when a run has ended: advice, and what to type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backout.checks import judging
from backout.errors import Interrupted
from backout.model import Runbook, RunRow, Verdict
from backout.runs.ended import Ended
from backout.runs.saga import Saga
from backout.runs.wording import leave_it


def advice_of(runbook: Runbook, ended: Ended) -> str:
    """What the runbook's `diagnose` says of the check that failed, or of what is red still."""
    if ended.advice or ended.exit_code != 5:
        return ended.advice
    red: Sequence[Any] = [f for f in ended.findings if f.verdict is not Verdict.PASS]
    said = (judging.diagnose(runbook.diagnose, finding) for finding in red)
    return next((words for words in said if words), "") or ""


def following(row: RunRow, target: str, ended: Ended, again: str = "") -> str:
    """What to type after a run that has ended so."""
    if ended.exit_code == 0:
        return f"invoke status --target {target}"
    if ended.exit_code == 4:
        taken = f"\nto take your change up again, which is reverted:\n{again}" if again else ""
        return f"invoke show {row.id}{taken}"
    forward = f"; or {leave_it(target)}" if row.verb == "rollback" else ""
    return (
        f"put right what is named above, then invoke resume --target {target}{forward}"
        f" (the whole story: invoke show {row.id})"
    )


def as_it_stands(error: Interrupted, saga: Saga) -> Interrupted:
    """The same, with what had begun and has no end on record."""
    begun = saga.under_way()
    words = f"{error.state}; no end on record: {', '.join(begun)}" if begun else error.state
    return Interrupted(error.what, where=error.where, state=words, next=error.next)
