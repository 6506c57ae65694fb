"""A run, from the lock to its end.

Every decision that must survive a crash is in the journal: an engine that is given the records of
an interrupted run goes on where they end, forward, or back once that was decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from typing import Any

from backout.checks import judging
from backout.errors import BackoutError, Mistakes, Refused
from backout.model import (
    Finding,
    HostEnd,
    HostState,
    Identity,
    Outcome,
    Verdict,
    alike,
)
from backout.ports import CONFIRMED, READY
from backout.runs import confirming, standing
from backout.runs.backward import Backward, only_ill
from backout.runs.balancing import ill, leaves
from backout.runs.baseline import Baseline
from backout.runs.beforehand import way_back
from backout.runs.claims import Claims
from backout.runs.decisions import note_red, turn_of
from backout.runs.discreet import secrets_of
from backout.runs.ended import Ended, put_on_record
from backout.runs.evidence import evidence_of, late_evidence
from backout.runs.forward import Forward, ends_of, record_of
from backout.runs.holding import Holding
from backout.runs.leasing import ended_before, leased
from backout.runs.parts import Parts, side_by_side
from backout.runs.plan import Action, Plan
from backout.runs.serving import who_serves
from backout.runs.wording import title, trouble, went_well
from backout.runs.worker import Worker

Consent = Callable[[Plan, Parts], None]
"""Asked once more before the first change, while the hosts are held. Raises Refused."""


class Engine:
    """One run of one plan."""

    def __init__(self, plan: Plan, parts: Parts, consent: Consent = lambda *_: None) -> None:
        self.plan = plan
        self.parts = parts
        self.consent = consent
        self.worker = Worker(plan, parts)
        saga, decisions = self.worker.saga, self.worker.decisions
        homes = self._homes(plan.hosts)
        self.claims = Claims(parts, saga, decisions, plan.target.name, homes, plan.machines)
        self.forward = Forward(self.worker)

    def deploy(self) -> Ended:
        """From the first look to the end. Raises Refused before any change, and Held."""
        with self._leased() as held:
            with self.claims.unnamed_if_refused():
                self._meet(held)
                self._preflight()
                self._take_baseline()
                self._confirm()
                self.consent(self.plan, self.parts)  # nobody knows how long the question stood
                self._not_stopped()
                self.claims.begin(self.worker.release.number)
            self.worker.note(READY, {"release": asdict(self.worker.release)})
            return self._run_to_its_end()

    def resume(self) -> Ended:
        """Finish what was begun: forward, or back when that was decided. What was looked at
        before the first change is not looked at again."""
        if self.worker.noted(READY) is None and self.worker.noted("back_out") is None:
            return self.deploy()
        if ended := ended_before(self.parts, self.worker.decisions):
            return ended
        with self._leased():
            self.claims.learn()
            return self._run_to_its_end()

    def abort(self) -> Ended:
        """Back out what was begun, on every host that can be reached."""
        succeeded = self.worker.noted("decided") is not None
        if succeeded:
            back = f"invoke rollback --target {self.plan.target.name}"
            self.worker.say("warning", f"it had succeeded, and is not backed out: {back}")
        if ended := ended_before(self.parts, self.worker.decisions):
            return ended
        with self._leased(patient=True):
            self.claims.learn(patient=True)
            ended = self._succeed() if succeeded else self._back_out("aborted")
            return put_on_record(self.worker.decisions, ended)

    def _run_to_its_end(self) -> Ended:
        return put_on_record(self.worker.decisions, self._forward_or_back())

    def _forward_or_back(self) -> Ended:
        wish = self.worker.noted("back_out")
        if wish is not None:
            return self._back_out(wish["why"])
        if self.worker.noted("decided") is not None:
            return self._succeed()
        with self.parts.stop.recorded(lambda why: self.worker.note("stop", {"why": why})):
            words = self._go_forward()
            return self._back_out(words) if words else self._succeed()

    def _go_forward(self) -> str:
        """Why the run goes back; nothing when all is done and proved. One that is held goes the
        same way again once it was answered: what is done stays done."""
        if not self.plan.hold:
            return self.forward.run()
        holding = Holding(self.worker)
        while not (back := holding.ready()):
            words = self.forward.run()
            if not words or self.worker.stopped or not holding.can_ask(self.forward):
                return words
            if back := holding.settled(self.forward):
                return f"{words}; {back}"
            self.forward = Forward(self.worker)
        return back

    # --- before the first change ---------------------------------------------------------

    def _homes(self, names: Iterable[str]) -> dict[str, str]:
        target = self.plan.target
        return {name: target.home_on(target.hosts[name]) for name in names}

    def _meet(self, held: Sequence[str]) -> None:
        """Others may have been there, or on the target's other hosts: their numbers are taken."""
        self.claims.learn()
        self.claims.look_around(self._homes(set(held) & self.plan.target.hosts.keys()))
        if self.claims.highest >= self.worker.release.number:
            self.worker.renumber(self.claims.highest + 1)
        for run in sorted({run for run in self.claims.before.values() if run}):
            if not self.parts.journal.recall(run):
                words = f"run {run} was there last, and is not in this journal"
                self.worker.say("warning", f"{words}: no rollback from here goes back past it")

    def _preflight(self) -> None:
        self.worker.phase("preflight", self.plan.hosts)
        self.parts.vault.fetch(secrets_of(self.plan))
        for words in self.parts.vault.warnings:
            self.worker.say("warning", words)
        self._all_well([partial(self._look, each) for each in self.plan.preflight])
        actions = self.plan.actions
        back = [partial(self._way_back, a) for a in actions if self.worker.kind(a).undoes]
        ready = [partial(self._ready, a) for a in (*actions, *self.plan.settling)]
        self._all_well([*back, *ready])

    def _look(self, action: Action) -> Refused | None:
        result = self.worker.do(action)
        return None if went_well(result) else Refused(trouble(action, result))

    def _way_back(self, action: Action) -> Refused | None:
        """Resolve the undo once before anything acts, only to learn whether it can be known."""
        worker = self.worker
        return self._tried(action, lambda: way_back(worker, action, worker.work(action)))

    def _ready(self, action: Action) -> Refused | None:
        """Whether it can succeed at all, as far as that can be seen before anything acts."""
        return self._tried(action, lambda: self.worker.ready(action))

    def _tried(self, action: Action, look: Callable[[], object]) -> Refused | None:
        try:
            look()
        except Mistakes:
            return None  # only an earlier step saves what it names, or makes its place
        except BackoutError as error:
            return Refused(f"{title(action)}: {error.what}", next=error.next)
        return None

    def _all_well(self, looks: Sequence[Callable[[], Refused | None]]) -> None:
        problems = [problem for problem in side_by_side(lambda look: look(), looks) if problem]
        if problems:
            words = dict.fromkeys(problem.what for problem in problems)
            fixes = dict.fromkeys(problem.next for problem in problems if problem.next)
            raise Refused("\n".join(words), next="\n       ".join(fixes) or self._plan_command())
        self._not_stopped()

    def _take_baseline(self) -> None:
        self.worker.phase("baseline")
        findings = self.worker.look((), self.plan.hosts)
        seen = dict(zip(self.plan.hosts, side_by_side(self._served, self.plan.hosts), strict=True))
        baseline = Baseline(
            findings,
            up={host: identity.runs for host, identity in seen.items()},
            well={host: identity.up for host, identity in seen.items()},
            first=self.plan.first,
        )
        self.worker.note("baseline", baseline.record())
        plan, named = self.plan, self.claims.before
        added = [host for host in plan.added if not named.get(host)]
        reasons = judging.baseline_refusals(
            findings, plan.target.checks, plan.accept_red, first=baseline.first, added=added
        )
        self._take_traffic()
        if reasons:
            words = "\n".join(("the baseline is not what it must be", *reasons))
            accept = judging.accepting(findings, self.plan.target.checks)
            raise Refused(words, next=self._plan_command() + accept)

    def _take_traffic(self) -> None:
        """How every balancer is, and whether each batch can be spared."""
        balancing, batches = self.worker.balancing, self.plan.batches
        self.worker.warn(balancing.look(self.plan.places))
        moving = [b.hosts for b in batches if any(leaves(self.worker, a) for a in b.all_actions)]
        balancing.refuse_too_few(self.plan.places, moving, partial(ill, self.worker))

    def _served(self, host: str) -> Identity:
        """Who serves there, as a step has just seen, or asked for. A moment in which nobody can
        tell is given time to pass."""
        nobody = Identity(up=False, known=False)
        if (seen := self.worker.served.get(host, nobody)).runs is not None:
            return seen
        return who_serves(self.worker, host) or nobody

    def _confirm(self) -> None:
        self._not_stopped()
        if self.worker.noted(CONFIRMED) is None:
            operator, warn = self.parts.operator, self.worker.warn
            confirming.asked(self.plan, self.worker.release, operator, warn)

    def _not_stopped(self) -> None:
        if self.worker.stopped:
            raise Refused(f"{self.worker.stopped}, before any change", next=self._plan_command())

    # --- the good end --------------------------------------------------------------------

    def _succeed(self) -> Ended:
        decided = self.worker.noted("decided")
        if decided is None:
            if lost := self.parts.lock.lost(self._arrived()):
                return self._overtaken(lost)
            if self.forward.stuck:
                return self._doubtful(self.forward.stuck)
            decided = self._decide()
        findings = tuple(Finding.of(row) for row in decided["proof"])
        if missed := self.claims.arrived(decided["hosts"], self.worker.release):
            lost = self.parts.lock.lost()
            return self._overtaken(lost) if lost else self._unrecorded(missed, findings)
        hosts = self._deployed(decided["hosts"], ends_of(decided["withdrawn"]))
        self._finally()
        return Ended(Outcome.SUCCEEDED, 0, "", hosts, self.worker.release, findings)

    def _unrecorded(self, missed: Mapping[str, str], findings: tuple[Finding, ...]) -> Ended:
        """A success that a host has not on record: whoever asks it later takes it for half done.
        So the run stays open, until `resume` has written that too."""
        self.parts.lock.keep()
        ends = {h: HostEnd(HostState.DEPLOYED, why=missed.get(h, "")) for h in self._arrived()}
        ends |= self._told(self.forward.withdrawn)
        words = f"deployed and proved; not on record there: {'; '.join(alike.told(missed))}"
        outcome = Outcome.BACKOUT_INCOMPLETE
        return Ended(outcome, 5, words, ends, self.worker.release, findings)

    def _decide(self) -> Mapping[str, Any]:
        """The outcome and the ledger's row. What nothing proves is never known good."""
        release, withdrawn = self.worker.release, self.forward.withdrawn
        deployed = self._arrived()
        proof = self.worker.findings
        proved = any(finding.verdict is Verdict.PASS for finding in proof)
        record = {
            "hosts": deployed,
            "withdrawn": record_of(withdrawn),
            "release": asdict(release),
            "proof": [finding.record() for finding in proof],
            "snapshots": facts_of(proof, "snapshot"),
            "standing": facts_of(proof, "standing"),
        }
        self.parts.journal.finish(
            self.plan.run,
            "succeeded",
            record,
            release=release,
            known_good=proved and not self.plan.selected and not withdrawn,
            covers=deployed,
        )
        self.worker.decisions.took("decided", record)
        return record

    def _arrived(self) -> list[str]:
        return [host for host in self.plan.hosts if host not in self.forward.withdrawn]

    def _doubtful(self, stuck: Mapping[str, str]) -> Ended:
        """Hosts within the budget could be neither finished nor taken back: no success, whatever
        the others are. The run stays open; whoever resumes it takes those back, or tries to."""
        self.parts.lock.keep()
        self._finally()
        open_ = HostEnd(HostState.DEPLOYED, why="on record there when the run has ended")
        ends = dict.fromkeys(self._arrived(), open_) | self._told(self.forward.withdrawn)
        words = "; ".join(alike.told(stuck))
        if rest := self._arrived():
            words += f"; {alike.some(rest)}: deployed and proved, within max_failures"
        outcome = Outcome.BACKOUT_INCOMPLETE
        return Ended(outcome, 5, words, ends, self.worker.release, self.worker.findings)

    def _deployed(
        self, done: Sequence[str], withdrawn: Mapping[str, HostEnd]
    ) -> dict[str, HostEnd]:
        """What became of the hosts, each asked for its own record."""
        self.claims.went_back(h for h, e in withdrawn.items() if e.state is HostState.WITHDRAWN)
        return self._told(dict.fromkeys(done, HostEnd(HostState.DEPLOYED)) | dict(withdrawn))

    def _told(self, ends: Mapping[str, HostEnd]) -> dict[str, HostEnd]:
        """What is said of a host is asked of that host."""
        return standing.all_told(ends, self.plan.target, self.parts.reach)

    def _finally(self) -> None:
        for action in self.plan.finals:
            result = self.worker.do(action)
            if not went_well(result):
                self.worker.say("warning", f"finally: {trouble(action, result)}")

    # --- the way back --------------------------------------------------------------------

    def _back_out(self, why: str) -> Ended:
        backward, turn = Backward(self.worker), turn_of(self.worker.decisions)
        withdrawn, wish = self.forward.withdrawn, self.worker.noted("back_out")
        if wish is None:
            failed = self._failed()
            evidence = {} if backward.first() else evidence_of(self.worker, failed, withdrawn)
            wish = {"why": why, "failed": [each.record() for each in failed], **evidence}
            self.worker.note("back_out", wish)
        self.worker.say("warning", f"backing out: {why}")
        self.claims.go_back()
        wish = {**wish, **late_evidence(self.worker, backward, wish, withdrawn)}
        well = [host for host, end in withdrawn.items() if end.state is HostState.WITHDRAWN]
        self.worker.findings = ()
        stuck = backward.run(turn, () if turn else well)
        red = backward.still_red(stuck)
        if red and only_ill(stuck, (backward,)):
            note_red(self.worker.decisions, red)
        self._finally()
        why = "; ".join((why, *backward.remaining()))
        ends = self._told(self._ends(backward.touched(), stuck, red))
        findings, advice = self._shown(wish.get("failed", ())), str(wish.get("advice", ""))
        if not stuck and not red:
            if lost := self.parts.lock.lost(backward.touched()):
                return self._overtaken(f"{why}; {lost}")
            self.claims.went_back()
            return Ended(Outcome.BACKED_OUT, 4, why, ends, self.plan.previous, findings, advice)
        self.parts.lock.keep()
        if lost := self.parts.lock.lost():  # what they are by now is not this run's to say
            ends |= {h: HostEnd(HostState.STUCK, why=lost) for h in {*ends} - {*backward.touched()}}
        left = (*alike.told(stuck), *alike.red(red, "it passed before"))
        reason = f"{why}; and backing out is incomplete: {'; '.join(left)}"
        outcome = Outcome.BACKOUT_INCOMPLETE
        return Ended(outcome, 5, reason, ends, self.plan.previous, findings, advice)

    def _ends(
        self, touched: Sequence[str], stuck: Mapping[str, str], red: Sequence[Finding]
    ) -> dict[str, HostEnd]:
        ends = dict.fromkeys(self.plan.hosts, HostEnd(HostState.UNCHANGED))
        ill = alike.by_host(red)
        ends |= {h: HostEnd(HostState.BACKED_OUT, why=ill.get(h, "")) for h in touched}
        return ends | {h: HostEnd(HostState.STUCK, why=why) for h, why in stuck.items() if h}

    def _shown(self, failed: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
        """What proved the old release, and what had failed and is no part of that proof."""
        proved = {finding.key for finding in self.worker.findings}
        rest = (Finding.of(row) for row in failed)
        return (*self.worker.findings, *(f for f in rest if f.key not in proved))

    def _failed(self) -> tuple[Finding, ...]:
        """The findings that stopped the way forward, each once."""
        return judging.latest(self.forward.failed)

    # --- the fleet -----------------------------------------------------------------------

    def _leased(self, *, patient: bool = False) -> AbstractContextManager[Sequence[str]]:
        plan = self.plan
        at = plan.places
        return leased(self.parts, plan.target, plan.run, plan.hosts, at=at, patient=patient)

    def _overtaken(self, lost: str) -> Ended:
        """Somebody took the lock away: what the hosts are by now is not this run's to say."""
        self.parts.lock.keep()
        ends = dict.fromkeys(self.plan.hosts, HostEnd(HostState.STUCK, why=lost))
        return Ended(
            Outcome.BACKOUT_INCOMPLETE, 5, lost, ends, self.plan.previous, self.worker.findings
        )

    def _plan_command(self) -> str:
        return f"invoke plan --target {self.plan.target.name}"


def facts_of(findings: Sequence[Finding], name: str) -> dict[str, Any]:
    """What checks want held against what they see later."""
    return {f.key: f.facts[name] for f in findings if name in f.facts}
