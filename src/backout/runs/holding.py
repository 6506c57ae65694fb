"""`--hold`: on a failure the run stands still, its leases held, and a person says how it goes on.

Every question and every answer is a record before anything comes of it: whoever goes on with the
run, after whatever crash and from whatever machine, finds both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from backout.errors import Interrupted
from backout.ports import ANSWERED, HELD
from backout.runs.forward import Forward, Trouble
from backout.runs.holds import (
    AGAIN,
    ANSWERS,
    BACK_OUT,
    DONE,
    Hold,
    Holds,
    Question,
    held_until,
    typed,
)
from backout.runs.plan import Action
from backout.runs.worker import Worker

PAUSE = 0.5
"""Seconds between two looks for an answer."""
TELL = 60.0
"""After so many seconds it is said again what is waited for."""


class Holding:
    """The questions of one run."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.parts, self.run, self.me = worker.parts, worker.plan.run, worker.parts.me
        self._told_at = float("-inf")

    def ready(self) -> str:
        """Before the way forward: what was answered is taken up. Why the run goes back; empty when
        it does not."""
        holds = self._known()
        if back := self._wanted_back(holds):
            return back
        for key, given in holds.pending.items():
            if given.answer == AGAIN:
                self._free(_question(holds, key))
                self.worker.once_more.add(key)
        hold = holds.last
        if hold and hold.open and self._expired(hold) and not self._heard(hold):
            return self._end(hold)
        return ""

    def can_ask(self, forward: Forward) -> bool:
        """Whether anybody could help: not where the lock was taken away."""
        return bool(forward.in_the_way) and not self.parts.lock.lost()

    def settled(self, forward: Forward) -> str:
        """Ask what becomes of that which is in the way, until all of it is answered. Why the run
        goes back; empty when it goes on. Raises Interrupted where it is left as it is."""
        self._ask(forward.in_the_way)
        while True:
            holds = self._known()
            if back := self._wanted_back(holds):
                return back
            if again := self._by_hand(holds):
                self._hold_again(holds, again)
            elif not holds.open:
                return self.ready()
            elif back := self._take(holds.all[-1]):
                return back

    # --- asking ----------------------------------------------------------------------------

    def _ask(self, troubles: tuple[Trouble, ...]) -> None:
        """What is asked already is not asked anew."""
        holds, now = self._known(), self.parts.clock.now()
        asked = {each.key for each in holds.open} | holds.pending.keys()
        number = len(holds.all) + 1
        new = [_about(each, number) for each in troubles if each.action.key not in asked]
        if new:
            until = now + timedelta(seconds=self.worker.plan.hold)
            self._note(Hold(number, now, self.me, until, (*holds.open, *new)))
        self._tell(self._known().all[-1])

    def _hold_again(self, holds: Holds, question: Question) -> None:
        """The same hold, with one question that is open anew."""
        last, number = holds.all[-1], len(holds.all) + 1
        rest = tuple(each for each in holds.open if each.key != question.key)
        asked = (replace(question, asked=number), *rest)
        self._note(replace(last, number=number, questions=asked))
        self._tell(self._known().all[-1])

    def _note(self, hold: Hold) -> None:
        self.worker.note(HELD, {**hold.record(), "run": self.run})

    def _tell(self, hold: Hold) -> None:
        """What is where, and what to type."""
        if not hold.open:
            return
        self.worker.say("warning", f"held until {held_until(hold)}, then it is backed out:")
        for words in self._where(hold):
            self.worker.say("note", words)
        self._told_at = self.parts.clock.monotonic()

    def _where(self, hold: Hold) -> Iterator[str]:
        for each in hold.open:
            yield each.why
            yield from (f"| {line}" for line in self._tail(each))
        yield from (f"{name} is {words}" for name, words in self._hosts().items())
        yield from (f"what backing out leaves: {step}" for step in self._irreversible())
        yield from (f"to answer: {typed(each, self.run)}" for each in hold.open)

    def _tail(self, question: Question) -> list[str]:
        result = self.worker.saga.entry(question.key).result
        said = f"{result.stdout}\n{result.stderr}" if result else ""
        return [line for line in said.splitlines() if line.strip()][-5:]

    def _hosts(self) -> dict[str, str]:
        """How far each host is."""
        before = self.worker.plan.previous
        old = f"as before, on release {before}" if before else "as before"
        ends = dict.fromkeys(self.worker.plan.hosts, old)
        actions = (*self.worker.plan.actions, *self.worker.plan.settling)
        for action in actions:
            entry = self.worker.saga.entry(action.key)
            if action.host and entry.touched:
                state = "done" if entry.done else "not done"
                ends[action.host] = f"at step {action.step.name}, {state}"
        return ends

    def _irreversible(self) -> Iterator[str]:
        for action in self.worker.plan.actions:
            entry = self.worker.saga.entry(action.key)
            if entry.stays:
                yield f"{action.step.name}: {entry.stays}"

    # --- answers ---------------------------------------------------------------------------

    def _take(self, hold: Hold) -> str:
        """Wait for one answer, which is durable when this returns. Why the run goes back where
        there is none."""
        while not (self._said(hold) or self._asked_here(hold)):
            if self._over(hold):
                return self._end(hold)
            self.parts.clock.sleep(PAUSE)
            if self.parts.clock.monotonic() - self._told_at > TELL:
                self._tell(hold)
        return ""

    def _said(self, hold: Hold) -> bool:
        """Whether something was said elsewhere to a question that is open."""
        said = {(each.key, each.asked): each for each in self.parts.said()}
        for each in hold.open:
            if found := said.get((each.key, each.asked)):
                self._answer(each, found.answer, found.by)
                return True
        return False

    def _asked_here(self, hold: Hold) -> bool:
        """Whether somebody answered here. Raises Interrupted when they leave."""
        question = hold.open[0]
        if self._over(hold):
            return False
        if not self.parts.operator.present:
            if self.parts.leaves:
                raise self._left(hold)
            return False
        words = f"{question.place}: again, done or back-out?"
        answer = self.parts.operator.line(words, lambda: self._over(hold) or self._heard(hold))
        if answer is None:
            raise self._left(hold)
        answer = answer.lower().replace(" ", "-")
        if answer in ANSWERS:
            self._answer(question, answer, self.me)
        return answer in ANSWERS

    def _heard(self, hold: Hold) -> bool:
        said = {(each.key, each.asked) for each in self.parts.said()}
        return any((each.key, each.asked) in said for each in hold.open)

    def _answer(self, question: Question, answer: str, by: str) -> None:
        body = {"key": question.key, "asked": question.asked, "answer": answer, "by": by}
        about = {"step": question.step, "host": question.host}
        self.worker.note(ANSWERED, {**about, **body})
        self.worker.say("note", f"{question.place}: {answer}, says {by or 'nobody in time'}")

    def _end(self, hold: Hold) -> str:
        """Everything that is open is answered with the way back."""
        by = self.me if self.worker.stopped else ""
        for each in hold.open:
            self._answer(each, BACK_OUT, by)
        return self.worker.stopped or f"nobody answered until {held_until(hold)}"

    def _wanted_back(self, holds: Holds) -> str:
        """What somebody decided."""
        answers = (each for each in holds.pending.values() if each.answer == BACK_OUT)
        given = next(answers, None)
        if given is None:
            return ""
        return f"{given.by} answered: back out" if given.by else "nobody answered in time"

    def _over(self, hold: Hold) -> bool:
        return bool(self.worker.stopped) or self._expired(hold)

    def _expired(self, hold: Hold) -> bool:
        return self.parts.clock.now() >= hold.until

    def _left(self, hold: Hold) -> Interrupted:
        count = len(hold.open)
        return Interrupted(
            f"run {self.run} is held: {hold.open[0].why}{f', and {count - 1} more' * (count > 1)}",
            where=self.worker.plan.target.name,
            state=f"its leases stand until it is answered; whoever resumes it after"
            f" {held_until(hold)} backs it out",
            next="\n".join(typed(each, self.run) for each in hold.open),
        )

    # --- what comes of them ------------------------------------------------------------------

    def _by_hand(self, holds: Holds) -> Question | None:
        """Hold what people say they have done against what is there. The first question with which
        that does not agree. What changes nothing proves itself: it is looked at again."""
        plan = self.worker.plan
        actions = {each.key: each for each in (*plan.actions, *plan.settling)}
        for key, given in holds.pending.items():
            if given.answer != DONE:
                continue
            action, question = actions.get(key), _question(holds, key)
            self._free(question)
            if action is None or not self._changes(action):
                self.worker.once_more.add(key)
            elif why := self.worker.by_hand(action, given.by):
                return replace(question, why=f"{question.place} is not done: {why}")
        return None

    def _changes(self, action: Action) -> bool:
        return self.worker.kind(action).changes and not action.step.readonly

    def _free(self, question: Question) -> None:
        """Its hosts take part again."""
        lost: Mapping[str, Any] = self.worker.noted("lost") or {}
        left = {host: why for host, why in lost.items() if host not in question.lost}
        if left != dict(lost):
            self.worker.note("lost", left)

    def _known(self) -> Holds:
        return Holds.of(self.parts.journal.recall(self.run))


def _about(trouble: Trouble, number: int) -> Question:
    action = trouble.action
    lost = tuple(sorted(trouble.hosts))
    return Question(action.key, number, action.step.name, action.host, trouble.words, lost)


def _question(holds: Holds, key: str) -> Question:
    """As it was asked last."""
    asked = (each for hold in reversed(holds.all) for each in hold.questions)
    return next(each for each in asked if each.key == key)
