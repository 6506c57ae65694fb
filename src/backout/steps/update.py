"""`update`: a release's code onto a machine, by the strategy that the target's source names."""

from __future__ import annotations

from typing import ClassVar

from backout.errors import Refused
from backout.model import NoOptions, Options, Result, Undo
from backout.ports import StepKind, Work
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

    def describe(self, work: Work) -> str:
        return strategy(work).describe(work)

    def before(self, work: Work) -> Undo:
        return strategy(work).before(work)

    def act(self, work: Work) -> Result:
        return strategy(work).act(work)

    def recall(self, work: Work, undo: Undo) -> Result | None:
        return strategy(work).recall(work, undo)

    def unready(self, work: Work, undo: Undo) -> str:
        return strategy(work).unready(work, undo)

    def undo(self, work: Work, undo: Undo) -> Result:
        return strategy(work).undo(work, undo)


def strategy(work: Work) -> StepKind:
    """The strategy of the target's source. Raises Refused."""
    where = source(work)
    if where.strategy not in STRATEGIES:
        raise Refused(
            f"no strategy {where.strategy!r}",
            next=f"source.strategy is one of: {', '.join(STRATEGIES)}",
        )
    kind: StepKind = STRATEGIES[where.strategy]()
    return kind
