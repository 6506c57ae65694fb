"""`update`: a release's code onto a machine, by the strategy that the target's source names."""

from __future__ import annotations

from typing import ClassVar

from backout.errors import Refused
from backout.model import NoOptions, Options, Result, Undo
from backout.ports import StepContext, StepKind
from backout.registry import Table
from backout.steps.base import Kind
from backout.steps.git import source

STRATEGIES = Table(
    {
        "checkout": "backout.steps.checkout:Checkout",
        "releases": "backout.steps.releases:Releases",
        "image": "backout.steps.image:Image",
        "heroku": "backout.steps.heroku:Heroku",
    }
)
"""A strategy is a kind of step that runbooks name by `update`."""


class Update(Kind):
    """What to do, and the way back, are the strategy's."""

    Options: ClassVar[type[Options]] = NoOptions
    undoes: ClassVar[bool] = True

    def describe(self, work: StepContext) -> str:
        return strategy(work).describe(work)

    def before(self, work: StepContext) -> Undo:
        return strategy(work).before(work)

    def act(self, work: StepContext) -> Result:
        return strategy(work).act(work)

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        return strategy(work).recall(work, undo)

    def unready(self, work: StepContext, undo: Undo) -> str:
        return strategy(work).unready(work, undo)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        return strategy(work).undo(work, undo)


def strategy(work: StepContext) -> StepKind:
    """The strategy of the target's source. Raises Refused."""
    where = source(work)
    if where.strategy not in STRATEGIES:
        raise Refused(
            f"no strategy {where.strategy!r}",
            next=f"source.strategy is one of: {', '.join(STRATEGIES)}",
        )
    kind: StepKind = STRATEGIES[where.strategy]()
    return kind
