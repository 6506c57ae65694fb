"""What the verbs of workers answer."""

from __future__ import annotations

from dataclasses import dataclass

from backout.reports.told import Told, sometimes


@dataclass(frozen=True, slots=True)
class HandedOver(Told):
    """`deploy --detach`: nothing is done yet, and nothing is proved."""

    run: str
    target: str
    verb: str
    zone: str
    """Whose workers drive it."""
    next: str
    """What shows it, live, and ends as it does."""


@dataclass(frozen=True, slots=True)
class DrivenRun(Told):
    """An open run that was handed over."""

    run: str
    target: str
    verb: str
    state: str
    """`driven`, `waits`, `stalled`, or `asks`: a person decides."""
    by: str
    """Whoever drives it."""


@dataclass(frozen=True, slots=True)
class WorkerLine(Told):
    """One worker."""

    by: str
    since: str
    width: int
    runs: tuple[str, ...]
    """What it drives."""
    state: str
    """`works`, `stopping`, or `silent`."""
    seconds: float
    """Since its last sign of life."""


@dataclass(frozen=True, slots=True)
class ZoneLine(Told):
    """One zone: who works there, and what is to be driven."""

    zone: str
    workers: tuple[WorkerLine, ...]
    runs: tuple[DrivenRun, ...]


@dataclass(frozen=True, slots=True)
class Zones(Told):
    """`workers`."""

    zones: tuple[ZoneLine, ...]
    next: str = sometimes("")
    """What to type about what is stalled."""
