"""What the verbs of workers answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backout.ports import Hand, InHand
from backout.reports.data import stamp
from backout.reports.told import Told, sometimes

WORKER_STATES = ("works", "stopping", "silent")
RUN_STATES = ("driven", "waits", "stalled", "asks")


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
    watches: tuple[str, ...] = sometimes(())
    """The targets that it watches."""
    carries: int = sometimes(0)
    """How much it has in hand for drivers of other zones."""


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


def zone_lines(workers: Sequence[Hand], runs: Sequence[InHand]) -> tuple[ZoneLine, ...]:
    """The zones that have workers, or runs for them."""
    names = sorted({each.zone for each in workers} | {each.zone for each in runs})
    return tuple(
        ZoneLine(
            name,
            tuple(_worker(each) for each in workers if name in each.zones),
            tuple(_run(each, workers) for each in runs if each.zone == name),
        )
        for name in names
    )


def _worker(hand: Hand) -> WorkerLine:
    state = "silent" if hand.is_silent else "stopping" if hand.stopping else "works"
    silent = round(max(hand.silent, 0.0), 1)
    about = (hand.runs, state, silent, hand.watches, hand.carries)
    return WorkerLine(hand.by, stamp(hand.since), hand.width, *about)


def _run(run: InHand, workers: Sequence[Hand]) -> DrivenRun:
    driven = any(run.run in each.runs and not each.is_silent for each in workers)
    state = "waits" if run.waits else "asks" if run.asks else "driven" if driven else "stalled"
    return DrivenRun(run.run, run.target, run.verb, state, "" if run.waits else run.by)
