"""What is read of a note: commands, refusals, questions, blanks; each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from backout.documents import classify
from backout.documents.phases import Phase
from backout.documents.placeholders import Placeholder
from backout.documents.requests import Request
from backout.documents.words import Simple


@dataclass(frozen=True, slots=True)
class Found:
    """One command of a note."""

    line: int
    last: int
    text: str
    phase: Phase
    flags: tuple[str, ...] = ()
    alternative: str | None = None
    into: str | None = None
    comment: str = ""
    trail: tuple[str, ...] = ()
    lead: str = ""
    commands: tuple[Simple, ...] = ()
    requests: tuple[Request, ...] = ()
    backend: str = ""
    cwd: str = ""
    host: str = ""
    """The machine that it is typed on; of several, blanks between."""
    label: str = ""
    name: str = ""
    """What the note itself calls it, where its form has names."""
    script: str = ""
    """The text with what the note set before it in its place."""
    sets: tuple[str, ...] = ()
    """The variables that it sets for what follows, and does nothing else; a shell alone can tell
    what they are."""
    told: str = ""
    """What the shell was told before, that its own step has to be told again."""
    tail: str = ""
    """A look at its end that never ends, which is no part of what it does."""
    further: tuple[str, ...] = ()
    """Where its other parts went, when it has several: `into` is the first place."""

    @property
    def places(self) -> tuple[str, ...]:
        """All that it went into."""
        return ((self.into,) if self.into else ()) + self.further

    def led(self, places: Iterable[str | None]) -> Found:
        """The same, gone there."""
        known = [*dict.fromkeys(filter(None, places))]
        return replace(self, into=next(iter(known), None), further=tuple(known[1:]))

    @property
    def place(self) -> str:
        return str(self.line) if self.last == self.line else f"{self.line}-{self.last}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line of code that is no command, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """What the note does not say."""

    line: int
    ask: str
    about: str = field(default="", compare=False)
    """What an answer decides: `undo`, `choice:restart`, `var:seat_id` …; empty for what only a
    person's hand in the file does."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All of a note, accounted for."""

    source: str
    lines: tuple[str, ...]
    title: str = ""
    found: tuple[Found, ...] = ()
    placeholders: tuple[Placeholder, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    questions: tuple[Question, ...] = ()
    way_back: tuple[Rejected, ...] = ()
    """What the note says of the way back in words alone."""
    defined: frozenset[str] = frozenset()

    @property
    def backends(self) -> tuple[str, ...]:
        seen = {each.backend for each in self.found if each.backend}
        return tuple(name for name in classify.backends() if name in seen)

    @property
    def probes(self) -> tuple[tuple[Found, Request], ...]:
        return tuple((f, r) for f in self.found if is_probe(f) for r in f.requests)


def is_probe(found: Found) -> bool:
    """Whether its requests look at something: one that merely notifies or fetches does not."""
    if found.phase in ("notify", "update", "setup", "push") or re.search(
        r"\|\s*(?:sudo\s+(?:-\S+\s+)*)?(?:ba|z|da)?sh\b|\|\s*tar\b|\|"
        r"\s*(?:sudo\s+)?(?:apt-key|gpg|tee)\b",
        found.text,
    ):
        return False
    return any(not request.file for request in found.requests)
