"""The seam to the queue that wakes workers up: five calls. The truth is in the journal alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from backout.ports.runs import NEEDS_PERSON

HANDED = "handed"
"""The record that a run was handed over to the workers of a zone: by whom, and what they may do."""
CONFIRMED = "confirmed"
"""The record that a person has confirmed the run; whoever drives it asks for it no more."""
RESCUED = "rescued"
"""The record that a run was taken from a driver that gives no sign of life: from whom, and `how` it
goes on."""
ASK, BACK_OUT, RESUME = "ask", "back_out", "resume"
"""How a run goes on whose driver is gone: a person decides, it is backed out, or finished."""


BEAT = 15.0
"""After so many seconds without a sign of life a worker is silent."""
HERE = "here:"
"""How the zone of one working copy begins."""


def place_of(machine: str, directory: str) -> str:
    """The zone of one working copy: what only it can do is driven by workers in it, and never
    rescued elsewhere."""
    return f"{HERE}{machine}:{directory}"


@dataclass(frozen=True, slots=True)
class InHand:
    """An open run that was handed over, as it was looked at."""

    run: str
    target: str
    verb: str
    epoch: int
    driver: str
    by: str
    zone: str
    beat: int
    """Its driver's last sign of life."""
    last: str
    """The kind of its last record."""

    @property
    def waits(self) -> bool:
        """Whether nobody drives it."""
        return not self.driver

    @property
    def asks(self) -> bool:
        """Whether it has come to where a person decides."""
        return self.last == NEEDS_PERSON


@dataclass(frozen=True, slots=True)
class Hand:
    """One worker; times are by the database's clock."""

    id: str
    zone: str
    by: str
    width: int
    runs: tuple[str, ...]
    stopping: bool
    since: datetime
    silent: float
    """Seconds since its last sign of life."""
    place: str = ""
    """The zone of its own working copy alone; see `place_of`."""
    watches: tuple[str, ...] = ()
    """The targets that it watches now."""
    carries: int = 0
    """How many texts and looks of other zones' drivers it has in hand."""

    @property
    def is_silent(self) -> bool:
        return self.silent > BEAT

    @property
    def zones(self) -> tuple[str, str]:
        """Those that it serves: its own, and that of its working copy alone."""
        return self.zone, self.place

    def serves(self, zone: str) -> bool:
        """Whether it takes what is handed over to that zone now."""
        return zone in self.zones and not self.stopping and not self.is_silent


@dataclass(frozen=True, slots=True)
class Tick:
    """Something that a worker does again and again."""

    every: float
    """Seconds between two times."""
    do: Callable[[], object]
    """In a thread beside the drives."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What one worker does until it is asked to stop."""

    zones: Sequence[str]
    """Whose bell it hears."""
    width: int
    drive: Callable[[str], Awaitable[None]]
    """Drive that run, and come back when it is driven no more."""
    finish: Callable[[], Awaitable[None]]
    """Whatever is under way, once nothing more begins."""
    stop_asked: Callable[[], bool]
    say: Callable[[str], None]


class Doorbell(Protocol):
    """Says only that somebody near a zone should look at a run. What it loses is rung again."""

    def defer(self, tables: Any, zone: str, run: str) -> None:
        """Within a transaction of the journal: it rings when that is committed, or never. Where it
        rings for that run already nothing is added."""

    def work(self, shift: Shift, ticks: Sequence[Tick]) -> None:
        """Hear it until the shift is asked to stop. Where the queue is gone it says so, and waits
        for it."""

    def stalled(self, tables: Any, zone: str) -> Sequence[str]:
        """The runs for which it rang, and whose worker gives no sign of life to the queue. That
        says nothing of who drives them."""
        ...
