"""Back to an earlier release: the runs since then, newest first, each undone from its own journal.

A rollback is a run of its own. It has one way only: interrupted, it is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backout.errors import Refused
from backout.model import Finding, Release, Step
from backout.runs.backward import Backward
from backout.runs.engine import Ended, fleet, mark
from backout.runs.plan import Plan
from backout.runs.saga import Saga
from backout.runs.worker import Parts, Worker, side_by_side


@dataclass(frozen=True, slots=True)
class Return:
    """What a rollback does: whose runs are undone, newest first, and where that leads."""

    run: str
    undoing: tuple[Plan, ...]
    to: Release

    @property
    def target(self) -> str:
        return self.undoing[0].target.name

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(host for plan in self.undoing for host in plan.hosts))


class Rollback:
    """One rollback. Raises Refused when a run in between cannot be undone."""

    def __init__(self, back: Return, parts: Parts) -> None:
        self.back = back
        self.parts = parts
        self.saga = Saga(back.run, parts.journal, parts.clock)
        self.ways = tuple(self._way(plan) for plan in back.undoing)

    def _way(self, plan: Plan) -> Backward:
        worker = Worker(plan, self.parts, self.saga)
        past = Saga(plan.run, self.parts.journal, self.parts.clock)
        return Backward(worker, past, of=f"{plan.run}/")

    def run(self) -> Ended:
        """Lock, refuse what is irreversible, undo, settle, prove."""
        self._refuse_the_irreversible()
        with self.parts.lock.hold(fleet(self.parts, self.back.hosts), self.back.run):
            self._confirm()
            self.parts.journal.note(self.back.run, "ready", {})
            stuck = self._undo()
            red = self.ways[-1].still_red()
            if stuck or red:
                self.parts.lock.keep()
                words = (*stuck.values(), *(f"check {f.key} is red: {f.reason}" for f in red))
                return self._ended("backout_incomplete", 5, "; ".join(words), stuck)
            self._record()
            return self._ended("succeeded", 0, "", stuck)

    def _undo(self) -> Mapping[str, str]:
        """All hosts first, then they settle, then this machine: each newest run first."""
        if not self.back.hosts:
            return self._here() or self._settle_here()
        self.ways[0].worker.phase(f"back to release {self.back.to}", self.back.hosts)
        stuck: dict[str, str] = {}
        for way in self.ways:
            stuck |= way.undo_on([host for host in way.touched() if host not in stuck])
        return self._settle(stuck) or self._here()

    def _settle(self, stuck: dict[str, str]) -> dict[str, str]:
        """Every host as each runbook that touched it settles it, but not twice in the same way."""
        settled: list[tuple[Sequence[Step], str]] = []
        for way in self.ways:
            steps = way.plan.runbook.settle
            hosts = [h for h in way.touched() if h not in stuck and (steps, h) not in settled]
            stuck |= way.settle_again(hosts)
            settled += [(steps, host) for host in hosts]
        return stuck

    def _settle_here(self) -> dict[str, str]:
        settled: list[Sequence[Step]] = []
        stuck: dict[str, str] = {}
        for way in self.ways:
            if way.plan.runbook.settle not in settled:
                stuck |= way.settle_here()
                settled.append(way.plan.runbook.settle)
        return stuck

    def _here(self) -> dict[str, str]:
        """A later run's trace is undone before an earlier one's, or neither is."""
        for way in self.ways:
            stuck = way.here_back()
            if stuck:
                return stuck
        return {}

    def _record(self) -> None:
        records = self.parts.journal.recall(self.back.run)
        if not any(record.kind == "decided" for record in records):
            self.parts.journal.finish(
                self.back.run,
                "succeeded",
                {"to": self.back.to.number},
                restored=self.back.to.number,
            )
        worker = self.ways[0].worker
        side_by_side(lambda host: mark(worker, host, self.back.to, self.back.run), self.back.hosts)

    def _refuse_the_irreversible(self) -> None:
        for way in self.ways:
            for action in way.plan.actions:
                entry = way.past.entry(action.key)
                if entry.touched and entry.undo.irreversible:
                    raise Refused(
                        f"run {way.plan.run} cannot be undone: {action.step.name} was"
                        f" irreversible: {entry.undo.irreversible}",
                        next=f"invoke show {way.plan.run}",
                    )

    def _confirm(self) -> None:
        target = self.back.undoing[0].target
        typed = target.name if target.protected else ""
        question = f"roll {target.name} back to release {self.back.to}?"
        if target.protected and not self.parts.operator.confirm(question, typed=typed):
            raise Refused("not confirmed", next=f"invoke rollback --target {target.name}")

    def _ended(self, outcome: str, code: int, reason: str, stuck: Mapping[str, str]) -> Ended:
        hosts = dict.fromkeys(self.back.hosts, f"on release {self.back.to}")
        hosts |= {host: f"NOT back: {words}" for host, words in stuck.items() if host}
        return Ended(outcome, code, reason, hosts, self.back.to, self._findings())

    def _findings(self) -> tuple[Finding, ...]:
        return self.ways[-1].worker.findings
