"""Whether a plan would do anything at all. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backout.errors import Mistakes
from backout.language import expressions, scope, templates
from backout.model import Step
from backout.runs.draining import Kinds
from backout.runs.plan import Action, Plan, moves
from backout.runs.saga import Saga
from backout.runs.wording import UNWANTED


def refuse_idle(plan: Plan, kinds: Kinds) -> None:
    """Raises Mistakes when no step applies to the target, or none to the hosts that were chosen:
    nothing would be done, and it would be called deployed all the same. Where the runbook changes
    hosts, a step that waits, or looks, is no deploy of those that were chosen."""
    applying = [action for action in _acting(plan) if _may_apply(plan, action)]
    runbook, target = plan.runbook, plan.target.name
    there = [action.step for action in applying if action.host]
    if any(step.on and moves(step, kinds.get(step.kind)) for step in _steps(plan)):
        there = [step for step in there if moves(step, kinds.get(step.kind))]
    if plan.selected and not there:
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


def idle(plan: Plan, kinds: Kinds, saga: Saga) -> str:
    """Why a run that is done has deployed nothing: there was something to do, and each `when` of
    it, told only in the run, said no. Empty where anything was done, or was so already."""
    doing = [a.key for a in _acting(plan) if a.host or _changes(a.step, kinds)]
    results = [result for key in doing if (result := saga.entry(key).result)]
    if results and all(result.reason == UNWANTED for result in results):
        return "nothing was done: `when` of every step said no"
    return ""


def _changes(step: Step, kinds: Kinds) -> bool:
    kind = kinds.get(step.kind)
    return not step.readonly and (kind is None or kind.changes)


def _steps(plan: Plan) -> tuple[Step, ...]:
    return (*plan.runbook.steps, *plan.runbook.settle)


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
