"""The way forward: stage by stage, batch by batch, each batch settled before the next begins."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from backout.runs.backward import Backward
from backout.runs.plan import Action, BatchPlan, Stage
from backout.runs.worker import Worker, side_by_side, trouble, went_well


class Forward:
    """Runs a plan's stages until they are done, or until there is trouble."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.plan = worker.plan
        self.lost: dict[str, str] = {}
        """Hosts that failed, could not be reached, or whose state is unknown, and why."""
        self.withdrawn: dict[str, str] = {}
        """The state of those that went back alone, while the others go on."""
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
            words = self.worker.stopped or self._step(action, self._left(self.plan.hosts))
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
        return words or self._withdraw(batch)

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
        if batch.hosts and not self._left(batch.hosts):
            return ""
        for row in batch.settle:
            words = self.worker.stopped or self._settle_row(row, batch) or self._over_budget()
            if words:
                return words
        return ""

    def _settle_row(self, row: Sequence[Action], batch: BatchPlan) -> str:
        if not row[0].host:
            final = batch is self.plan.batches[-1]
            words = self._step(row[0], self._left(batch.hosts), final=final)
            return "" if words and self._lose_the_red(row[0]) else words
        actions = [action for action in row if action.host not in self.lost]
        for action, words in zip(actions, side_by_side(self._step, actions), strict=True):
            if words:
                self._lose(action.host, words)
        return ""

    def _lose_the_red(self, action: Action) -> bool:
        """When only checks of single hosts are red, it is these hosts that failed."""
        red = self.worker.failed if action.step.kind == "verify" else ()
        words = {f.host: f"check {f.key} {f.verdict}: {f.reason}" for f in red if f.host}
        if not words or len(words) < len({f.host for f in red}) or words.keys() <= self.lost.keys():
            return False
        for host, why in words.items():
            self._lose(host, why)
        return True

    def _step(self, action: Action, hosts: Sequence[str] = (), *, final: bool = True) -> str:
        result = self.worker.do(action, hosts=hosts, final=final)
        return "" if went_well(result) else trouble(action, result)

    def _left(self, hosts: Sequence[str]) -> tuple[str, ...]:
        return tuple(host for host in hosts if host not in self.lost)

    def _lose(self, host: str, words: str) -> None:
        with self._guard:
            self.lost.setdefault(host, words)

    def _over_budget(self) -> str:
        """One failure budget over the whole fleet: failed, unreachable and unknown alike. A
        rollout that reaches no host is none."""
        some_left = len(self.lost) < max(1, len(self.plan.hosts))
        if some_left and len(self.lost) <= self.plan.target.rollout.max_failures:
            return ""
        return "; ".join(self.lost[host] for host in self.plan.hosts if host in self.lost)

    def _withdraw(self, batch: BatchPlan) -> str:
        """Hosts that failed within the budget go back alone; the rollout goes on."""
        hosts = [host for host in batch.hosts if host in self.lost]
        if not hosts:
            return ""
        stuck = Backward(self.worker).hosts_back(hosts)
        for host in hosts:
            back = f"withdrawn: {self.lost[host]}"
            self.withdrawn[host] = f"NOT backed out: {stuck[host]}" if host in stuck else back
        return stuck.get("", "")
