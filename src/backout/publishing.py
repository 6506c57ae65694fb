"""After each tick: what is known becomes the status page, the runs' pages and the metrics.

It lives beside the watcher, in a thread of its own, and takes no more than a twentieth of it: the
longer a page takes, the longer the pause after it. While the watcher itself is stuck nothing is
written, so that the page goes stale and says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from backout import pages, rollups
from backout.adapters.storage.journal import RunRow
from backout.adapters.web.html import Pages, Site
from backout.commands.inspections import Inspection
from backout.errors import BackoutError
from backout.model import Event, Sample, Spot, Target, duration
from backout.pages import DAY, DAYS, HOUR, Deployed, Fact, History, Latency, Ran, Watched
from backout.ports import HealthStore, Screen
from backout.project.project import Workplace
from backout.reports.text import outcome_text
from backout.rollups import Tally
from backout.schedule import EVERY
from backout.watcher import Ward, Watcher

STALE_AFTER = 90
"""A page that was not written anew for so many seconds is stale."""
HEARTBEAT = 20.0
"""It is written anew this often even when nothing was looked at."""
LEAST = 2.0
MOST = 60.0
SHARE = 20
RUNS = 10
"""So many runs of each target are shown."""
RELEASES = 30
PAST = 30 * DAY
"""So long a resolved incident is shown."""
PAST_MOST = 20


class Publisher:
    """`watcher.Companion`: keeps the pages written."""

    def __init__(
        self, workplace: Workplace, screen: Screen, directory: Path, listen: Listen | None = None
    ) -> None:
        self.workplace = workplace
        self.screen = screen
        self.site = Site(directory)
        self._listen = listen
        self._due = threading.Event()
        self._ending = threading.Event()
        self._written: dict[str, str] = {}
        self._trouble = ""
        self._ledgers: dict[str, tuple[object, Ledger]] = {}
        self._thread = threading.Thread(target=self._run, name="pages", daemon=True)

    # --- beside the watcher --------------------------------------------------------------

    def begin(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.redact = watcher.store.redact
        self.pages = Pages(self.redact)
        self.histories = Histories(watcher.store)
        self.journal = self.workplace.journal
        if self._listen:
            self._listen.begin(watcher)
            self._say(f"the status page is at {self._listen.url}")
            if not self._listen.address.loopback:
                self._say("everybody who reaches this address can read it", kind="warning")
        self._due.set()
        self._thread.start()

    def ticked(self, now: datetime) -> None:  # noqa: ARG002 - the page has a clock of its own
        self._due.set()

    def end(self) -> None:
        self._ending.set()
        self._due.set()
        self._thread.join(10)
        self._attempt()  # what came last is on the page that stays
        if self._listen:
            self._listen.end()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._due.wait(HEARTBEAT)
            self._due.clear()
            began = time.monotonic()
            self._attempt()
            spent = time.monotonic() - began
            self._ending.wait(min(MOST, max(LEAST, SHARE * spent)))

    def _attempt(self) -> None:
        try:
            self.publish(self.watcher.clock.now().timestamp())
            self._trouble = ""
        except BackoutError as error:
            self._complain(error.what)
        except Exception as error:  # noqa: BLE001 - a page that breaks must not end the watching
            self._complain(f"{type(error).__name__}: {error}")

    def _complain(self, words: str) -> None:
        if words != self._trouble:
            self._trouble = words
            self._say(f"the status page cannot be written: {words}", kind="warning")

    def _say(self, text: str, kind: str = "note") -> None:
        self.screen.listen(Event(self.watcher.clock.now(), kind, self.redact(text)))

    # --- publishing ----------------------------------------------------------------------

    def publish(self, now: float) -> None:
        """Write everything as it is. Raises BackoutError when it cannot be written."""
        fresh = self.histories.refresh(now)
        watched = [self._watched(ward, now) for ward in list(self.watcher.wards.values())]
        unwell = self.watcher.unwell(now)
        if not unwell.get(""):
            words = [f"{name}: {each}" for name in unwell for each in unwell[name]]
            view = pages.status_view(watched, now=now, stale_after=STALE_AFTER, unwell=words)
            self._write_runs(watched, now)
            self.site.write(self.pages.status(view))
        if self._listen:
            self._listen.update(watched, fresh, self.journal.outcomes(), now)

    def _watched(self, ward: Ward, now: float) -> Watched:
        store, ledger = self.watcher.store, self._ledger(ward.name)
        silences = [
            f"{check or 'all of it'} until {pages.utc(until)} by {by}"
            for target, check, until, by in store.silences(now)
            if target == ward.name
        ]
        return Watched(
            name=ward.name,
            histories=tuple(self._history(ward.target, spot) for spot in self._spots(ward)),
            incidents=(
                *store.incidents(ward.name, open=True),
                *_resolved(store, ward.name, now),
            ),
            releases=ledger.releases,
            runs=ledger.runs,
            silenced="; ".join(silences),
        )

    def _spots(self, ward: Ward) -> list[Spot]:
        """In the inventory's order: what is looked at, and what was seen to follow from that."""
        checks, hosts = list(ward.target.checks), ["", *ward.target.hosts]
        known = {spot for spot in self.histories.last if spot.target == ward.name}
        found = [s for s in known | set(ward.roots) if s.check in checks and s.host in hosts]
        return sorted(found, key=lambda s: (checks.index(s.check), hosts.index(s.host)))

    def _history(self, target: Target, spot: Spot) -> History:
        check = target.checks[spot.check]
        return History(
            spot,
            self.histories.last.get(spot),
            self.histories.days.get(spot, {}),
            self.histories.hours.get(spot, {}),
            self.histories.minutes(spot),
            rhythm=_rhythm(target, spot.check),
            expect=check.expect,
        )

    # --- runs ----------------------------------------------------------------------------

    def _ledger(self, target: str) -> Ledger:
        """The target's releases and runs; read again when the journal has changed."""
        path = self.journal.path
        signature = tuple(map(_signature, (path, Path(f"{path}-wal"))))
        known = self._ledgers.get(target)
        if known is None or known[0] != signature:
            known = self._ledgers[target] = (signature, Ledger.of(self.journal, target))
        return known[1]

    def _write_runs(self, watched: Iterable[Watched], now: float) -> None:
        """The pages of runs that are new, have ended, or go on."""
        shown = [ran for each in watched for ran in each.runs]
        for ran in shown:
            ended = str(ran.outcome)
            if ran.outcome is None or self._written.get(ran.run) != ended:
                self.site.write_run(ran.run, self.pages.run(self._run_view(ran, now)))
                self._written[ran.run] = ended
        self.site.keep(ran.run for ran in shown)

    def _run_view(self, ran: Ran, now: float) -> pages.RunView:
        report = Inspection(self.workplace, self.screen, {"run": ran.run}).show().data
        facts = tuple(
            Fact(record.kind, record.key, record.at.timestamp(), record.body)
            for record in self.journal.recall(ran.run)
        )
        sentence = outcome_text(report)
        if ran.outcome is None:
            sentence = f"{ran.verb.capitalize()} of {report['target']} has not ended."
        return pages.run_view(report, facts, sentence, now=now)


