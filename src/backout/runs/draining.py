"""What takes hosts out of traffic before they are changed, and puts them back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backout.model import Runbook, Step, Target
from backout.ports import StepKind

Kinds = Mapping[str, type[StepKind]]
"""The kinds of step, by name."""


def drain_of(target: Target, kinds: Kinds) -> tuple[Step, ...]:
    """What a rollout that drains does around each batch: two steps, or none."""
    if not target.rollout.drain or "traffic" not in kinds:
        return ()
    model = kinds["traffic"].Options
    out, back = (model.model_validate({"to": to}) for to in ("out", "in"))
    return (
        Step(name="Out of traffic", kind="traffic", options=out, on="all"),
        Step(name="Into traffic", kind="traffic", options=back, on="all"),
    )


def leaving_of(runbook: Runbook, kinds: Kinds) -> Iterator[Step]:
    """The runbook's own steps that take a host out."""
    for step in runbook.steps:
        kind = kinds.get(step.kind)
        if kind and moves_traffic(step) and kind().settles_first(step.options):
            yield step


def moves_traffic(step: Step) -> bool:
    """Whether it acts at the balancers of its host."""
    return getattr(step.options, "moves_traffic", False)
