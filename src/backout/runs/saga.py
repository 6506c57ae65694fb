"""One primitive: do this at most once per recorded outcome.

Before an action acts, its intent and its resolved undo are durable; when it has ended, its outcome
is. Whatever has an intent and no outcome was interrupted and may still be running: the machine is
asked first (`recall`), then the step's own `check`; only what may safely run again runs again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from backout.errors import BackoutError, Interrupted, Unreachable
from backout.model import Record, Result, State, Step, Undo
from backout.ports import Clock, Journal, StepContext, StepKind
from backout.runs.attempt import acted, undone
from backout.runs.plan import Action

ATTEMPTS = 3
"""How often an act or an undo whose end is not seen is tried within one process."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal knows of one action."""

    key: str
    begin: Mapping[str, Any] | None = None
    end: Mapping[str, Any] | None = None
    attempt: int = 0

    @property
    def undo(self) -> Undo:
        return Undo(text="") if self.begin is None else Undo(**self.begin["undo"])

    @property
    def run(self) -> str:
        return "" if self.begin is None else str(self.begin["run"])

    @property
    def result(self) -> Result | None:
        return None if self.end is None else result_of(self.end)

    @property
    def done(self) -> bool:
        """Whether it acted and went well."""
        return self.end is not None and self.end["state"] == State.DONE

    @property
    def unseen(self) -> bool:
        """Whether it began, and nobody saw its end: it may still be at work."""
        return self.begin is not None and (self.end is None or self.end["state"] == State.UNKNOWN)

    @property
    def touched(self) -> bool:
        """Whether the action may have changed something."""
        never_began = self.attempt == 1 and self.end and self.end["state"] == State.UNREACHABLE
        return self.begin is not None and not never_began

    @property
    def stays(self) -> str:
        """Why what it may have changed stays, whatever is undone; empty for all else."""
        return self.undo.irreversible if self.touched else ""


def result_of(record: Mapping[str, Any]) -> Result:
    """The result that an end record holds."""
    return Result(
        state=State(record["state"]),
        exit_code=record["exit_code"],
        stdout=record["stdout"],
        stderr=record["stderr"],
        reason=record["reason"],
        seconds=record["seconds"],
        saved=record["saved"],
    )


def entries(records: Iterable[Record]) -> dict[str, Entry]:
    """Records of one run, in order, as the latest word on each key."""
    known: dict[str, Entry] = {}
    for record in records:
        entry = known.get(record.key, Entry(record.key))
        if record.kind == "begin":
            attempt = record.body["attempt"]
            known[record.key] = Entry(record.key, record.body, None, attempt)
        elif record.kind == "end":
            known[record.key] = replace(entry, end=record.body)
    return known


