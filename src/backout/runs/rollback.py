"""Back to an earlier release: the runs since then, newest first, each undone from its own journal.

A rollback is a run of its own. It has one way only: interrupted, it is resumed. Whatever any of
those runs had reached is settled after the last undo, and proved after that: all their hosts, by
all their checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from backout.checks import judging
from backout.errors import Refused
from backout.model import (
    Finding,
    HostEnd,
    HostState,
    LedgerRow,
    Outcome,
    Release,
    Step,
    Target,
    Verdict,
    alike,
)
from backout.ports import READY
from backout.runs import balancing, standing
from backout.runs.backward import AFTERWARDS, Backward, in_the_way
from backout.runs.balancing import Balancing
from backout.runs.claims import Brought, Claims
from backout.runs.decisions import Decisions, note_red, turn_of
from backout.runs.ended import Ended, on_record, put_on_record
from backout.runs.engine import facts_of
from backout.runs.leasing import leased, let_go
from backout.runs.parts import Parts, side_by_side
from backout.runs.plan import Action, Place, Plan
from backout.runs.saga import Entry, Saga
from backout.runs.wording import title
from backout.runs.worker import Worker

LATER = "on record there when the rollback has ended"
"""Until then a host's record names the release that was taken back."""


@dataclass(frozen=True, slots=True)
class Return:
    """What a rollback does: whose runs are undone, newest first, and where that leads."""

    run: str
    undoing: tuple[Plan, ...]
    to: Release
    brought: tuple[Brought, ...] = ()
    """What the journal knows to be on the hosts, newest first; what is undone comes first."""
    below: Mapping[str, LedgerRow] = field(default_factory=dict)
    """Host -> the release that is there afterwards; a host that had none is left out."""
    remark: str = ""
    """What is to be known of it before it acts."""
    crossing: tuple[str, ...] = ()
    """The names of the newest run's steps that cannot be undone and stay as they are: the release
    it goes back to was proved beside them."""

    @property
    def target(self) -> Target:
        """As the newest run knew it, with the hosts and the checks that only older ones knew."""
        newest, *older = (plan.target for plan in self.undoing)
        for target in older:
            hosts, secrets = {**target.hosts, **newest.hosts}, {**target.secrets, **newest.secrets}
            newest = newest.model_copy(update={"hosts": hosts, "secrets": secrets})
            checks = {
                name: check
                for name, check in {**target.checks, **newest.checks}.items()
                if check.on is None or newest.select(check.on)
            }
            newest = newest.model_copy(update={"checks": checks})
        return newest

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(host for plan in self.undoing for host in plan.hosts))

    @property
    def homes(self) -> dict[str, str]:
        """Host -> its directory, as the newest of the runs that knew the host knew it."""
        plans = {host: plan for plan in reversed(self.undoing) for host in plan.hosts}
        return {h: plans[h].target.home_on(plans[h].target.hosts[h]) for h in self.hosts}


