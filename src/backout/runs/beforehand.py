"""The way back of a step, as far as it is known before anything acts."""

from __future__ import annotations

from itertools import takewhile

from backout.errors import Mistakes, NotYet
from backout.model import Undo
from backout.ports import StepContext
from backout.runs.plan import Action, moves
from backout.runs.worker import Worker


def way_back(worker: Worker, action: Action, work: StepContext) -> Undo:
    """How it would be taken back. Raises Refused; Mistakes where only the run itself can tell, for
    an earlier step may be about to make the place that it needs."""
    try:
        return worker.kind(action).before(work)
    except NotYet as error:
        if _follows(worker, action):
            raise Mistakes(error.what) from error
        raise


def _follows(worker: Worker, action: Action) -> bool:
    """Whether an earlier step may change anything there."""
    earlier = takewhile(lambda each: each.key != action.key, worker.plan.actions)
    there = (each for each in earlier if each.host in ("", action.host))
    return any(moves(each.step, type(worker.kind(each))) for each in there)