class Saga:
    """The intents and outcomes of one run."""

    def __init__(self, run: str, journal: Journal, clock: Clock) -> None:
        self.run = run
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._entries = entries(journal.recall(run))

    def entry(self, key: str) -> Entry:
        with self._lock:
            return self._entries.get(key, Entry(key))

    def keys(self) -> tuple[str, ...]:
        """The name of every note that this run's actions may have on a machine."""
        tries = ((entry, n) for entry in self.begun() for n in range(1, entry.attempt + 1))
        return tuple(key for e, n in tries for key in e.undo.keys(note_key(self.run, e.key, n)))

    def begun(self, beginning: str = "") -> tuple[Entry, ...]:
        """The actions whose names begin so, all of them unless said."""
        with self._lock:
            named = (e for key, e in self._entries.items() if key.startswith(beginning))
            return tuple(entry for entry in named if entry.begin is not None)

    def unseen(self, beginning: str) -> tuple[Entry, ...]:
        """Those of them that may still be at work."""
        return tuple(entry for entry in self.begun(beginning) if entry.unseen)

    def moved(self, action: Action) -> bool:
        """Whether another action has moved the same host's traffic at the same balancer."""
        with self._lock:
            begun = [(e.key, e.begin) for e in self._entries.values() if e.begin is not None]
        return any(
            key != action.key and (b["host"], b.get("balancer"), b.get("at")) == action.there
            for key, b in begun
        )

    def under_way(self) -> tuple[str, ...]:
        """What has begun and has no end on record, by step and host."""
        begun = [e.begin for e in self.begun() if e.begin is not None and not e.end]
        return tuple(f"{b['step']} on {b['host'] or 'this machine'}" for b in begun)

    def perform(
        self,
        action: Action,
        kind: StepKind,
        work: StepContext,
        *,
        anew: bool = False,
        again: bool = False,
    ) -> Result:
        """Act at most once; an outcome on record is given back, an interruption sorted out.
        With `anew` an action that has an outcome acts again, as another attempt; with `again`
        because a person wants it."""
        entry = self.entry(action.key)
        if entry.result is not None and not (anew or again):
            return entry.result
        act = self._once_more if again and entry.begin and entry.end else self._forward
        return self._timed(action, lambda: act(action, kind, work, entry))

    def by_hand(self, action: Action, kind: StepKind, work: StepContext, by: str) -> str:
        """A person says that it is done. Why it is not recorded so; empty when it is, for what
        the machine says agrees."""
        entry = self.entry(action.key)
        if why := _not_by_hand(action.step, kind, entry):
            return why
        try:
            undo = entry.undo if entry.begin else kind.before(work)
            if why := _disagrees(kind, numbered(work, max(1, entry.attempt)), undo):
                return why
        except BackoutError as error:
            return error.what
        if entry.begin is None:
            self._begin(action, undo, 1)
        self._end(action, Result(State.DONE, reason=f"done by hand, says {by}, and it is so"))
        return ""

    def take_back(self, action: Action, kind: StepKind, work: StepContext, entry: Entry) -> Result:
        """Undo `entry`, whichever run made it. `action.key` names the undo itself."""
        known = self.entry(action.key).result
        if known is not None and known.state in (State.DONE, State.SKIPPED):
            return known
        return self._timed(action, lambda: self._backward(action, kind, work, entry))

    def settle(self, action: Action, result: Result, *, again: bool = False) -> Result:
        """Record an outcome that needed no act: not wanted, or impossible to begin. Of what has
        begun nobody knows then what became."""
        entry = self.entry(action.key)
        unsure = result.state in (State.SKIPPED, State.UNREACHABLE)
        if entry.begin is not None and (unsure or entry.unseen):
            result = replace(result, state=State.UNKNOWN)
        known = None if again else entry.result
        return self._timed(action, lambda: result) if known is None else known

    def _timed(self, action: Action, do: Callable[[], Result]) -> Result:
        started = self._clock.monotonic()
        result = replace(do(), seconds=round(self._clock.monotonic() - started, 3))
        self._end(action, result)
        return result

    # --- forward -------------------------------------------------------------------------

    def _forward(self, action: Action, kind: StepKind, work: StepContext, entry: Entry) -> Result:
        if entry.begin is not None and entry.end is None:
            return self._persist(action, kind, work, entry.undo, entry.attempt)
        try:
            if work.step.check and kind.done(work):
                return Result(State.SKIPPED, reason="already done")
            undo = kind.before(work)
        except Unreachable as error:
            return Result(State.UNREACHABLE, reason=error.what)
        except BackoutError as error:
            return Result(State.FAILED, reason=error.what)
        return self._persist(action, kind, work, undo)

    def _once_more(self, action: Action, kind: StepKind, work: StepContext, entry: Entry) -> Result:
        """Never beside itself, and with the way back that it had: what is there by now may be its
        own work."""
        try:
            seen = self._still(kind, work, entry)
            if seen is not None and seen.ok:
                return seen
            if work.step.check and kind.done(work):
                return Result(State.DONE, reason="its check says that it is done")
        except Unreachable as error:
            return Result(State.UNKNOWN, reason=error.what)
        except BackoutError as error:
            return Result(State.FAILED, reason=error.what)
        return self._persist(action, kind, work, entry.undo)

    def _still(self, kind: StepKind, work: StepContext, entry: Entry) -> Result | None:
        """What became of an attempt whose end was not seen; it does not run on afterwards. Of what
        did end the record knows more than a note."""
        known = entry.result
        if known is None or known.state not in (State.UNKNOWN, State.UNREACHABLE):
            return None
        return kind.recall(numbered(work, entry.attempt), entry.undo)

    def _persist(
        self, action: Action, kind: StepKind, work: StepContext, undo: Undo, interrupted: int = 0
    ) -> Result:
        """Act, and again while it fails and the step's `retry` lasts. An interrupted attempt is
        sorted out first."""
        retry = work.step.retry
        started = self._clock.monotonic()
        if interrupted:
            unknown = Result(State.UNKNOWN, reason="interrupted, and its outcome is not known")
            result = self._sort_out(action, kind, work, undo, interrupted, unknown, ATTEMPTS)
        else:
            result = self._try(action, kind, work, undo)
        while retry and result.state is State.FAILED:
            if self._clock.monotonic() + retry.every > started + retry.for_:
                break
            self._clock.sleep(retry.every)
            result = self._try(action, kind, work, undo)
        return result

    def _try(self, action: Action, kind: StepKind, work: StepContext, undo: Undo) -> Result:
        """Act, where nothing forbids it at this moment."""
        if why := work.gate():
            return Result(State.FAILED, reason=why)
        return self._act(action, kind, work, undo, self.entry(action.key).attempt + 1)

    def _act(
        self,
        action: Action,
        kind: StepKind,
        work: StepContext,
        undo: Undo,
        attempt: int,
        left: int = ATTEMPTS,
    ) -> Result:
        self._begin(action, undo, attempt)
        result = acted(kind, replace(numbered(work, attempt), resolved=undo), undo)
        if result.state is State.UNKNOWN:
            return self._sort_out(action, kind, work, undo, attempt, result, left)
        return result

    def _sort_out(
        self,
        action: Action,
        kind: StepKind,
        work: StepContext,
        undo: Undo,
        attempt: int,
        unknown: Result,
        left: int,
    ) -> Result:
        """The end of this attempt was not seen: ask the machine, then the step's own check.
        `left` is how often it may still be tried within this process."""
        try:
            recalled = kind.recall(numbered(work, attempt), undo)
            if recalled is not None and recalled.state is not State.UNKNOWN:
                return recalled
            done = kind.done(work) if recalled is not None and work.step.check else None
        except Unreachable as error:
            return replace(unknown, reason=f"{unknown.reason}; {error.what}")
        if done:
            return Result(State.DONE, reason="its check says that it is done")
        may_run = recalled is None or done is False or _harmless(kind, work)
        if may_run and left > 1:
            if why := work.gate():
                return replace(unknown, reason=f"{unknown.reason}; not tried again: {why}")
            return self._act(action, kind, work, undo, attempt + 1, left - 1)
        return replace(unknown, reason=(recalled and recalled.reason) or unknown.reason)

    # --- back ----------------------------------------------------------------------------

    def _backward(self, action: Action, kind: StepKind, work: StepContext, entry: Entry) -> Result:
        try:
            if entry.unseen and not self.over(kind, work, entry) and entry.end is None:
                return Result(State.SKIPPED, reason="it never began")
            return self._undo(action, kind, work, entry)
        except Unreachable as error:
            return Result(State.UNREACHABLE, reason=error.what)
        except Interrupted:
            raise
        except BackoutError as error:
            return Result(State.FAILED, reason=error.what)

    def over(self, kind: StepKind, work: StepContext, entry: Entry) -> bool:
        """Whether it ever began. If it did it is over then: what was not seen to end does not run
        on beside what comes next. Attempts before an interrupted one did begin. Raises
        Unreachable."""
        key = note_key(entry.run, entry.key, entry.attempt)
        forward = replace(work, key=key, undoing=True)
        return kind.recall(forward, entry.undo) is not None or entry.attempt > 1

    def _undo(self, action: Action, kind: StepKind, work: StepContext, entry: Entry) -> Result:
        """Undos are idempotent: one whose end was not seen is run again, never beside itself."""
        attempt = self.entry(action.key).attempt
        result = Result(State.UNKNOWN)
        for _ in range(ATTEMPTS):
            if attempt:
                recalled = work.transport.recall(numbered(work, attempt).key, work.step.timeout)
                if recalled is not None and recalled.ok:
                    return recalled
            attempt += 1
            way = Undo(text=entry.undo.text, summary=entry.undo.summary)
            self._begin(action, way, attempt)
            result = undone(kind, numbered(work, attempt), entry.undo)
            if result.state is not State.UNKNOWN:
                break
        return result

    # --- records -------------------------------------------------------------------------

    def _begin(self, action: Action, undo: Undo, attempt: int) -> None:
        body = {**_about(action), "attempt": attempt, "run": self.run, "undo": _plain(undo)}
        self._journal.begin(self.run, action.key, body)
        with self._lock:
            self._entries[action.key] = Entry(action.key, body, None, attempt)

    def _end(self, action: Action, result: Result) -> None:
        body = {**_about(action), **_plain(result)}
        self._journal.end(self.run, action.key, body)
        with self._lock:
            known = self._entries.get(action.key, Entry(action.key))
            self._entries[action.key] = replace(known, end=body)


