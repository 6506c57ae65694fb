"""Who asks and who answers: people, as far as a machine can tell; requests, and their answers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*")


def name_of(said: str) -> str:
    """One spelling for each name: without the machine or the mail host after its `@`, without
    capitals, without letters that only look like others. Raises ValueError for what is no name."""
    name = unicodedata.normalize("NFKC", said).strip().casefold().partition("@")[0]
    if not _NAME.fullmatch(name):
        raise ValueError(f"{said!r} is no person's name; write letters of ASCII, digits, . _ + -")
    return name


def near(said: str) -> str:
    """What a system calls somebody, as a name: it may have letters that no name has."""
    plain = unicodedata.normalize("NFKC", said).strip().casefold().partition("@")[0]
    return re.sub(r"[^a-z0-9._+-]", "-", plain).lstrip("._+-") or "somebody"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, by every name that a process of theirs has."""

    name: str
    """As they are told."""
    names: tuple[str, ...]
    """All of them, in one spelling each."""
    account: str
    """The account of the machine, as the system has it: `ann@laptop`."""

    def is_same(self, other: Person) -> bool:
        """Whether they may be one: when in doubt they are."""
        return self.account == other.account or not set(self.names).isdisjoint(other.names)

    def to_data(self) -> dict[str, Any]:
        return {"name": self.name, "names": list(self.names), "account": self.account}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Person:
        return cls(str(data["name"]), tuple(map(str, data["names"])), str(data["account"]))


@dataclass(frozen=True, slots=True)
class AnswerGiven:
    """What one person said to a request."""

    by: Person
    yes: bool
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """A plan, or a step of a run, that waits for other people's yes."""

    id: str
    """The run that asked."""
    target: str
    step: str
    """The step of a run; empty for a plan before it begins."""
    digest: str
    needed: int
    asker: Person
    asked: datetime
    expires: datetime
    body: Mapping[str, Any]
    """What is shown to whoever answers, and the picture that was taken."""
    answers: tuple[AnswerGiven, ...] = ()
    used_by: str = ""
    """The run that it was used for; one, once."""

    def yes_for(self, runner: Person) -> tuple[AnswerGiven, ...]:
        """The answers that count when that person begins the run: of others, and of each once."""
        counted: list[AnswerGiven] = []
        for answer in self.answers:
            others = (runner, self.asker, *(each.by for each in counted))
            if answer.yes and not any(answer.by.is_same(other) for other in others):
                counted.append(answer)
        return tuple(counted)

    @property
    def refusal(self) -> AnswerGiven | None:
        return next((each for each in self.answers if not each.yes), None)

    def is_open(self, now: datetime) -> bool:
        """Whether an answer still changes anything."""
        return not (self.used_by or self.refusal) and now < self.expires

    def state(self, now: datetime) -> str:
        if self.used_by:
            return "used"
        if self.refusal:
            return "refused"
        if now >= self.expires:
            return "expired"
        return "approved" if len(self.yes_for(self.asker)) >= self.needed else "open"
