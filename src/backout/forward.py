"""The way forward: stage by stage, batch by batch, each batch settled before the next begins."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from backout.backward import Backward
from backout.plan import Action, BatchPlan, Stage
from backout.worker import Worker, side_by_side, trouble, went_well


class Forward:
    """Runs a plan's stages until they are done, or until there is trouble."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.plan = worker.plan
        self.lost: dict[str, str] = {}
        """Hosts that failed, could not be reached, or whose state is unknown, and why."""
        self._guard = threading.Lock()

    def run(self) -> str:
        """Every stage in order; the words of the first trouble, or none."""
        for stage in self.plan.stages:
            words = self._here(stage) or self._batches(stage)
            if words:
                return words
        return self.worker.stopped

    def _here(self, stage: Stage) -> str:
        for action in stage.here:
            words = self.worker.stopped or self._step(action)
            if words:
                return words
        return ""

    def _batches(self, stage: Stage) -> str:
        for batch in stage.batches:
            words = self.worker.stopped or self._over_budget() or self._batch(batch)
            if words:
                return words
        return ""

    def _batch(self, batch: BatchPlan) -> str:
        if batch.hosts:
            self.worker.phase(f"batch {batch.number} of {batch.count}", batch.hosts)
        hosts = self._left(batch.hosts)
        side_by_side(lambda host: self._travel(batch.of(host)), hosts)
        words = self._over_budget() or self._settle(batch)
        if not words:
            self._withdraw(batch)
        return words

    def _travel(self, actions: Sequence[Action]) -> None:
        """One host through its steps, until it fails or the run is to stop."""
        for action in actions:
            if self.worker.stopped or self._over_budget():
                return
            words = self._step(action)
            if words:
                self._lose(action.host, words)
                return

    def _settle(self, batch: BatchPlan) -> str:
        for row in batch.settle:
            words = self.worker.stopped or self._settle_row(row, batch) or self._over_budget()
            if words:
                return words
        return ""

    def _settle_row(self, row: Sequence[Action], batch: BatchPlan) -> str:
        if not row[0].host:
            final = batch is self.plan.batches[-1]
            return self._step(row[0], self._left(batch.hosts), final=final)
        actions = [action for action in row if action.host not in self.lost]
        for action, words in zip(actions, side_by_side(self._step, actions), strict=True):
            if words:
                self._lose(action.host, words)
        return ""

    def _step(self, action: Action, hosts: Sequence[str] = (), *, final: bool = True) -> str:
        result = self.worker.do(action, hosts=hosts, final=final)
        return "" if went_well(result) else trouble(action, result)

    def _left(self, hosts: Sequence[str]) -> tuple[str, ...]:
        return tuple(host for host in hosts if host not in self.lost)

    def _lose(self, host: str, words: str) -> None:
        with self._guard:
            self.lost.setdefault(host, words)

    def _over_budget(self) -> str:
        """One failure budget over the whole fleet: failed, unreachable and unknown alike."""
        if len(self.lost) <= self.plan.target.rollout.max_failures:
            return ""
        return "; ".join(self.lost[host] for host in self.plan.hosts if host in self.lost)

    def _withdraw(self, batch: BatchPlan) -> None:
        """Hosts that failed within the budget go back alone; the rollout goes on."""
        hosts = [host for host in batch.hosts if host in self.lost]
        if hosts:
            stuck = Backward(self.worker).hosts_back(hosts)
            self.lost.update(stuck)