class Rollback:
    """One rollback. Raises Refused when a run in between cannot be undone."""

    def __init__(self, back: Return, parts: Parts) -> None:
        self.back = back
        self.parts = parts
        self.target = back.target
        self.saga = Saga(back.run, parts.journal, parts.clock)
        self.decisions = Decisions(back.run, parts.journal)
        machines = (name for plan in back.undoing for name in plan.machines)
        self.claims = Claims(
            parts, self.saga, self.decisions, self.target.name, back.homes, machines
        )
        self.ways = tuple(self._way(plan) for plan in back.undoing)
        came_from = {host: undo for way in self.ways for host, undo in way.came_from().items()}
        for way in self.ways:
            way.went = came_from
        self.findings: tuple[Finding, ...] = ()

    def _way(self, plan: Plan) -> Backward:
        past = Saga(plan.run, self.parts.journal, self.parts.clock)
        pools = Balancing(self.parts, plan.target, self.decisions)
        worker = Worker(plan, self.parts, self.saga, past, pools)
        return Backward(worker, past, of=f"{plan.run}/")

    def run(self) -> Ended:
        """Lock, refuse what is irreversible, undo, settle, prove."""
        if ended := on_record(self.decisions):
            let_go(self.parts, self.back.run)
            return ended
        self._refuse_the_irreversible()
        at = tuple(self._whose())
        with leased(self.parts, self.target, self.back.run, self.back.hosts, at=at):
            self._refuse_strangers()
            if self.decisions.noted(READY) is None:
                self._confirm()
                self._refuse_the_impossible()
                self.ways[0].worker.warn(balancing.look(self.decisions, self._whose()))
                self.claims.begin()
                self.decisions.note(READY, {})
            decided = self.decisions.noted("decided")
            if decided is None:
                stuck = self._undo(turn_of(self.decisions))
                red = (*self._stopped(stuck), *self._still_red())
                if stuck or red:
                    return self._incomplete(stuck, red)
                if lost := self.parts.lock.lost(self.back.hosts):
                    return self._overtaken(lost)
                decided = self._decide()
            return put_on_record(self.decisions, self._succeed(decided["proof"]))

    def _whose(self) -> dict[Place, Balancing]:
        """Every place where traffic is moved, and the newest of the runs that knows it."""
        known = [(place, way.worker.balancing) for way in self.ways for place in way.plan.places]
        return dict(reversed(known))

    def _undo(self, turn: str) -> Mapping[str, str]:
        """All hosts first, then they settle, then this machine, each newest run first; and once
        more whatever that may have changed."""
        if not self.back.hosts:
            return self._undo_here() or self._settle_here(turn)
        self.ways[0].worker.phase(f"back to release {self.back.to}", self.back.hosts)
        stuck: dict[str, str] = {}
        for way in self.ways:
            stuck |= way.undo_on([host for host in way.touched() if host not in stuck], turn)
        stuck = self._settle(stuck, turn)
        if in_the_way(stuck, self.ways):
            return stuck
        if here := self._undo_here():
            return stuck | here
        if any(way.reached_from_here() for way in self.ways):
            return self._settle({}, turn + AFTERWARDS)
        return stuck

    def _settle(self, stuck: dict[str, str], turn: str) -> dict[str, str]:
        """Every host as each runbook that touched it settles it, but not twice in the same way."""
        settled: list[tuple[Sequence[Step], str]] = []
        for way in self.ways:
            steps = way.plan.runbook.settle
            hosts = [h for h in way.settling() if h not in stuck and (steps, h) not in settled]
            stuck |= way.settle_again(hosts, turn)
            settled += [(steps, host) for host in hosts]
        for way in self.ways:
            stuck |= way.into_traffic([host for host in way.touched() if host not in stuck])
        return stuck

    def _settle_here(self, turn: str) -> dict[str, str]:
        settled: list[Sequence[Step]] = []
        stuck: dict[str, str] = {}
        for way in self.ways:
            if way.plan.runbook.settle not in settled:
                stuck |= way.settle_here(turn)
                settled.append(way.plan.runbook.settle)
        return stuck

    def _undo_here(self) -> dict[str, str]:
        """A later run's trace is undone before an earlier one's, or neither is."""
        for way in self.ways:
            stuck = way.here_back()
            if stuck:
                return stuck
        return {}

    # --- the proof -----------------------------------------------------------------------

    def _still_red(self) -> tuple[Finding, ...]:
        """Whatever passed before the oldest of the runs that looked at it passes again."""
        before = tuple(self._before())
        required = judging.after_backing_out(before)
        names = {f.check for f in before if f.key in required and f.check in self.target.checks}
        if not names:
            return ()
        self.ways[0].worker.phase("proving the old release")
        self.findings = self.parts.examine(
            sorted(names), self.back.hosts, before, self.back.to, patient=True
        )
        return tuple(
            f for f in self.findings if f.key in required and f.verdict is not Verdict.PASS
        )

    def _stopped(self, stuck: Mapping[str, str]) -> tuple[Finding, ...]:
        """What ran before any of those runs runs again, where nothing is stuck."""
        left = set(self.back.hosts) - stuck.keys()
        found = (f for way in self.ways for f in (*way.stopped(left), *way.out(left)))
        return tuple({finding.key: finding for finding in found}.values())

    def _before(self) -> Iterator[Finding]:
        """Each check on each host as the oldest run found it."""
        seen: set[str] = set()
        for way in reversed(self.ways):
            found = way.worker.baseline.findings
            yield from (finding for finding in found if finding.key not in seen)
            seen |= {finding.key for finding in found}

    # --- the end -------------------------------------------------------------------------

    def _incomplete(self, stuck: Mapping[str, str], red: Sequence[Finding]) -> Ended:
        if red and not stuck:
            note_red(self.decisions, red)
        self.parts.lock.keep()
        words = "; ".join((*alike.told(stuck), *alike.red(red)))
        return self._ended(Outcome.BACKOUT_INCOMPLETE, 5, words, stuck, alike.by_host(red))

    def _decide(self) -> Mapping[str, Any]:
        number, proof = self.back.to.number, [finding.record() for finding in self.findings]
        standing = facts_of(self.findings, "standing")
        record = {"to": number, "proof": proof, "standing": standing}
        self.parts.journal.finish(self.back.run, "succeeded", record, restored=number)
        self.decisions.took("decided", record)
        return record

    def _succeed(self, proof: Sequence[Mapping[str, Any]]) -> Ended:
        self.findings = tuple(Finding.of(row) for row in proof)
        if missed := self.claims.returned(self.back.hosts, self.back.to, self.back.below):
            if lost := self.parts.lock.lost():
                return self._overtaken(lost)
            self.parts.lock.keep()
            words = f"rolled back and proved; not on record there: {'; '.join(alike.told(missed))}"
            return self._ended(Outcome.BACKOUT_INCOMPLETE, 5, words, {}, missed)
        return self._ended(Outcome.SUCCEEDED, 0, "", {})

    def _overtaken(self, lost: str) -> Ended:
        """Somebody took the lock away meanwhile."""
        self.parts.lock.keep()
        stuck = dict.fromkeys(self.back.hosts, lost)
        return self._ended(Outcome.BACKOUT_INCOMPLETE, 5, lost, stuck)

    def _ended(
        self,
        outcome: Outcome,
        code: int,
        reason: str,
        stuck: Mapping[str, str],
        ill: Mapping[str, str] = MappingProxyType({}),
    ) -> Ended:
        whole = outcome is Outcome.SUCCEEDED
        why = {h: ill.get(h, "" if whole else LATER) for h in self.back.hosts}
        ends = {h: HostEnd(HostState.ROLLED_BACK, why=why[h]) for h in self.back.hosts}
        ends |= {h: HostEnd(HostState.STUCK, why=each) for h, each in stuck.items() if h}
        if whole:
            ends = standing.all_told(ends, self.target, self.parts.reach)
        return Ended(outcome, code, reason, ends, self.back.to, self.findings)

    # --- before anything is undone -------------------------------------------------------

    def _refuse_strangers(self) -> None:
        self.claims.learn()
        if self.decisions.noted("decided") is None:
            self.claims.refuse_strangers(self.back.brought, len(self.back.undoing))

    def _refuse_the_irreversible(self) -> None:
        for way in self.ways:
            for action in way.plan.actions:
                entry, newest = way.past.entry(action.key), way is self.ways[0]
                crossed = newest and action.step.name in self.back.crossing
                if entry.stays and not crossed:
                    raise Refused(
                        f"run {way.plan.run} cannot be undone: {action.step.name} was"
                        f" irreversible: {entry.stays}",
                        next=f"invoke show {way.plan.run}; whether the older code lives with it"
                        " shows invoke rehearse --target STAGING --old-code",
                    )

    def _refuse_the_impossible(self) -> None:
        """What could not be undone is refused before anything is."""
        steps = [
            (way, action, entry)
            for way in self.ways
            for action in way.plan.actions
            for entry in (way.past.entry(action.key),)
            if action.host and entry.touched and not entry.stays
        ]
        words = side_by_side(lambda step: _unready(*step), steps)
        if problems := dict.fromkeys(each for each in words if each):
            raise Refused("\n".join(problems), next=f"invoke history --target {self.back.target}")

    def _confirm(self) -> None:
        typed = self.target.name if self.target.protected else ""
        question = f"roll {self.target.name} back to release {self.back.to}?"
        if self.target.protected and not self.parts.operator.confirm(question, typed=typed):
            raise Refused("not confirmed", next=f"invoke rollback --target {self.target.name}")


def _unready(way: Backward, action: Action, entry: Entry) -> str:
    why = way.worker.kind(action).unready(way.worker.work(action, strict=False), entry.undo)
    return f"{title(action)} cannot be undone: {why}" if why else ""
