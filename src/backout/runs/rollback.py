"""Back to an earlier release: the runs since then, newest first, each undone from its own journal.

A rollback is a run of its own. Hosts that are alike go back batch by batch, a few first. Whatever
any of those runs had reached is settled after the undos, and proved after that: all their hosts,
by all their checks. Where what was well before is not well afterwards, the hosts go forward again.
Once it takes back what was done on this machine it has one way only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

from backout.checks import judging
from backout.errors import Refused
from backout.model import (
    Finding,
    HostEnd,
    HostState,
    Outcome,
    Step,
    Verdict,
    alike,
)
from backout.ports import READY
from backout.runs import balancing, standing
from backout.runs.backward import AFTERWARDS, Backward, in_the_way, only_ill, settled_once
from backout.runs.balancing import Balancing
from backout.runs.claims import Claims
from backout.runs.decisions import UNHEARD, Decisions, note_red, turn_of, unheard
from backout.runs.destination import Return
from backout.runs.ended import Ended, put_on_record
from backout.runs.engine import facts_of
from backout.runs.leasing import ended_before, leased
from backout.runs.parts import Parts
from backout.runs.plan import Place, Plan
from backout.runs.roll_forward import RollForward, left_behind
from backout.runs.saga import Saga
from backout.runs.setback import Found, Seen, Setback
from backout.runs.undoable import refuse_impossible, refuse_irreversible
from backout.runs.wording import leave_it
from backout.runs.worker import Worker

NO_WAY = "there is no way forward again"
LATER = "on record there when the rollback has ended"
"""Until then a host's record names the release that was taken back."""


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
        self.found = Found(parts, self.decisions, self.ways, back.hosts)
        for way in self.ways:
            way.went = came_from
            way.enough = self._stops
        self.tied = any(way.reaching() for way in self.ways)
        """Whether hosts may settle only when what was done on this machine is taken back, too."""
        self.findings: tuple[Finding, ...] = ()

    def _way(self, plan: Plan) -> Backward:
        past = Saga(plan.run, self.parts.journal, self.parts.clock)
        pools = Balancing(self.parts, plan.target, self.decisions)
        worker = Worker(plan, self.parts, self.saga, past, pools)
        return Backward(worker, past, of=f"{plan.run}/")

    def run(self) -> Ended:
        """Lock, refuse what is irreversible, undo, settle, prove; forward again where the earlier
        release is not well and this one was."""
        if ended := ended_before(self.parts, self.decisions):
            return ended
        refuse_irreversible(self.ways, self.back.crossing)
        with self._leased():
            with self.claims.unnamed_if_refused():
                self._refuse_strangers()
                if self.decisions.noted(READY) is None:
                    self._make_ready()
            return put_on_record(self.decisions, self._back_or_forward())

    def abort(self) -> Ended:
        """Forward again, as far as hosts can be reached. Raises Refused where there is one way
        only."""
        if ended := ended_before(self.parts, self.decisions):
            return ended
        with self._leased(patient=True):
            self.claims.learn(patient=True)
            if decided := self.decisions.noted("decided"):
                return put_on_record(self.decisions, self._succeed(decided["proof"]))
            begun = self.decisions.noted(READY) is not None
            turned = self.decisions.noted("back_out") is not None
            if begun and not turned and (why := self._one_way()):
                name = self.target.name
                raise Refused(
                    f"run {self.back.run} is a rollback, and has one way only: {why}",
                    where=name,
                    next=f"invoke resume --target {name}; or {leave_it(name)}",
                )
            return put_on_record(self.decisions, self._forward_again("aborted"))

    def _leased(self, *, patient: bool = False) -> AbstractContextManager[Sequence[str]]:
        run, hosts, at = self.back.run, self.back.hosts, tuple(self._whose())
        return leased(self.parts, self.target, run, hosts, at=at, patient=patient)

    def _make_ready(self) -> None:
        self._confirm()
        refuse_impossible(self.ways, self.target.name)
        self.found.look()
        self.ways[0].worker.warn(balancing.look(self.decisions, self._whose()))
        self.claims.begin()
        self.decisions.note(READY, {})

    def _back_or_forward(self) -> Ended:
        wish, decided = self.decisions.noted("back_out"), self.decisions.noted("decided")
        if wish is not None:
            return self._forward_again(str(wish["why"]))
        if decided is None:
            stuck, worse = self._undo(turn_of(self.decisions))
            if not worse:
                left = set(self.back.hosts) - stuck.keys()
                down, out, red = self._stopped(left), self._out(left), self._still_red()
                if stuck or down or out or red:
                    worse = self._worse_than_before(Seen(self.back.hosts, stuck, down, red))
                    if not worse:
                        if lost := self.parts.lock.lost():
                            return self._overtaken(lost)
                        return self._incomplete(stuck, (*down, *out, *red))
            if worse:
                one_way = self._one_way()
                if not one_way:
                    return self._forward_again(worse.why)
                return self._incomplete(stuck, worse.red, f"{worse.why}; {NO_WAY}: {one_way}")
            if lost := self.parts.lock.lost(self.back.hosts):
                return self._overtaken(lost)
            decided = self._decide()
        return self._succeed(decided["proof"])

    def _whose(self) -> dict[Place, Balancing]:
        """Every place where traffic is moved, and the newest of the runs that knows it."""
        known = [(place, way.worker.balancing) for way in self.ways for place in way.plan.places]
        return dict(reversed(known))

    def _undo(self, turn: str) -> tuple[Mapping[str, str], Setback | None]:
        """The hosts first, portion by portion, each settled before the next one goes; then this
        machine, each newest run first; and once more whatever that may have changed. Gives what
        is stuck, and why it goes no further back."""
        if not self.back.hosts:
            return self._undo_here() or self._settle_here(turn), None
        self.ways[0].worker.phase(f"back to release {self.back.to}", self.back.hosts)
        stuck: dict[str, str] = {}
        portions = [("", *self.back.hosts)] if self.tied else self.back.portions
        for number, hosts in enumerate(portions, start=1):
            stuck |= self._hosts_back(hosts, stuck, f"{turn}{number}/" if number > 1 else turn)
            last = number == len(portions)  # all hosts are looked at after that
            seen = Seen(hosts, stuck) if last else self._seen(hosts, stuck)
            if worse := self._worse_than_before(seen):
                return stuck, worse
        if in_the_way(stuck, self.ways) or not any(way.done_here() for way in self.ways):
            return stuck, None
        down, red = self._stopped(set(self.back.hosts) - stuck.keys()), self._still_red()
        if worse := self._worse_than_before(Seen(self.back.hosts, stuck, down, red)):
            return stuck, worse
        if here := self._undo_here():
            return stuck | here, None
        if any(way.reached_from_here() for way in self.ways):
            stuck = self._settle(("", *self.back.hosts), {}, turn + AFTERWARDS)
        return stuck, None

    def _seen(self, hosts: Collection[str], stuck: Mapping[str, str]) -> Seen:
        """By these hosts' own checks, and by what runs there."""
        own = [finding for finding in self._required() if finding.host in hosts]
        return Seen(hosts, stuck, self._stopped(set(hosts) - stuck.keys()), self._red(own))

    def _stops(self) -> bool:
        """Whether no further batch goes back: on the last one the earlier release did not come up,
        and this one was well."""
        return bool(self.found.failed()) and not self.tied

    def _hosts_back(
        self, hosts: Collection[str], stuck: Mapping[str, str], turn: str
    ) -> dict[str, str]:
        found = dict(stuck)
        for way in self.ways:
            left = [host for host in way.touched() if host in hosts and host not in found]
            found |= way.undo_on(left, turn)
        return self._settle(hosts, found, turn)

    def _settle(self, hosts: Collection[str], stuck: dict[str, str], turn: str) -> dict[str, str]:
        """Every host as each runbook that touched it settles it, but not twice in the same way."""
        for way, mine in settled_once(self.ways, hosts):
            stuck |= way.settle_again([host for host in mine if host not in stuck], turn)
        for way in self.ways:
            left = [host for host in way.touched() if host in hosts and host not in stuck]
            stuck |= way.into_traffic(left)
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
        if required := self._required():
            self.ways[0].worker.phase("proving the old release")
            return self._red(required)
        return ()

    def _required(self) -> tuple[Finding, ...]:
        """What has to pass after it, as it passed before those runs."""
        before = tuple(self._before())
        keys = judging.after_backing_out(before)
        return tuple(f for f in before if f.key in keys and f.check in self.target.checks)

    def _red(self, required: Sequence[Finding]) -> tuple[Finding, ...]:
        """What the earlier release does not pass of these."""
        if not required:
            return ()
        names, keys = sorted({f.check for f in required}), {f.key for f in required}
        before, to = tuple(self._before()), self.back.to
        self.findings = self.parts.examine(names, self.back.hosts, before, to, patient=True)
        return tuple(f for f in self.findings if f.key in keys and f.verdict is not Verdict.PASS)

    def _stopped(self, hosts: Collection[str]) -> tuple[Finding, ...]:
        """What ran on these hosts before any of those runs, and does not run now."""
        return judging.latest(found for way in self.ways for found in way.stopped(hosts))

    def _out(self, hosts: Collection[str]) -> tuple[Finding, ...]:
        """Those of them that are not in traffic as they were before."""
        return judging.latest(found for way in self.ways for found in way.out(hosts))

    def _before(self) -> Iterator[Finding]:
        """Each check on each host as the oldest run found it."""
        seen: set[str] = set()
        for way in reversed(self.ways):
            found = way.worker.baseline.findings
            yield from (finding for finding in found if finding.key not in seen)
            seen |= {finding.key for finding in found}

    # --- forward again -------------------------------------------------------------------

    def _one_way(self) -> str:
        """Why it cannot go forward again."""
        if not self.back.hosts or any(way.undoing_here() for way in self.ways):
            return "what was done on this machine is being taken back"
        return self.found.one_way

    def _worse_than_before(self, seen: Seen) -> Setback | None:
        """What was well right before, and is not. None also where somebody else is there, and where
        it may be well in the end."""
        worse = None if self.tied else self.found.setback(seen)
        return None if worse and self.parts.lock.lost() else worse

    def _forward_again(self, why: str) -> Ended:
        newest = self.ways[0].worker
        if self.decisions.noted("back_out") is None:
            self.decisions.note("back_out", {"why": why, "failed": []})
        newest.say("warning", f"forward again to release {newest.release}: {why}")
        self.claims.go_back()
        forward = RollForward(self.ways, turn_of(self.decisions))
        away = unheard(self.decisions)
        stuck = forward.run(besides=away)
        stuck |= {host: UNHEARD.format(host) for host in self.back.hosts if host in away}
        newest.phase(f"proving release {newest.release}")
        self.findings, red = self.found.proved()
        gone = left_behind(self.ways)
        ends = {h: HostEnd(HostState.UNCHANGED) for h in self.back.hosts}
        ends |= {h: HostEnd(HostState.BACKED_OUT, why=alike.by_host(red).get(h, "")) for h in gone}
        ends |= {h: HostEnd(HostState.STUCK, why=each) for h, each in stuck.items() if h}
        if stuck or red:
            if red and forward.ill.issuperset(stuck):
                note_red(self.decisions, red)
            self.parts.lock.keep()
            left = "; ".join((*alike.told(stuck), *self.found.words(red)))
            why = f"{why}; and going forward again is incomplete: {left}"
            outcome = Outcome.BACKOUT_INCOMPLETE
            return Ended(outcome, 5, why, ends, newest.release, self.findings)
        if lost := self.parts.lock.lost(gone):
            return self._overtaken(lost)
        self.claims.went_back()
        ends = standing.all_told(ends, self.target, self.parts.reach)
        return Ended(Outcome.BACKED_OUT, 4, why, ends, newest.release, self.findings)

    # --- the end -------------------------------------------------------------------------

    def _incomplete(self, stuck: Mapping[str, str], red: Sequence[Finding], why: str = "") -> Ended:
        if red and only_ill(stuck, self.ways):
            note_red(self.decisions, red)
        self.parts.lock.keep()
        words = why or "; ".join((*alike.told(stuck), *alike.red(red)))
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
        if not whole:
            ends |= dict.fromkeys(self._pending(), HostEnd(HostState.UNCHANGED))
        ends |= {h: HostEnd(HostState.STUCK, why=each) for h, each in stuck.items() if h}
        if whole:
            ends = standing.all_told(ends, self.target, self.parts.reach)
        return Ended(outcome, code, reason, ends, self.back.to, self.findings)

    def _pending(self) -> list[str]:
        """The hosts where nothing has been taken back yet."""
        gone = left_behind(self.ways)
        return [host for way in self.ways for host in way.touched() if host not in gone]

    # --- before anything is undone -------------------------------------------------------

    def _refuse_strangers(self) -> None:
        self.claims.learn()
        if self.decisions.noted("decided") is None:
            self.claims.refuse_strangers(self.back.brought, len(self.back.undoing))

    def _confirm(self) -> None:
        typed = self.target.name if self.target.protected else ""
        question = f"roll {self.target.name} back to release {self.back.to}?"
        if self.target.protected and not self.parts.operator.confirm(question, typed=typed):
            raise Refused("not confirmed", next=f"invoke rollback --target {self.target.name}")
