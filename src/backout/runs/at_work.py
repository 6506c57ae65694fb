"""What may still be at work where a run goes back: nothing is done beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from backout.errors import BackoutError
from backout.runs.parts import side_by_side
from backout.runs.plan import BACK, Action, Plan, leave_back, settle_back
from backout.runs.saga import Entry

if TYPE_CHECKING:
    from backout.runs.backward import Backward


def at_work(way: Backward, hosts: Sequence[str]) -> dict[str, str]:
    """A restart that was interrupted may still be at work, on the way back too. Waits for its end.
    The hosts of which nobody can tell that it is over, and why."""
    settling = [action for action in way.plan.settling if action.host in hosts]
    unseen = [(a, e) for a in settling if (e := way.past.entry(a.key)).unseen]
    unseen += _begun_back(way, hosts)
    words = side_by_side(lambda pair: _over(way, *pair), unseen)
    return {a.host: why for (a, _), why in zip(unseen, words, strict=True) if why}


def _begun_back(way: Backward, hosts: Sequence[str]) -> list[tuple[Action, Entry]]:
    """What was begun on the way back, in whatever turn, and nobody saw end."""
    begun = way.worker.saga.unseen(f"{BACK}{way.of}")
    return [
        (replace(action, key=entry.key), entry)
        for action in (_all_back(way.plan) if begun else ())
        for entry in begun
        if action.host in hosts and entry.key.endswith(f"/{action.key.removeprefix(BACK)}")
    ]


def _all_back(plan: Plan) -> Iterator[Action]:
    for batch in plan.batches:
        yield from leave_back(plan, batch)
        for row in settle_back(plan, batch):
            yield from row


def _over(way: Backward, action: Action, entry: Entry) -> str:
    """Wait for its end. Why nobody can tell that it came; empty when it did."""
    worker = way.worker
    try:
        worker.saga.over(worker.kind(action), worker.work(action, strict=False), entry)
    except BackoutError as error:
        return f"{action.step.name} may still be at work: {error.what}"
    return ""