def note_key(run: str, key: str, attempt: int = 1) -> str:
    """The name of a note on a machine: an attempt of an action of a run."""
    return f"{run}/{key}" if attempt == 1 else f"{run}/{key}#{attempt}"


def numbered(work: StepContext, attempt: int) -> StepContext:
    """The same work under the note of this attempt."""
    return work if attempt == 1 else replace(work, key=f"{work.key}#{attempt}")


def _not_by_hand(step: Step, kind: StepKind, entry: Entry) -> str:
    """Why nobody but the step itself can do it."""
    if step.save or kind.publishes:
        return "what it makes is used by later steps, and only the step itself can tell them"
    if entry.begin is None and kind.undoes:
        return "it never began, so its way back is not known"
    return ""


def _disagrees(kind: StepKind, work: StepContext, undo: Undo) -> str:
    """Why a step does not count as done, whoever says so; it does not run on afterwards either.
    Without a `check` a kind has to be able to tell by itself."""
    recalled = kind.recall(work, undo)
    if not work.step.check:
        if recalled is not None and recalled.ok:
            return ""
        return "it has no `check`, and nothing else there says that it is done"
    said = kind.done(work)
    return "" if said else f"its check {'says that it is not' if said is False else 'cannot tell'}"


def _harmless(kind: StepKind, work: StepContext) -> bool:
    """Whether to run it again can do no harm: it says so, or changes nothing."""
    return work.step.readonly or work.step.retry_safe or not kind.changes


def _plain(noun: Undo | Result) -> dict[str, Any]:
    """Its fields. (`dataclasses.asdict` would copy every output deeply.)"""
    return {field.name: getattr(noun, field.name) for field in fields(noun)}


def _about(action: Action) -> dict[str, Any]:
    step: Step = action.step
    about = {"step": step.name, "kind": step.kind, "host": action.host, "phase": action.phase}
    return {**about, "balancer": action.balancer, "at": action.at} if action.balancer else about
