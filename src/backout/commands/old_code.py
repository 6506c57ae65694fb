"""The code before a step that cannot be undone, beside what that step left: when a rehearsal saw it
healthy there, a rollback of just that change may leave the step as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backout.adapters.storage.journal import RunJournal
from backout.commands.rehearsals import CERTIFICATE
from backout.commands.shipment import tree
from backout.model import RunRow, Step, Target, duration
from backout.ports import Transport
from backout.reports.report import Report
from backout.runs.plan import Plan
from backout.runs.saga import entries

KEY = "old_code"
"""Where a rehearsal's line in the history has it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen together: the code of before and after, and the steps between them."""

    old: str
    new: str
    """Git's trees: what a commit holds, whatever its number, its branch or its message."""
    steps: tuple[str, ...]
    """The steps that cannot be undone and that acted, as they are written."""
    params: str
    """What was given of the parameters that they name."""

    def covers(self, other: Seen) -> bool:
        """Whether it speaks of the same code, and of every step of the other."""
        same = (self.old, self.new, self.params) == (other.old, other.new, other.params)
        return bool(self.old and self.new) and same and {*other.steps} <= {*self.steps}


def acted(report: Report, steps: Iterable[Step]) -> tuple[Step, ...]:
    """Those of the steps that did something in a run."""
    done = {row.name for row in report.steps if row.phase == "do" and row.state == "done"}
    return tuple(step for step in steps if step.irreversible and step.name in done)


def seen(
    target: Target,
    here: Transport,
    start: str,
    end: str,
    steps: Iterable[Step],
    params: Mapping[str, Any],
) -> Seen:
    """Two commits and what stood between them; without a tree where one is not known."""
    old, new = (tree(target, here, commit) for commit in (start, end))
    texts = tuple(_plain(step.model_dump(mode="json", exclude_defaults=True)) for step in steps)
    named = {name: value for name, value in params.items() if any(name in text for text in texts)}
    return Seen(old, new, texts, _plain(named))


def proof_of(journal: RunJournal, wanted: Seen, now: datetime) -> str:
    """Where and when a rehearsal saw the old code healthy beside those steps; empty when none
    did."""
    rows = journal.of_verb(CERTIFICATE)
    return next((_words(row, now) for row in rows if _of(row).covers(wanted)), "")


def final_steps(journal: RunJournal, plan: Plan) -> tuple[Step, ...]:
    """The steps of a run that cannot be undone and that may have changed something."""
    known = entries(journal.recall(plan.run))
    return tuple({step.name: step for step in _touched(plan, known)}.values())


def _touched(plan: Plan, known: Mapping[str, Any]) -> Iterator[Step]:
    for action in (*plan.actions, *plan.settling):
        entry = known.get(action.key)
        if entry and entry.stays:
            yield action.step


def _of(row: RunRow) -> Seen:
    found = row.plan.get(KEY)
    if not found:
        return Seen("", "", (), "")
    return Seen(found["old"], found["new"], tuple(found["steps"]), found["params"])


def _words(row: RunRow, now: datetime) -> str:
    age = duration(round((now - row.started.astimezone(UTC)).total_seconds()))
    return f"rehearsed on {row.target}, {age} ago (invoke show {row.id})"


def _plain(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, default=str)
