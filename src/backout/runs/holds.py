"""What a run that is held waits for: questions, and what people answered. Pure.

Each step that failed on a host is a question of its own, and each answer is for that question
alone: when the step fails again, it is asked again. All of it is in the run's records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from backout.model import Record
from backout.ports import ANSWERED, HELD

AGAIN, DONE, BACK_OUT = "again", "done", "back-out"
ANSWERS = (AGAIN, DONE, BACK_OUT)
"""Try the step again; a person has done it; go back."""
OVER = ("back_out", "decided")
"""After these records nothing is asked any more."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to become of one step that failed on one machine."""

    key: str
    """The action's."""
    asked: int
    """In which hold it was asked: it tells two questions about one action apart."""
    step: str
    host: str
    """Empty for this machine."""
    why: str
    lost: tuple[str, ...] = ()
    """The hosts that are lost while it is open."""

    @property
    def place(self) -> str:
        return f"{self.step} on {self.host or 'this machine'}"


@dataclass(frozen=True, slots=True)
class Given:
    """One answer."""

    answer: str
    by: str
    """Empty where nobody answered in time."""
    at: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """A run that stands still, from its failure to the last answer."""

    number: int
    since: datetime
    by: str
    """Who held it: the person whose run it was."""
    until: datetime
    questions: tuple[Question, ...]
    answers: Mapping[str, Given] = field(default_factory=dict)
    """By the action's key."""
    over: bool = False

    @property
    def open(self) -> tuple[Question, ...]:
        """The questions that nobody has answered."""
        if self.over:
            return ()
        return tuple(each for each in self.questions if each.key not in self.answers)

    def record(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "number": self.number,
            "since": self.since.isoformat(),
            "by": self.by,
            "until": self.until.isoformat(),
            "questions": [asdict(each) for each in self.questions],
        }

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Hold:
        questions = tuple(
            Question(**{**each, "lost": tuple(each["lost"])}) for each in body["questions"]
        )
        since, until = map(datetime.fromisoformat, (body["since"], body["until"]))
        return cls(int(body["number"]), since, str(body["by"]), until, questions)


@dataclass(frozen=True, slots=True)
class Holds:
    """Every hold of a run, in order."""

    all: tuple[Hold, ...] = ()
    pending: Mapping[str, Given] = field(default_factory=dict)
    """Answers, by the action's key, on which the run has not acted yet."""

    @classmethod
    def of(cls, records: Iterable[Record]) -> Holds:
        """From the records of a run, in order."""
        known = cls()
        for record in records:
            known = known.after(record)
        return known

    def after(self, record: Record) -> Holds:
        """With one more record. What has come to an end after its answer was acted upon."""
        if record.kind == HELD:
            hold = Hold.of(record.body)
            before = tuple(replace(each, over=True) for each in self.all)
            asked = {each.key for each in hold.questions}
            pending = {key: given for key, given in self.pending.items() if key not in asked}
            return Holds((*before, hold), pending)
        if record.kind == ANSWERED and self.all:
            key = str(record.body["key"])
            given = Given(str(record.body["answer"]), str(record.body["by"]), record.at)
            last = replace(self.all[-1], answers={**self.all[-1].answers, key: given})
            return Holds((*self.all[:-1], last), {**self.pending, key: given})
        if record.kind == "end" and record.key in self.pending:
            rest = {key: given for key, given in self.pending.items() if key != record.key}
            return Holds(self.all, rest)
        if record.kind in OVER and self.all:
            return Holds((*self.all[:-1], replace(self.all[-1], over=True)))
        return self

    @property
    def last(self) -> Hold | None:
        return self.all[-1] if self.all else None

    @property
    def open(self) -> tuple[Question, ...]:
        """What the run waits for."""
        return self.all[-1].open if self.all else ()


def typed(question: Question, run: str) -> str:
    """The command that answers one question."""
    host = f" --host {question.host}" if question.host else ""
    return f"invoke hold {run}{host} --answer again|done|back-out"


def held_until(hold: Hold) -> str:
    return f"{hold.until:%Y-%m-%d %H:%M:%S}Z"
