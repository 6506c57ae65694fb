"""What a run must be in agreement with before its first change: a saved plan.

It is asked while the hosts are held and their secrets and undos are known, so that what is agreed
to is what happens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backout.commands.saved_plan import SavedPlan
from backout.errors import Refused
from backout.model import RunRow, Target
from backout.project.project import Workplace
from backout.runs.picture import Picture, taken
from backout.runs.plan import Plan
from backout.runs.worker import Parts

PLANNED = "planned"
"""The record of the saved plan that a run is held to."""


def picture_of(workplace: Workplace, plan: Plan, parts: Parts) -> Picture:
    """The plan's picture, with secrets by reference. Raises Refused and Unreachable."""
    return by_reference(workplace, plan.target, taken(plan, parts))


def by_reference(workplace: Workplace, target: Target, picture: Picture) -> Picture:
    return Picture(json.loads(workplace.journal_of(target).text_of(picture.parts)))


class Consent:
    """Asked by the engine before the first change of one run."""

    def __init__(self, workplace: Workplace, row: RunRow) -> None:
        self.workplace = workplace
        self.row = row

    def hold_to(self, saved: SavedPlan, target: Target) -> None:
        """Durably: this run does what that plan says, or nothing."""
        parts = by_reference(self.workplace, target, saved.picture).parts
        record = {"file": saved.file, "digest": saved.picture.digest, "parts": parts}
        self.workplace.journal_of(target).note(self.row.id, PLANNED, record)

    def __call__(self, plan: Plan, parts: Parts) -> None:
        """Raises Refused, saying what has moved."""
        planned = self._noted(PLANNED)
        if planned is None:
            return
        moved = Picture(planned["parts"]).moved(picture_of(self.workplace, plan, parts))
        if moved:
            raise Refused(
                "\n".join(
                    (f"the plan in {planned['file']} is not what would be done now:", *moved)
                ),
                next=f"look, and save it anew: {plan_command(plan, planned['file'])}",
            )

    def _noted(self, kind: str) -> Mapping[str, Any] | None:
        records = self.workplace.journal.recall(self.row.id)
        return next((each.body for each in reversed(records) if each.kind == kind), None)


def plan_command(plan: Plan, file: str) -> str:
    book = "" if plan.runbook.name == "deploy" else f" --runbook {plan.runbook.name}"
    return f"invoke plan --target {plan.target.name}{book} --out {file}"
