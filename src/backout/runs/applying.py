"""Whether a plan would do anything at all. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backout.errors import Mistakes
from backout.language import expressions, scope, templates
from backout.runs.plan import Action, Plan


def refuse_idle(plan: Plan) -> None:
    """Raises Mistakes when no step applies to the target, or none to the hosts that were chosen:
    nothing would be done, and it would be called deployed all the same."""
    applying = [action for action in _acting(plan) if _may_apply(plan, action)]
    runbook, target = plan.runbook, plan.target.name
    if plan.selected and not any(action.host for action in applying):
        raise Mistakes(
            f"--hosts {','.join(plan.hosts)}: no step of runbook {runbook.name} is for them",
            where=runbook.file,
            next="choose hosts that its steps are `on`, or leave --hosts out",
        )
    if not applying:
        raise Mistakes(
            f"nothing in runbook {runbook.name} applies to {target}",
            where=runbook.file,
            next=f"mend `on` and `when` of its steps, then invoke plan --target {target}",
        )


def _acting(plan: Plan) -> Iterator[Action]:
    """Every action but the gates, which look at what others did, and what only drains."""
    each = (a for a in (*plan.actions, *plan.settling) if a.step not in plan.drain)
    yield from (a for a in each if a.phase != "settle" or a.step.kind != "verify")


def _may_apply(plan: Plan, action: Action) -> bool:
    """False only when it is known now that its `when` does not hold."""
    if not action.step.when:
        return True
    try:
        return expressions.holds(action.step.when, _names(plan, action.host))
    except (expressions.CannotTell, Mistakes):
        return True


def _names(plan: Plan, host: str) -> Mapping[str, Any]:
    """What is known before the run; what it saves is not."""
    return {
        **scope.on(plan.target, plan.target.hosts[host] if host else None),
        "params": templates.without_references(dict(plan.params)),
        "run": {"id": plan.run, "user": plan.user, "started": plan.started},
        "release": scope.release_names(plan.release, plan.previous),
    }
