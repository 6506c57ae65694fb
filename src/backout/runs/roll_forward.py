"""The way back of a rollback: what it had taken back is done again, oldest run first, each on the
hosts that had gone back; then they settle once more.

A step that is done again is one more attempt of the step that its run did: what that run has on
record as its way back is its way back still.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial

from backout.errors import BackoutError
from backout.model import State
from backout.runs import brought
from backout.runs.at_work import at_work
from backout.runs.backward import UNDO, Backward, settled_once
from backout.runs.discreet import secrets_of
from backout.runs.parts import side_by_side
from backout.runs.plan import Action, BatchPlan, settle_back
from backout.runs.wording import title, trouble, went_well
from backout.runs.worker import AGAIN


class RollForward:
    """Does again what a rollback has taken back. Idempotent: what is done again stays so."""

    def __init__(self, ways: Sequence[Backward], turn: str) -> None:
        """`ways` are the rollback's, newest run first; a `turn` names one settling."""
        self.ways = ways
        self.turn = turn
        self.stuck: dict[str, str] = {}
        self.ill: set[str] = set()
        """Where settling was tried, and failed."""

    def run(self, besides: Collection[str] = ()) -> dict[str, str]:
        """Returns the hosts that are not as they were, and why. Those of which nobody knows what
        was done there are left out."""
        hosts = [host for host in left_behind(self.ways) if host not in besides]
        if not hosts:
            return {}
        self.ways[0].worker.phase(f"forward again to release {self.ways[0].worker.release}", hosts)
        for way in reversed(self.ways):
            self.stuck |= at_work(way, hosts)
            for batch in way.plan.batches:
                mine = [[a for a in batch.of(host) if _gone(way, a)] for host in hosts]
                side_by_side(partial(self._travel, way), mine)
        self._settle(hosts)
        return self.stuck

    def _travel(self, way: Backward, actions: Sequence[Action]) -> None:
        """What had begun to be taken back is so to its end before it is done again."""
        for action in reversed([a for a in actions if not way.undo_of(a).done]):
            if words := way.action_back(action, way.past.entry(action.key)):
                self.stuck.setdefault(action.host, words)
        for action in actions:
            if action.host in self.stuck:
                return
            self._afresh(way, replace(action, key=f"{AGAIN}/{way.of}{action.key}"))

    def _afresh(self, way: Backward, action: Action) -> None:
        """Do it. Where that was tried before, and did not end well, or nobody knows how, what it
        may have left is taken back first."""
        entry = way.worker.saga.entry(action.key)
        if entry.touched and entry.result and not entry.result.ok:
            undo = replace(action, key=f"{UNDO}{entry.attempt}/{action.key}", phase="undo")
            result = way.worker.undo(undo, entry)
            if not went_well(result):
                self.stuck.setdefault(action.host, trouble(undo, result))
                return
        self._do(way, action)

    def _settle(self, hosts: Sequence[str]) -> None:
        """Every host as each runbook that touched it settles it, but not twice in the same way;
        batch by batch, so that not every host restarts at once."""
        for way, mine in settled_once(self.ways, hosts):
            for batch in way.plan.batches:
                for row in self._rows(way, batch, set(mine)):
                    side_by_side(partial(self._do, way), row)

    def _rows(self, way: Backward, batch: BatchPlan, hosts: set[str]) -> Iterator[list[Action]]:
        """Row by row what settles the batch; `verify` waits for the proof at the very end."""
        near = bool(hosts & set(batch.hosts))
        for row in settle_back(way.plan, batch, f"{AGAIN}/{way.of}{self.turn}"):
            yield [
                action
                for action in row
                if action.step.kind != "verify"
                and (action.host in hosts if action.host else near)
                and action.host not in self.stuck
            ]

    def _do(self, way: Backward, action: Action) -> None:
        result = way.worker.do(replace(action, phase=AGAIN))
        if not went_well(result):
            self.stuck.setdefault(action.host, trouble(action, result))
        if result.state is State.FAILED and action.phase == "back":
            self.ill.add(action.host)


def _gone(way: Backward, action: Action) -> bool:
    """Whether its undo has begun, and its own run had not taken it back already."""
    own = way.past.entry(f"{UNDO}{action.key}")
    return way.undo_of(action).begin is not None and own.begin is None


def left_behind(ways: Sequence[Backward]) -> list[str]:
    """The hosts on which a rollback has begun to take something back."""
    hosts = dict.fromkeys(host for way in ways for host in way.touched())
    return [host for host in hosts if any(way.begun_on(host) for way in ways)]


def one_way(ways: Sequence[Backward]) -> str:
    """Why what those runs did could not be done again; empty where it can, as far as is known
    before anything is undone."""
    try:
        return next((why for way in ways for why in _missing(way)), "")
    except BackoutError as error:
        return error.what


def _missing(way: Backward) -> Iterator[str]:
    """Secrets that are not there any more, and files that have changed. Raises BackoutError."""
    way.worker.parts.vault.fetch(secrets_of(way.plan))
    for action in way.plan.actions:
        if not action.host or not way.undoable(action):
            continue
        kind, work = way.worker.kind(action), way.worker.work(action)
        if why := brought.differs(way.worker, action, work):
            yield f"{title(action)}: {why}"
        if kind.reads(work):
            kind.before(work)
