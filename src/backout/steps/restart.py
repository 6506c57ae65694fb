"""`restart`: the service is another process afterwards, and stays up; how it takes the old one's
place is the service's own `strategy`.
"""

from __future__ import annotations

from functools import cache
from typing import ClassVar

from backout.model import Duration, Options, Result, Span, Undo
from backout.ports import StepContext, StepKind
from backout.registry import Table
from backout.steps.base import Kind

WAYS = Table(
    {
        "replace": "backout.steps.in_place:InPlace",
        "bluegreen": "backout.steps.bluegreen:BlueGreen",
    }
)


class RestartOptions(Options):
    """How long it may take to come up, and how long it must then stay up."""

    within: Span = 60.0
    soak: Duration | None = None


class Restart(Kind):
    """Lives in `settle`, which runs again after the undos: that is its way back."""

    Options: ClassVar[type[Options]] = RestartOptions
    undoes: ClassVar[bool] = True

    def __init__(self) -> None:
        self._way = cache(lambda name: WAYS[name]())

    def _of(self, work: StepContext) -> StepKind:
        """One for all that becomes of a step: it knows who served a moment ago."""
        service = work.target.service_on(work.host)
        way: StepKind = self._way(service.strategy if service else "replace")
        return way

    def describe(self, work: StepContext) -> str:
        return self._of(work).describe(work)

    def ready(self, work: StepContext, *, made: bool) -> None:
        self._of(work).ready(work, made=made)

    def before(self, work: StepContext) -> Undo:
        return self._of(work).before(work)

    def act(self, work: StepContext) -> Result:
        return self._of(work).act(work)

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        return self._of(work).recall(work, undo)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        return self._of(work).undo(work, undo)