class Ledger:
    """A target's releases and runs, as pages show them."""

    def __init__(self, releases: tuple[Deployed, ...], runs: tuple[Ran, ...]) -> None:
        self.releases = releases
        self.runs = runs

    @classmethod
    def of(cls, journal: Any, target: str) -> Ledger:
        rows = journal.releases(target)[:RELEASES]
        releases = tuple(
            Deployed(
                number=row.number,
                commit=row.commit,
                run=row.run,
                at=row.at.timestamp(),
                current=row.current,
                undone=bool(row.undone_by),
            )
            for row in rows
        )
        return cls(releases, tuple(_ran(row) for row in journal.runs(target, limit=RUNS)))


def _ran(row: RunRow) -> Ran:
    release = ((row.report or {}).get("release") or {}).get("to")
    return Ran(
        run=row.id,
        verb=row.verb,
        runbook=row.runbook,
        by=row.owner,
        started=row.started.timestamp(),
        ended=row.ended.timestamp() if row.ended else None,
        outcome=row.outcome,
        release=str(release or ""),
    )


def _resolved(store: HealthStore, target: str, now: float) -> list[Any]:
    recent = store.incidents(target, since=now - PAST, limit=PAST_MOST)
    return [each for each in recent if each.resolved is not None]


def _rhythm(target: Target, name: str) -> str:
    leaders = [check.name for check in target.checks.values() if name in check.then]
    if leaders:
        return f"after {' and '.join(leaders)}"
    check = target.checks[name]
    if check.cron:
        return f"cron {check.cron} ({target.timezone})"
    return f"every {duration(check.every or EVERY).replace('m00s', 'm')}"


def _signature(path: Path) -> tuple[int, int]:
    try:
        seen = path.stat()
    except OSError:
        return (0, 0)
    return (seen.st_mtime_ns, seen.st_size)


# --- looks -------------------------------------------------------------------------------


