"""Where a rehearsal fails on purpose: after each step of a runbook, and at its very end. Pure.

Each point is a runbook of its own, cut there: whoever resumes such a run goes the same way, and
ends in the same failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backout.model import Options, Runbook, Step, Target

WHOLE = "the whole run, settled"
OLD_CODE = "everything, and what cannot be undone stays: the old code beside it"


@dataclass(frozen=True, slots=True)
class Point:
    """A place to fail at: what is done before it, and what fails."""

    name: str
    runbook: Runbook
    fails: str
    """The step that fails on purpose."""


def points(runbook: Runbook, shell: type[Options]) -> Iterator[Point]:
    """Every point up to the first step that cannot be undone; `shell` is what a step of the kind
    `run` takes. A step on hosts fails before its batch is settled, so the end is a point, too."""
    for at, step in enumerate(runbook.steps):
        if step.irreversible:
            return
        yield _cut(runbook, at, step.name, shell, step.on)
    if any(step.on for step in runbook.steps[-1:]):
        yield _cut(runbook, len(runbook.steps) - 1, WHOLE, shell, None)


def old_code(runbook: Runbook, shell: type[Options]) -> Point:
    """The very end, past what cannot be undone: the way back leaves that as it is."""
    return _cut(runbook, len(runbook.steps) - 1, OLD_CODE, shell, None)


def no_return(runbook: Runbook) -> tuple[Step, ...]:
    """The steps from the first one on that cannot be undone."""
    at = next((n for n, step in enumerate(runbook.steps) if step.irreversible), None)
    return () if at is None else runbook.steps[at:]


def strict(target: Target) -> Target:
    """The target as a rehearsal takes it: the first host that fails ends the way forward."""
    return target.model_copy(
        update={
            "rollout": target.rollout.model_copy(update={"max_failures": 0}),
            "protected": False,
        }
    )


def _cut(runbook: Runbook, at: int, name: str, shell: Any, on: str | None) -> Point:
    title = f"Fail on purpose, after {name}"
    script = "echo 'this is a rehearsal: it fails on purpose' >&2; exit 1"
    failing = Step(name=title, kind="run", options=shell(script=script), on=on, readonly=True)
    steps = (*runbook.steps[: at + 1], failing)
    return Point(name, runbook.model_copy(update={"steps": steps}), title)
