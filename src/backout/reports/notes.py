"""What the verbs between notes and runbooks answer."""

from __future__ import annotations

from dataclasses import dataclass

from backout.reports.report import Rehearsed
from backout.reports.told import Data, Told, sometimes


@dataclass(frozen=True, slots=True)
class FoundLine(Told):
    """A command of a note, and where it went."""

    line: int
    text: str
    phase: str
    flags: tuple[str, ...]
    alternative: str | None
    into: str | None
    further: tuple[str, ...] = ()
    """Where its other parts went, of a chain that became several steps."""


@dataclass(frozen=True, slots=True)
class FoundProbe(Told):
    """A request of a note."""

    line: int
    method: str
    url: str
    headers: int
    body: bool


@dataclass(frozen=True, slots=True)
class FoundBlank(Told):
    """A blank of a note, and what it became."""

    line: int
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class RejectedLine(Told):
    """A line of code that is no command, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class OpenQuestion(Told):
    """What a note does not say."""

    line: int
    ask: str


@dataclass(frozen=True, slots=True)
class Merged(Told):
    """What an edited note changed of its files."""

    taken: tuple[str, ...]
    """What the note says now."""
    kept: tuple[str, ...]
    """What somebody had changed by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported(Told):
    """`document.import`: every line of the note accounted for."""

    source: str
    runbook: Data
    inventory: Data
    found: tuple[FoundLine, ...]
    probes: tuple[FoundProbe, ...]
    backends: tuple[str, ...]
    placeholders: tuple[FoundBlank, ...]
    rejected: tuple[RejectedLine, ...]
    questions: tuple[OpenQuestion, ...]
    updated: Merged | None = sometimes()
    """Of `--update`."""
    rehearsal: Rehearsed | None = sometimes()
    """Of `--rehearse`."""
    not_rehearsed: str = sometimes("")
    """Why not, where the rehearsal was refused."""
    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Rendered(Told):
    """`document.render`."""

    runbook: str
    text: str
    run: str = sometimes("")
    """Of a run as it was executed."""
