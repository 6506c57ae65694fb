"""What a person is asked before the first change of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from backout.errors import Refused
from backout.model import Release
from backout.ports import Operator
from backout.runs.plan import Plan
from backout.runs.wording import items_of, no_way_back


def asked(
    plan: Plan, release: Release, operator: Operator, warn: Callable[[Iterable[str]], None]
) -> str:
    """The question that was answered with yes; nothing where the plan asks none. `release` is the
    one that it makes. Raises Refused for a no."""
    warn(no_way_back(plan.irreversible))
    if not (plan.target.protected or plan.irreversible):
        return ""
    warn(items_of(plan.params))
    typed = plan.target.name if plan.target.protected else ""
    now = f"release {plan.previous}" if plan.previous else "no known release"
    where = f"{plan.target.name} ({', '.join(plan.hosts) or 'this machine'}; now: {now})"
    question = f"{plan.verb} release {release} to {where}?"
    if not operator.confirm(question, typed=typed):
        raise Refused("not confirmed", next=f"invoke plan --target {plan.target.name}")
    return question