class Histories:
    """Every look that pages show, counted by day and by hour. What was counted once is not read
    again."""

    def __init__(self, store: HealthStore) -> None:
        self._store = store
        self._seq = -1
        self._tallies: dict[tuple[Spot, int], Tally] = {}
        self.last: dict[Spot, Sample] = {}
        self.days: dict[Spot, dict[int, Tally]] = {}
        self.hours: dict[Spot, dict[int, Latency]] = {}
        self._minutes: dict[Spot, dict[int, list[float]]] = {}

    def refresh(self, now: float) -> tuple[Sample, ...]:
        """Read what is new; the looks that came since the last time (at first: none)."""
        begun = self._seq >= 0
        if not begun:
            self._begin(now)
        fresh: list[Sample] = []
        while rows := self._store.looks_after(self._seq):
            fresh += [sample for _, sample in rows]
            self._seq = rows[-1][0]
        self._count(fresh)
        self._forget(now)
        return tuple(fresh) if begun else ()

    def minutes(self, spot: Spot) -> dict[int, Latency]:
        """What was measured lately, while there are no hours to speak of."""
        found = self._minutes.get(spot, {})
        return {minute: (median(all_), max(all_)) for minute, all_ in found.items()}

    def _begin(self, now: float) -> None:
        self._seq, days, hours = self._store.rolled_up(now - (DAYS + 1) * DAY, now - 8 * DAY)
        for spot, at, body in days:
            self.days.setdefault(spot, {})[at // DAY] = rollups.decode(body)
        for spot, at, body in hours:
            self._tallies[spot, at // HOUR] = rollups.decode(body)
            self._measure(spot, at // HOUR)
        for spot in self._store.spots():
            for sample in self._store.looks(spot, limit=1):
                self.last[spot] = sample

    def _count(self, samples: Iterable[Sample]) -> None:
        for spot, several in groupby(sorted(samples, key=_by_hour), key=lambda s: s.spot):
            for hour, some in groupby(several, key=lambda s: int(s.at // HOUR)):
                looks = list(some)
                counted, key = rollups.tally(looks), (spot, hour)
                self._tallies[key] = self._tallies.get(key, Tally()) + counted
                self._measure(spot, hour)
                days = self.days.setdefault(spot, {})
                days[hour // 24] = days.get(hour // 24, Tally()) + counted
                self.last[spot] = looks[-1]
                self._remember(spot, looks)

    def _remember(self, spot: Spot, looks: Iterable[Sample]) -> None:
        if len(self.hours.get(spot, ())) > 3:
            self._minutes.pop(spot, None)
            return
        minutes = self._minutes.setdefault(spot, {})
        for each in looks:
            if each.elapsed_ms > 0:
                minutes.setdefault(int(each.at // 60), []).append(each.elapsed_ms)

    def _measure(self, spot: Spot, hour: int) -> None:
        counted = self._tallies[spot, hour]
        middle, high = counted.percentile(0.5), counted.percentile(0.95)
        if middle is not None and high is not None:
            self.hours.setdefault(spot, {})[hour] = (middle, high)

    def _forget(self, now: float) -> None:
        """What lies too far back to be shown, and the tallies of hours that are over."""
        this = int(now // HOUR)
        for spot, hour in [key for key in self._tallies if key[1] < this - 1]:
            del self._tallies[spot, hour]
        for hours in self.hours.values():
            for hour in [hour for hour in hours if hour < this - 24 * 8]:
                del hours[hour]
        for days in self.days.values():
            for day in [day for day in days if day < this // 24 - DAYS]:
                del days[day]


def _by_hour(sample: Sample) -> tuple[Spot, float]:
    return (sample.spot, sample.at)


# --- over HTTP ---------------------------------------------------------------------------


class Listen:
    """Serves the pages; the libraries for it are loaded when it is made."""

    def __init__(self, directory: Path, words: Mapping[str, Any]) -> None:
        """Raises Mistakes and Refused."""
        from backout.adapters.web import server

        self._web = server
        self._watcher: Watcher | None = None
        anywhere = bool(words.get("listen_anywhere"))
        self.address = server.Address.of(
            str(words["listen"]), anywhere=anywhere, names=words.get("listen_name") or ()
        )
        self._metrics = server.Metrics(self._redact, self.health)
        self._server = server.Server(
            server.Site(directory, self.address, self.health, self._metrics, STALE_AFTER)
        )

    @property
    def url(self) -> str:
        return self._web.Address(self.address.host, self._server.port).url

    def health(self) -> Mapping[str, Any]:
        """The watcher's own health, redacted; from any thread."""
        if self._watcher is None:
            return {"status": "starting", "reasons": ["the watcher has not begun"]}
        health = self._watcher.health()
        return {**health, "reasons": [self._redact(each) for each in health["reasons"]]}

    def _redact(self, text: str) -> str:
        return self._watcher.store.redact(text) if self._watcher else ""

    def begin(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._server.start()

    def end(self) -> None:
        self._server.stop()

    def update(
        self,
        watched: Iterable[Watched],
        fresh: Iterable[Sample],
        runs: Iterable[tuple[str, str, str, int]],
        now: float,
    ) -> None:
        """What the next scrape says."""
        known = list(watched)
        self._metrics.observe(fresh)
        self._metrics.reading = self._web.Reading(
            last={h.spot: h.last for each in known for h in each.histories},
            incidents=[i for each in known for i in each.incidents if i.resolved is None],
            targets=[each.name for each in known],
            runs=list(runs),
            written=now,
        )


def companions(
    workplace: Workplace, screen: Screen, words: Mapping[str, Any]
) -> tuple[Publisher, ...]:
    """What lives beside `watch`. Raises Mistakes and Refused for what cannot be listened on."""
    page = words.get("page")
    directory = (workplace.started_in / page if page else workplace.state / "status").absolute()
    listen = Listen(directory, words) if words.get("listen") else None
    return (Publisher(workplace, screen, directory, listen),)
