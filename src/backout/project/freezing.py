"""A plan as the journal keeps it, and as it is again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backout.adapters.redactor import redact_data
from backout.config import loading
from backout.model import Release, RunRow, Target
from backout.runs.plan import Plan

if TYPE_CHECKING:
    pass

from backout.project.project import TABLES, Workplace, revealing


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
    """The plan of a run again, with the vault of its target in force."""
    from backout.runs.plan import build

    owner = _owner(loading.thaw(row.plan, TABLES)[0], row)
    frozen = redact_data(row.plan, revealing(workplace.vault(owner)))
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


def _owner(target: Target, row: RunRow) -> Target:
    """The target of a run: one that had another name when the run began has the run's."""
    return target if target.name == row.target else target.renamed(row.target)


def _release(release: Release) -> dict[str, Any]:
    return {"number": release.number, "commit": release.commit}
