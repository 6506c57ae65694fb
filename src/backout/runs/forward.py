"""The way forward: stage by stage, batch by batch, each batch settled before the next begins; then
one proof of the whole.

What is decided on the way (which hosts are lost, which went back alone) is in the journal: whoever
goes on begins with it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from backout.checks import judging
from backout.model import RED, Finding, HostEnd, HostState, Result, Step, alike, duration
from backout.runs.applying import idle
from backout.runs.backward import Backward
from backout.runs.balancing import ill, leaves
from backout.runs.parts import Must, Red, side_by_side
from backout.runs.plan import Action, BatchPlan, Stage
from backout.runs.watching import Watching
from backout.runs.wording import trouble, went_well
from backout.runs.worker import PROOF, Worker

ALONE = "alone/"
"""Marks the settling of hosts that go back while the others go on, each time anew."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An action that did not go well."""

    action: Action
    words: str
    hosts: frozenset[str]
    """Those that it concerns alone."""


class Forward:
    """Runs a plan's stages until they are done and proved, or until there is trouble."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.plan = worker.plan
        lost, back = worker.noted("lost"), worker.noted("withdrawn")
        self.lost: dict[str, str] = {} if lost is None else dict(lost)
        """Hosts that failed, could not be reached, or whose state is unknown, and why."""
        ends = {} if back is None else ends_of(back["hosts"])
        self.withdrawn = {h: end for h, end in ends.items() if end.state is not HostState.STUCK}
        """Those that went back alone, while the others go on. What was stuck is tried again."""
        self._turns = 0 if back is None else int(back["times"])
        self.failed: tuple[Finding, ...] = ()
        """The red findings that stand in the way."""
        self._guard = threading.Lock()

    def run(self) -> str:
        """Every stage in order, and the proof; the words of the first trouble, or none."""
        for stage in self.plan.stages:
            words = self._run_here(stage) or self._batches(stage)
            if words:
                return words
        words = self.worker.stopped or self._withdraw(self.plan.hosts)
        words = words or self._prove() or self.worker.stopped
        return words or idle(self.plan, self.worker.parts.steps, self.worker.saga)

    @property
    def stuck(self) -> dict[str, str]:
        """The hosts that could be neither finished nor taken back, and why."""
        ends = self.withdrawn.items()
        return {host: end.why for host, end in ends if end.state is HostState.STUCK}

    @property
    def in_the_way(self) -> tuple[Trouble, ...]:
        """What stopped the run, as it is on record: not what went back alone."""
        looks = (*map(self._watch_of, self.plan.batches), self._proof())
        actions = (*self.plan.actions, *self.plan.settling, *filter(None, looks))
        found = [(each, self.worker.saga.entry(each.key).result) for each in actions]
        bad = [(each, result) for each, result in found if result and not went_well(result)]
        troubles = [Trouble(each, trouble(each, r), _alone(each, r)) for each, r in bad]
        return tuple(t for t in troubles if not t.hosts or t.hosts - self.withdrawn.keys())

    def _run_here(self, stage: Stage) -> str:
        for action in stage.here:
            words = self.worker.stopped or self._step(action, self._left(self.plan.hosts))
            if words:
                return words
        return ""

    def _batches(self, stage: Stage) -> str:
        if stage.if_moved and not any(self.worker.moved(a) for a in self.plan.actions):
            return ""
        for number, batch in enumerate(stage.batches, start=1):
            words = self.worker.stopped or self._over_budget() or self._spared(batch)
            words = words or self._batch(batch)
            words = words or self._watch(stage.batches[:number], stage.batches[number:])
            if words:
                return words
        return ""

    def _batch(self, batch: BatchPlan) -> str:
        if batch.hosts:
            self.worker.phase(f"batch {batch.number} of {batch.count}", batch.hosts)
        hosts = self._left(batch.hosts)
        side_by_side(lambda host: self._travel(batch.of(host)), hosts)
        words = self._over_budget() or self._settle(batch)
        return words or self._withdraw(batch.hosts)

    def _spared(self, batch: BatchPlan) -> str:
        """Why the hosts of a batch cannot be out of traffic now. Those that have left in an earlier
        process do not leave again."""
        leaving = [a for a in batch.all_actions if leaves(self.worker, a)]
        places = {(a.balancer, a.at) for a in leaving}
        still = {a.host for a in leaving if not self.worker.saga.entry(a.key).done}
        hosts = [host for host in self._left(batch.hosts) if host in still]
        keep_up = self.worker.balancing.keep_up
        return self.worker.balancing.too_few(
            sorted(places), hosts, partial(ill, self.worker), keep_up
        )

    def _travel(self, actions: Sequence[Action]) -> None:
        """One host through its steps, until it fails or the run is to stop."""
        for action in actions:
            if self.worker.stopped or self._over_budget():
                return
            words = self._step(action)
            if words:
                self._lose(action.host, words)
                return

    # --- between two batches ---

    def _watch(self, done: Sequence[BatchPlan], left: Sequence[BatchPlan]) -> str:
        """The new hosts beside the old ones. A host that went red alone within the budget goes
        back alone."""
        new = self._left([host for batch in done for host in batch.hosts])
        old = self._left([host for batch in left for host in batch.hosts])
        rollout = self.plan.target.rollout
        if not (rollout.watch and old and new and self.plan.target.checks):
            return ""
        self.worker.phase(f"watching for {duration(rollout.watch)}", new)
        watching = Watching(self.worker, new, old)
        words = self._step(self._watch_of(done[-1]), red=watching.red)
        if not words or not self._lose_the_red():
            return words
        return self._over_budget() or self._withdraw(new)

    def _watch_of(self, batch: BatchPlan) -> Action:
        options = self.worker.parts.steps["verify"].Options()
        step = Step(name=f"Watch batch {batch.number}", kind="verify", options=options)
        return Action(f"watch/{batch.label}", step, phase="watch")

    # --- gates and the proof -------------------------------------------------------------

    def _settle(self, batch: BatchPlan) -> str:
        if batch.hosts and not self._left(batch.hosts):
            return ""
        for row in batch.settle:
            if row[0] == self.plan.last_gate:
                continue
            words = self.worker.stopped or self._settle_row(row, batch) or self._over_budget()
            if words:
                return words
        return ""

    def _settle_row(self, row: Sequence[Action], batch: BatchPlan) -> str:
        """What only the whole change can turn green is left to the proof."""
        gate = partial(self.worker.required, final=False)
        if not row[0].host:
            words = self._step(row[0], self._left(batch.hosts), gate)
            return "" if words and self._lose_the_red() else words
        actions = [action for action in row if action.host not in self.lost]
        told = side_by_side(lambda action: self._step(action, must=gate), actions)
        for action, words in zip(actions, told, strict=True):
            if words:
                self._lose(action.host, words)
        return ""

    def _prove(self) -> str:
        """Every check that the run concerns, over all its hosts, after the last step of any kind.
        Hosts that are red there within the budget go back alone, and the rest is proved again."""
        proof = self._proof()
        while proof is not None:
            words = self._step(proof, must=self._proved)
            if not words or not self._lose_the_red():
                return words
            words = self.worker.stopped or self._over_budget() or self._withdraw(self.plan.hosts)
            if words:
                return words
        return ""

    def _proof(self) -> Action | None:
        if not self.plan.target.checks:
            return None
        gate = self.plan.last_gate
        if gate is not None:
            return Action(PROOF, gate.step, phase=PROOF)
        options = self.worker.parts.steps["verify"].Options()
        return Action(PROOF, Step(name="Final proof", kind="verify", options=options), phase=PROOF)

    def _proved(self, findings: Sequence[Finding]) -> Collection[str]:
        """What must have turned green is green on every host that was deployed, and what was
        green before on those that were withdrawn. Nothing can be asked of those that are stuck."""
        before = judging.after_backing_out(self.worker.baseline.findings)
        back = [f for f in findings if f.host in self.withdrawn.keys() - self.stuck.keys()]
        deployed = [f for f in findings if f.host not in self.withdrawn]
        return {*self.worker.required(deployed), *(f.key for f in back if f.key in before)}

    def _step(
        self,
        action: Action,
        hosts: Sequence[str] | None = None,
        must: Must | None = None,
        red: Red | None = None,
    ) -> str:
        result = self.worker.do(action, hosts=hosts, must=must, red=red)
        if went_well(result):
            return ""
        with self._guard:
            self.failed += red_of(result)
        return trouble(action, result)

    # --- the budget ----------------------------------------------------------------------

    def _lose_the_red(self) -> bool:
        """When only checks of single hosts are red, it is these hosts that failed."""
        words = {f.host: f"check {f.key} {f.verdict}: {f.reason}" for f in self.failed if f.host}
        if any(f.host is None for f in self.failed) or words.keys() <= self.lost.keys():
            return False
        for host, why in words.items():
            self._lose(host, why)
        return True

    def _left(self, hosts: Sequence[str]) -> tuple[str, ...]:
        return tuple(host for host in hosts if host not in self.lost)

    def _lose(self, host: str, words: str) -> None:
        with self._guard:
            if host not in self.lost:
                self.worker.note("lost", {**self.lost, host: words})
                self.lost[host] = words

    def _over_budget(self) -> str:
        """One failure budget over the whole fleet: failed, unreachable and unknown alike. A
        rollout that reaches no host is none."""
        some_left = len(self.lost) < max(1, len(self.plan.hosts))
        if some_left and len(self.lost) <= self.plan.target.rollout.max_failures:
            return ""
        return "; ".join(self.lost[host] for host in self.plan.hosts if host in self.lost)

    def _withdraw(self, among: Sequence[str]) -> str:
        """Hosts that failed within the budget go back alone; the rollout goes on."""
        hosts = [host for host in among if host in self.lost and host not in self.withdrawn]
        if not hosts:
            return ""
        turn = f"{ALONE}{self._turns}/" if self._turns else ALONE
        backward = Backward(self.worker)
        stuck = backward.hosts_back(hosts, turn)
        stuck |= alike.by_host(backward.stopped(set(hosts) - stuck.keys()))
        self.withdrawn |= {host: self._end(host, stuck.get(host)) for host in hosts}
        self._turns += 1
        self.worker.note("withdrawn", {"times": self._turns, "hosts": record_of(self.withdrawn)})
        self.failed = tuple(f for f in self.failed if f.host not in self.withdrawn)
        return stuck.get("", "")

    def _end(self, host: str, stuck: str | None) -> HostEnd:
        if stuck is not None:
            return HostEnd(HostState.STUCK, why=stuck)
        return HostEnd(HostState.WITHDRAWN, why=self.lost[host])


def record_of(withdrawn: Mapping[str, HostEnd]) -> dict[str, list[str]]:
    """The hosts that went back alone, as the journal keeps them."""
    return {host: [end.state, end.why] for host, end in withdrawn.items()}


def ends_of(record: Mapping[str, Any]) -> dict[str, HostEnd]:
    """The same hosts again."""
    return {host: HostEnd(HostState(state), why=why) for host, (state, why) in record.items()}


def _alone(action: Action, result: Result) -> frozenset[str]:
    """The hosts that a failed action concerns, where it does not concern them all."""
    if action.host:
        return frozenset((action.host,))
    return frozenset(each.host for each in red_of(result) if each.host)


def red_of(result: Result) -> tuple[Finding, ...]:
    """The red findings of a proof that failed, in this process or in an earlier one."""
    return tuple(Finding.of(row) for row in result.saved.get(RED, ()))
