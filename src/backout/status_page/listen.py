"""The pages over HTTP, beside the watcher."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backout.model import OpenRun, Sample, WatcherHealth
from backout.reports.handed import RUN_STATES, WORKER_STATES, DrivenRun, WorkerLine, ZoneLine
from backout.status_page import feeds
from backout.status_page.facts import Watched
from backout.watch.watcher import Watcher

STALE_AFTER = 90
"""A page that was not written anew for so many seconds is stale."""


@dataclass(frozen=True, slots=True)
class ListenAt:
    """Where, whether others may reach it, and the names that requests may use."""

    address: str
    anywhere: bool = False
    names: tuple[str, ...] = ()


class Listen:
    """Serves the pages; the libraries for it are loaded when it is made."""

    def __init__(self, directory: Path, at: ListenAt) -> None:
        """Raises Mistakes and Refused."""
        from backout.adapters.web.address import Address
        from backout.adapters.web.metrics import Metrics
        from backout.adapters.web.server import Server, Site

        self._watcher: Watcher | None = None
        self._made: Callable[[str], str | None] = lambda _: None
        self.address = Address.of(at.address, anywhere=at.anywhere, names=at.names)
        self._metrics = Metrics(self._redact, self.health)
        served = (directory, self.address, self.health, self._metrics, STALE_AFTER, self._run_page)
        self._server = Server(Site(*served, feeds.stale))

    @property
    def url(self) -> str:
        return replace(self.address, port=self._server.port).url

    def health(self) -> WatcherHealth:
        """The watcher's own health, redacted; from any thread."""
        if self._watcher is None:
            return WatcherHealth("starting", ("the watcher has not begun",))
        health = self._watcher.health()
        return replace(health, reasons=tuple(map(self._redact, health.reasons)))

    def _redact(self, text: str) -> str:
        return self._watcher.store.redact(text) if self._watcher else ""

    def _run_page(self, run: str) -> str | None:
        return self._made(run)

    def begin(self, watcher: Watcher, run_page: Callable[[str], str | None]) -> None:
        """`run_page` makes the page of a run of which there is no file."""
        self._watcher, self._made = watcher, run_page
        self._worker = watcher.workers.start("web server", self._server.run)

    def end(self) -> None:
        self._server.stop()
        self._worker.join(5)

    def update(
        self,
        watched: Iterable[Watched],
        fresh: Iterable[Sample],
        runs: Iterable[tuple[str, str, str, int]],
        unfinished: Sequence[OpenRun],
        zones: Sequence[ZoneLine],
        now: float,
    ) -> None:
        """What the next scrape says."""
        known = list(watched)
        self._metrics.observe(fresh)
        self._metrics.reading = replace(
            self._metrics.reading,
            last={h.check_key: h.last for each in known for h in each.histories},
            incidents=[i for each in known for i in each.incidents if i.resolved is None],
            targets=[each.name for each in known],
            runs=list(runs),
            unfinished=unfinished,
            workers=_counted(zones, WORKER_STATES, lambda zone: zone.workers),
            handed=_counted(zones, RUN_STATES, lambda zone: zone.runs),
            written=now,
            certificates=(self._watcher.snapshot.certificates or {}) if self._watcher else {},
        )


def _counted(
    zones: Sequence[ZoneLine],
    states: Sequence[str],
    of: Callable[[ZoneLine], Sequence[WorkerLine | DrivenRun]],
) -> dict[tuple[str, str], int]:
    """How many of each state; what is not there counts as none of it."""
    found = Counter((zone.zone, each.state) for zone in zones for each in of(zone))
    return {(zone.zone, state): found[zone.zone, state] for zone in zones for state in states}
