"""What is known of targets, checks and runs, as pages are made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backout.model import CheckKey, Incident, Sample
from backout.watch.rollups import Tally

DAY = 86400
HOUR = 3600
Latency = tuple[float, float]
"""The median and the 95th percentile, in milliseconds."""


@dataclass(frozen=True, slots=True)
class History:
    """One check on one host: its last look, and what came before."""

    check_key: CheckKey
    last: Sample | None = None
    days: Mapping[int, Tally] = field(default_factory=dict)
    """By day of the epoch, UTC."""
    hours: Mapping[int, Latency] = field(default_factory=dict)
    """By hour of the epoch, UTC; only those in which something was measured."""
    minutes: Mapping[int, Latency] = field(default_factory=dict)
    """The same by minute, for a check that is too young for a curve by hours."""
    rhythm: str = ""
    expect: Sequence[str] = ()
    due: float | None = None
    """After that its last look is too old to tell how it is."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A release that reached the target."""

    number: int
    commit: str
    run: str
    at: float
    current: bool = False
    undone: float | None = None
    """When it was undone."""

    def __str__(self) -> str:
        return f"release {self.number} ({self.commit[:7]})" if self.commit else f"{self.number}"


@dataclass(frozen=True, slots=True)
class Ran:
    """A run, for the list of runs."""

    run: str
    verb: str
    runbook: str
    by: str
    started: float
    ended: float | None
    outcome: str | None
    release: str = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """One target, with all that is known about it."""

    name: str
    histories: Sequence[History] = ()
    incidents: Sequence[Incident] = ()
    """The open ones, and those that were resolved lately."""
    releases: Sequence[Deployed] = ()
    runs: Sequence[Ran] = ()
    silenced: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One record of a run; see `ports.Record`."""

    kind: str
    key: str
    at: float
    body: Mapping[str, Any]
