"""One action, done or undone: rendered, journaled, told.

The worker knows everything an action may use (its transport, its names, the run's saved values)
and nothing of the order in which actions come: `forward` and `backward` decide that.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from backout.checks import judging
from backout.errors import BackoutError, Mistakes, Unreachable
from backout.language import expressions, scope, templates
from backout.model import Event, Finding, Host, Identity, Release, Result, State, Undo, Verdict
from backout.ports import Lasting, Restarter, StepContext, StepKind, Traffic
from backout.runs import barring
from backout.runs.balancing import Balancing
from backout.runs.baseline import Baseline
from backout.runs.decisions import Decisions
from backout.runs.discreet import Discreet, discreet_slots
from backout.runs.parts import Must, Parts, Red
from backout.runs.plan import Action, Plan, moves
from backout.runs.right_machine import wrong_machine
from backout.runs.saga import Entry, Saga, note_key
from backout.runs.wording import UNWANTED, words_of

BACK = ("undo", "back")
"""The phases of an action on the way back."""
AGAIN = "again"
"""The phase, and the beginning of the key, of what a rollback does again that it had taken back."""
PROOF = "proof"
"""The phase, and the key, of the last proof."""


class Worker:
    """Does the actions of one run."""

    def __init__(
        self,
        plan: Plan,
        parts: Parts,
        saga: Saga | None = None,
        past: Saga | None = None,
        balancing: Balancing | None = None,
    ) -> None:
        """`past` is the saga of the plan's own run, where `saga` is that of another one which
        takes it back, and what that one knows of the balancers is `balancing`."""
        self.plan = plan
        self.parts = parts
        self.saga = saga or Saga(plan.run, parts.journal, parts.clock)
        self.past = past or self.saga
        self.release: Release = plan.release
        self.saved: dict[str, Any] = {}
        self.findings: tuple[Finding, ...] = ()
        """What proves the run's end; the baseline is none of it."""
        self.decisions = Decisions(plan.run, parts.journal)
        self.balancing = balancing or Balancing(parts, plan.target, self.decisions)
        if (given := self.decisions.noted("number")) is not None:
            self.release = replace(self.release, number=given["number"])
        self.served: dict[str, Identity] = {}
        """Who served on each host when a step last looked."""
        self.once_more: set[str] = set()
        """The actions that failed, and that a person wants to be tried again."""
        self.guard = threading.Lock()
        self._bringing = {a.host for a in plan.actions if parts.steps[a.step.kind].brings}
        self._unchanging: dict[str, dict[str, Any]] = {}
        self._remember(self.past)

    # --- what the run has decided so far -------------------------------------------------

    def note(self, name: str, body: Mapping[str, Any]) -> None:
        """A decision that must survive a crash."""
        self.decisions.note(name, body)
        self.__dict__.pop("baseline", None)

    def noted(self, name: str) -> Mapping[str, Any] | None:
        return self.decisions.noted(name)

    def renumber(self, number: int) -> None:
        """Take a higher number than the plan has: the hosts have seen that one."""
        self.note("number", {"number": number})
        self.parts.journal.number_seen(self.plan.target.name, number)
        self.release = replace(self.release, number=number)

    @cached_property
    def baseline(self) -> Baseline:
        record = self.noted("baseline")
        return Baseline() if record is None else Baseline.of(record)

    @property
    def stopped(self) -> str:
        """Why nothing more may start, or nothing; also when that was said to an earlier process
        of this run."""
        wish = self.noted("stop")
        return self.parts.stop.reason or ("" if wish is None else str(wish["why"]))

    # --- doing ---------------------------------------------------------------------------

    def do(
        self,
        action: Action,
        *,
        hosts: Sequence[str] | None = None,
        must: Must | None = None,
        red: Red | None = None,
        went: Undo | None = None,
    ) -> Result:
        """The action, at most once; only the last proof is made each time. `hosts` are its checks'
        (all), `must` says which ones must pass, `red` looks otherwise; `went`: a step context's."""
        if action.host:
            hosts = (action.host,)
        again = action.key in self.once_more
        self.once_more.discard(action.key)
        try:
            if not self._wanted(action):
                skipped = Result(State.SKIPPED, reason=UNWANTED)
                return self.saga.settle(action, skipped, again=again)
            chosen = self.plan.hosts if hosts is None else hosts
            work = self.work(action, hosts=chosen, must=must, went=went)
            work = replace(work, verify=lambda _: red()) if red else work
        except BackoutError as error:
            state = State.UNREACHABLE if isinstance(error, Unreachable) else State.FAILED
            failed = Result(state, reason=error.what)
            return self._told(action, self.saga.settle(action, failed, again=again))
        known = self.saga.entry(action.key).result
        missed = action.phase in (*BACK, AGAIN) and known is not None and not known.ok
        anew = _looks(action) or missed or again
        if known is None or anew:
            self.tell(action, "running")
            if why := self._fenced(action) or self._elsewhere(action):
                failed = Result(State.FAILED, reason=why)
                return self._told(action, self.saga.settle(action, failed, again=again))
        result = self.saga.perform(action, self.kind(action), work, anew=anew, again=again)
        if lost := self._keep(action, result):
            result = replace(result, state=State.FAILED, reason=lost)
        return self._told(action, result) if known is None or anew else result

    def ready(self, action: Action) -> None:
        """Look whether it can succeed. Raises Refused; Mistakes for what only later is known."""
        if not self._wanted(action):
            return
        made = not self._bringing.isdisjoint(("", action.host))
        self.kind(action).ready(self.work(action), made=made)

    def can_tell(self, action: Action) -> bool:
        """Whether every name that it uses is there."""
        try:
            return not self._wanted(action) or bool(self.work(action))
        except Mistakes:
            return False
        except BackoutError:
            return True

    def by_hand(self, action: Action, by: str) -> str:
        """Record that a person has done it. Why that is not so; empty when it is."""
        try:
            work = self.work(action)
        except BackoutError as error:
            return error.what
        return self.saga.by_hand(action, self.kind(action), work, by)

    def undo(self, action: Action, entry: Entry) -> Result:
        """Take back what `entry` did; `action.key` names the undo."""
        self.tell(action, "running")
        if fenced := self._fenced(action):
            return self._told(action, Result(State.FAILED, reason=fenced))
        try:
            work = self.work(action, strict=False)
            result = self.saga.take_back(action, self.kind(action), work, entry)
        except Unreachable as error:
            result = Result(State.UNREACHABLE, reason=error.what)
        return self._told(action, result)

    def kind(self, action: Action) -> StepKind:
        return self.parts.steps[action.step.kind]()

    def work(
        self,
        action: Action,
        *,
        hosts: Sequence[str] = (),
        must: Must | None = None,
        strict: bool = True,
        went: Undo | None = None,
    ) -> StepContext:
        """All that the action may use. Raises Mistakes, Unreachable. Without `strict` a step
        that cannot be rendered (its names are gone) is taken as it is: an undo is journaled
        ready to run, and needs only the machine."""
        names = self.scope(action.host)
        kind, back = self.kind(action), action.phase in BACK
        own = self.saga.run == self.plan.run
        before = self.baseline if own else Baseline()  # a rollback's own "before" is now
        try:
            step = templates.render_step(action.step, names, shell=kind.shell)
        except Mistakes:
            if strict:
                raise
            step = action.step
        work = StepContext(
            step=step,
            options=step.options,
            key=note_key(self.saga.run, action.key),
            target=self.plan.target,
            run=self.plan.run,
            release=self.release,
            previous=self.plan.previous,
            host=self.host(action.host),
            transport=self.parts.reach(action.machine),
            here=self.parts.reach(""),
            restarter=lambda: self.restarter(action.host),
            served=lambda: self._still(action.host),
            vault=self.parts.vault,
            clock=self.parts.clock,
            operator=self.parts.operator,
            verify=lambda checks: self.red(
                checks,
                hosts or ((action.host,) if action.balancer else ()),
                must or (self.passed_before if back else self.required),
            ),
            traffic=self._traffic(action) if action.balancer else None,
            say=lambda text: self.say("note", text, host=action.host),
            render=lambda text: templates.render_document(text, names),
            second=self.parts.second,
            was_up=before.up.get(action.host) if back else None,
            was_well=before.well.get(action.host, True),
            once=self.parts.once,
            refused=partial(self.parts.lock.refused, action.machine),
            slots=lambda: discreet_slots(self.parts.restarter(action.host), self.parts.vault),
            went=went,
            undoing=action.phase == "undo",
            origin=action.key.removeprefix(f"{AGAIN}/") if action.phase == AGAIN else "",
        )
        return work if back else replace(work, gate=lambda: barring.barred(self, action, work))

    def _traffic(self, action: Action) -> Traffic:
        there = (a for a in (*self.plan.actions, *self.plan.settling) if a.there == action.there)
        done = (a for a in there if self.past.entry(a.key).done)
        returned = any(not self.kind(a).settles_first(a.step.options) for a in done)
        back, moved = action.phase in BACK, self.saga.moved(action)
        return self.balancing.of(action, moved=moved, back=back, returned=returned)

    def scope(self, host: str) -> dict[str, Any]:
        """The names that this run's templates may use on a host."""
        plan = self.plan
        if host not in self._unchanging:
            self._unchanging[host] = {
                **scope.on(plan.target, self.host(host)),
                "params": templates.without_references(dict(plan.params)),
                "run": {"id": plan.run, "user": plan.user, "started": plan.started},
            }
        return {
            **self._unchanging[host],
            "release": scope.release_names(self.release, plan.previous),
            "saved": dict(self.saved),
        }

    def restarter(self, host: str) -> Restarter:
        """The restart backend on a host. Raises Refused."""
        restarter = self.parts.restarter(host)
        return Discreet(restarter, self.parts.vault, partial(self.served.__setitem__, host))

    def _still(self, host: str) -> Identity | None:
        last, restarter = self.served.get(host), self.parts.restarter(host)
        if last is None or not last.up or not isinstance(restarter, Lasting):
            return None
        return last if restarter.still(last) else None

    def host(self, name: str) -> Host | None:
        return self.plan.target.hosts[name] if name else None

    def moved(self, action: Action) -> bool:
        """Whether it acted, and may have changed what a service runs."""
        return moves(action.step, type(self.kind(action))) and self.saga.entry(action.key).touched

    def _fenced(self, action: Action) -> str:
        """Why nothing may be changed from here any more. What changes a host is fenced there."""
        kind = self.kind(action)
        changes = kind.changes and not action.step.readonly
        from_here = not action.machine or kind.acts_here
        return self.parts.lock.lost() if changes and from_here else ""

    def _elsewhere(self, action: Action) -> str:
        """Why its host is not to be changed: it is not the machine that is meant."""
        host, idle = self.host(action.machine), action.step.readonly or action.phase in BACK
        asked = host and self.kind(action).changes and not idle
        return wrong_machine(host, self.parts.reach(host.name)) if host and asked else ""

    def _wanted(self, action: Action) -> bool:
        """Raises Mistakes when nobody can tell."""
        when = action.step.when
        try:
            names = {**self.scope(action.host), "now": self.parts.clock.now()}
            return not when or expressions.holds(when, names)
        except expressions.CannotTell as error:
            raise Mistakes(
                f"cannot tell `when: {when}`: {error.reason}",
                where=action.step.name,
                next=f"mend `when` of it, then invoke plan --target {self.plan.target.name}",
            ) from error

    def _keep(self, action: Action, result: Result) -> str:
        """What a step saves, later steps may use; the commit it makes is the release's. Returns
        why something could not be saved."""
        if not result.ok:
            return ""
        lines = {"stdout": result.stdout.rstrip("\n"), "stderr": result.stderr.rstrip("\n")}
        names = {**lines, "exit_code": result.exit_code, **result.saved}
        with self.guard:
            if action.step.kind == "commit" and "commit" in result.saved:
                self.release = replace(self.release, commit=str(result.saved["commit"]))
            for name, expression in action.step.save.items():
                try:
                    value = expressions.evaluate(expression, names)
                except expressions.CannotTell as error:
                    return f"cannot save {name}: {expression}: {error.reason}"
                self.saved[name] = templates.without_references(value)
        return ""

    def _remember(self, saga: Saga) -> None:
        """Take up what an earlier process of this run kept."""
        for action in (*self.plan.preflight, *self.plan.actions, *self.plan.settling):
            result = saga.entry(action.key).result
            if result is not None:
                self._keep(action, result)

    # --- looking -------------------------------------------------------------------------

    def red(
        self, names: Sequence[str], hosts: Sequence[str], must: Must | None = None
    ) -> tuple[Finding, ...]:
        """The findings that must pass now and do not."""
        findings = self.examine(names, hosts)
        required = (must or self.required)(findings)
        return tuple(f for f in findings if f.key in required and f.verdict is not Verdict.PASS)

    def required(self, findings: Sequence[Finding], *, final: bool = True) -> Collection[str]:
        """The keys that must pass after the change; see `judging.required`."""
        before, checks = self.baseline.findings, self.plan.target.checks
        return judging.required(findings, before, checks, self.plan.accept_red, final=final)

    def passed_before(self, _findings: Sequence[Finding] = ()) -> Collection[str]:
        """The keys of what has to pass after the way back."""
        return judging.after_backing_out(self.baseline.findings)

    def examine(self, names: Sequence[str], hosts: Sequence[str]) -> tuple[Finding, ...]:
        """Run checks, patiently; what they found is kept for the report."""
        findings = self.look(names, hosts, patient=True)
        with self.guard:
            self.findings = judging.latest((*self.findings, *findings))
        return findings

    def look(
        self, names: Sequence[str], hosts: Sequence[str], *, patient: bool = False
    ) -> tuple[Finding, ...]:
        """Run checks; nothing is made of what they found."""
        before = self.baseline.findings
        return self.parts.examine(names, hosts, before, self.release, patient=patient)

    # --- telling -------------------------------------------------------------------------

    def warn(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say("warning", line)

    def phase(self, text: str, hosts: Sequence[str] = ()) -> None:
        words = f"{text}: {', '.join(hosts)}" if hosts else text
        self.parts.emit(Event(self.parts.clock.now(), "phase", words))

    def say(self, kind: str, text: str, host: str = "") -> None:
        self.parts.emit(Event(self.parts.clock.now(), kind, text, host=host))

    def tell(self, action: Action, state: str, result: Result | None = None) -> None:
        detail = "" if result is None or result.ok else words_of(result)
        self.parts.emit(
            Event(
                self.parts.clock.now(),
                "step",
                action.step.name,
                step=action.step.name,
                host=action.host,
                phase=action.phase,
                state=state,
                seconds=result.seconds if result else 0.0,
                detail=detail,
            )
        )

    def _told(self, action: Action, result: Result) -> Result:
        self.tell(action, str(result.state), result)
        return result


def _looks(action: Action) -> bool:
    """What an earlier process saw before it changed anything is no proof of what is true now. A
    gate that was passed stays passed: the last proof is never remembered."""
    return action.phase in ("preflight", PROOF)
