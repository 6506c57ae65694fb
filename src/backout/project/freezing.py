"""A plan as the journal keeps it, and as it is again."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from backout import __version__
from backout.adapters.redactor import redact_data
from backout.config import loading
from backout.errors import Foreign
from backout.model import Release, RunRow, Target
from backout.project.project import TABLES, Workplace, revealing
from backout.runs.plan import Plan, build


def freeze(plan: Plan) -> dict[str, Any]:
    """The plan as the journal keeps it: a runbook edited after a crash changes nothing."""
    return {
        **loading.dump(plan.target, plan.runbook),
        "params": dict(plan.params),
        "hosts": list(plan.hosts) if plan.selected else [],
        "accept_red": list(plan.accept_red),
        "first": plan.first,
        "added": list(plan.added),
        "release": _release(plan.release),
        "previous": _release(plan.previous) if plan.previous else None,
        "user": plan.user,
        "started": plan.started,
        "hold": plan.hold,
    }


def thaw(workplace: Workplace, row: RunRow) -> Plan:
    """The plan of a run again, with the vault of its target in force. Raises Foreign for a plan of
    another Backout that says what this one does not know."""
    frozen = redact_data(row.plan, revealing(workplace.vault(target_of(row))))
    target, runbook = loading.thaw(frozen, TABLES)
    previous = frozen["previous"]
    return build(
        run=row.id,
        verb=row.verb,
        target=_owner(target, row),
        runbook=runbook,
        params=frozen["params"],
        release=Release(**frozen["release"]),
        previous=Release(**previous) if previous else None,
        hosts=frozen["hosts"],
        accept_red=frozen["accept_red"],
        first=frozen.get("first", previous is None),
        added=frozen.get("added", ()),
        user=frozen["user"],
        started=frozen["started"],
        hold=frozen.get("hold", 0.0),
        kinds=TABLES.steps,
    )


def target_of(row: RunRow) -> Target:
    """The target of a run, with secrets by reference. Raises Foreign as `thaw` does."""
    try:
        target, _ = loading.thaw(row.plan, TABLES)
    except (ValueError, LookupError) as error:
        raise _foreign(row, error) from error
    return _owner(target, row)


def _foreign(row: RunRow, error: Exception) -> Foreign:
    what = f"{error}"
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return Foreign(
        f"run {row.id} was planned by another version of Backout, and this one ({__version__}) does"
        f" not know all that its plan says: {what}",
        where=row.target,
        state="nothing was changed; the run is as it was",
        next=f"pip install --upgrade backout, then: {row.going_on}",
    )


def _owner(target: Target, row: RunRow) -> Target:
    """The target of a run: one that had another name when the run began has the run's."""
    return target if target.name == row.target else target.renamed(row.target)


def _release(release: Release) -> dict[str, Any]:
    return {"number": release.number, "commit": release.commit}
