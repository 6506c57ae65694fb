"""What a run must be in agreement with before its first change: a saved plan, other people.

It is asked while the hosts are held and their secrets and undos are known, so that what is agreed
to is what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from backout.commands.asking import Asking, over
from backout.commands.pictured import by_reference, picture_of
from backout.commands.saved_plan import SavedPlan, anew
from backout.errors import Refused
from backout.model import RunRow, Target
from backout.model.people import Request
from backout.project.project import Workplace
from backout.runs.parts import Parts
from backout.runs.picture import Picture
from backout.runs.plan import Plan

AGAIN = "the same command again, which asks anew"
APPROVED = "approved"
"""The record of whose yes a run has used."""
PLANNED = "planned"
"""The record of the saved plan that a run is held to."""


class Consent:
    """Asked by the engine before the first change of one run."""

    def __init__(self, workplace: Workplace, row: RunRow) -> None:
        self.workplace = workplace
        self.row = row

    def hold_to(self, saved: SavedPlan, target: Target) -> None:
        """Durably: this run does what that plan says, or nothing."""
        parts = by_reference(self.workplace, target, saved.picture).parts
        known = {"file": saved.file, "digest": saved.picture.digest, "anew": anew(saved)}
        record = {**known, "parts": parts}
        self.workplace.journal_of(target).note(self.row.id, PLANNED, record)

    def __call__(self, plan: Plan, parts: Parts) -> None:
        """Raises Refused, saying what has moved."""
        planned, needed = self._noted(PLANNED), plan.target.protection.approvals
        if planned is None and not needed:
            return
        now = picture_of(self.workplace, plan, parts)
        if planned is not None:
            self._hold(planned, now)
        if needed:
            self._agreed(plan, now)

    def _hold(self, planned: Mapping[str, Any], now: Picture) -> None:
        moved = Picture(planned["parts"]).moved(now)
        if moved:
            again = f": {planned['anew']}" if "anew" in planned else ""  # of an older Backout
            raise Refused(
                "\n".join(
                    (f"the plan in {planned['file']} is not what would be done now:", *moved)
                ),
                next=f"look, and save it anew{again}",
            )

    def _agreed(self, plan: Plan, now: Picture) -> None:
        """Others have said yes to exactly this, and this run is the one that uses it."""
        noted = self._noted(APPROVED)
        asking = Asking(self.workplace, plan.target)
        if noted is not None:
            request = asking.of(noted["request"])
            if request and request.digest == now.digest:
                return
        else:
            request = asking.granted(now.digest, self.row.id)
        at = asking.now()
        if request is None or request.digest != now.digest:
            raise _not_this(request or asking.newest(), now, plan, at)
        if not asking.store.use(request, self.row.id, at):
            raise over(asking.of(request.id), plan.target.name, at)
        by = [each.by.to_data() for each in request.yes_for(asking.me)]
        record = {"request": request.id, "digest": now.digest, "by": by}
        self.workplace.journal_of(plan.target).note(self.row.id, APPROVED, record)

    def _noted(self, kind: str) -> Mapping[str, Any] | None:
        records = self.workplace.journal.recall(self.row.id)
        return next((each.body for each in reversed(records) if each.kind == kind), None)


def _not_this(request: Request | None, now: Picture, plan: Plan, at: datetime) -> Refused:
    """Why nobody's yes is for what would be done now."""
    if request is None or request.digest == now.digest:
        return over(request, plan.target.name, at)
    moved = Picture(request.body["parts"]).moved(now)
    words = ("what would be done now is not what others have said yes to:", *moved)
    return Refused("\n".join(words), where=plan.target.name, next=AGAIN)
