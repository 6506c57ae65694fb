"""What the verbs of workers answer, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from backout.model import duration
from backout.reports.handed import DrivenRun, HandedOver, WorkerLine, ZoneLine, Zones
from backout.reports.lines import page
from backout.reports.parts import next_lines

STATES = {
    "driven": "driven by {}",
    "waits": "waits for a worker",
    "stalled": "no sign of life of {}",
    "asks": "a person decides: it was driven by {}",
}


def handed_text(report: HandedOver) -> str:
    """Whose the run is now."""
    return page(
        [
            f"Handed over: run {report.run} ({report.verb} of {report.target}).",
            f"The workers of zone {report.zone} drive it. Nothing is proved yet.",
        ],
        next_lines(report.next),
    )


def zones_text(report: Zones) -> str:
    """Every zone with its workers and runs."""
    if not report.zones:
        return "There is no worker, and nothing waits for one."
    return page(*(list(_zone(each)) for each in report.zones), next_lines(report.next))


def _zone(zone: ZoneLine) -> Iterator[str]:
    yield f"zone {zone.zone}"
    yield from map(_worker, zone.workers)
    if not zone.workers:
        yield "  no worker is there"
    yield from map(_run, zone.runs)


def _worker(worker: WorkerLine) -> str:
    at_work = f"{len(worker.runs)} of {worker.width} runs" if worker.runs else "idle"
    seen = f", last seen {duration(worker.seconds)} ago" if worker.state == "silent" else ""
    stopping = ", stopping" if worker.state == "stopping" else ""
    watches = f", watches {', '.join(worker.watches)}" if worker.watches else ""
    carries = f", carries {worker.carries} for other zones" if worker.carries else ""
    about = f"{at_work}{watches}{carries}{stopping}{seen}"
    return f"  worker {worker.by}, since {worker.since}: {about}"


def _run(run: DrivenRun) -> str:
    return f"  run {run.run} ({run.verb} of {run.target}): {STATES[run.state].format(run.by)}"
