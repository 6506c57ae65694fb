"""Every look that pages show, counted by day and by hour; and a target's releases and runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from statistics import median
from typing import Any

from backout.model import Check, CheckKey, LedgerRow, RunRow, Sample, Target
from backout.ports import HealthStore
from backout.reports.parts import bare_release
from backout.reports.report import ends_of
from backout.status_page.curves import DAYS
from backout.status_page.facts import DAY, HOUR, Deployed, Latency, Ran
from backout.watch import rollups, schedule
from backout.watch.rollups import Tally
from backout.watch.schedule import Rhythm

RUNS = 10
"""So many runs of each target are shown."""
RELEASES = 30
LOOKED_THROUGH = 200
"""Runs that were refused changed nothing, and are not shown: so many are gone through."""
PAST = 30 * DAY
"""So long a resolved incident is shown."""
PAST_MOST = 20


class Histories:
    """Every look that pages show, counted by day and by hour. What was counted once is not read
    again."""

    def __init__(self, store: HealthStore) -> None:
        self._store = store
        self._seq = -1
        self._tallies: dict[tuple[CheckKey, int], Tally] = {}
        self.last: dict[CheckKey, Sample] = {}
        self.days: dict[CheckKey, dict[int, Tally]] = {}
        self.hours: dict[CheckKey, dict[int, Latency]] = {}
        self._minutes: dict[CheckKey, dict[int, list[float]]] = {}

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

    def minutes(self, check_key: CheckKey) -> dict[int, Latency]:
        """What was measured lately, while there are no hours to speak of."""
        found = self._minutes.get(check_key, {})
        return {minute: (median(all_), max(all_)) for minute, all_ in found.items()}

    def _begin(self, now: float) -> None:
        self._seq, days, hours = self._store.rolled_up(now - (DAYS + 1) * DAY, now - 8 * DAY)
        for check_key, at, body in days:
            self.days.setdefault(check_key, {})[at // DAY] = rollups.decode(body)
        for check_key, at, body in hours:
            self._tallies[check_key, at // HOUR] = rollups.decode(body)
            self._measure(check_key, at // HOUR)
        for check_key in self._store.check_keys():
            for sample in self._store.looks(check_key, limit=1):
                self.last[check_key] = sample

    def _count(self, samples: Iterable[Sample]) -> None:
        for check_key, several in groupby(sorted(samples, key=_by_hour), key=lambda s: s.check_key):
            for hour, some in groupby(several, key=lambda s: int(s.at // HOUR)):
                looks = list(some)
                counted, key = rollups.tally(looks), (check_key, hour)
                self._tallies[key] = self._tallies.get(key, Tally()) + counted
                self._measure(check_key, hour)
                days = self.days.setdefault(check_key, {})
                days[hour // 24] = days.get(hour // 24, Tally()) + counted
                self.last[check_key] = looks[-1]
                self._remember(check_key, looks)

    def _remember(self, check_key: CheckKey, looks: Iterable[Sample]) -> None:
        if len(self.hours.get(check_key, ())) > 3:
            self._minutes.pop(check_key, None)
            return
        minutes = self._minutes.setdefault(check_key, {})
        for each in looks:
            if each.elapsed_ms > 0:
                minutes.setdefault(int(each.at // 60), []).append(each.elapsed_ms)

    def _measure(self, check_key: CheckKey, hour: int) -> None:
        counted = self._tallies[check_key, hour]
        middle, high = counted.percentile(0.5), counted.percentile(0.95)
        if middle is not None and high is not None:
            self.hours.setdefault(check_key, {})[hour] = (middle, high)

    def _forget(self, now: float) -> None:
        """What lies too far back to be shown, and the tallies of hours that are over."""
        this = int(now // HOUR)
        for check_key, hour in [key for key in self._tallies if key[1] < this - 1]:
            del self._tallies[check_key, hour]
        for hours in self.hours.values():
            for hour in [hour for hour in hours if hour < this - 24 * 8]:
                del hours[hour]
        for days in self.days.values():
            for day in [day for day in days if day < this // 24 - DAYS]:
                del days[day]


def _by_hour(sample: Sample) -> tuple[CheckKey, float]:
    return (sample.check_key, sample.at)


class Ledger:
    """A target's releases and runs, as pages show them."""

    def __init__(self, releases: tuple[Deployed, ...], runs: tuple[Ran, ...]) -> None:
        self.releases = releases
        self.runs = runs

    @classmethod
    def of(cls, journal: Any, target: str) -> Ledger:
        rows = journal.releases(target, limit=RELEASES)
        releases = tuple(
            Deployed(
                number=row.number,
                commit=row.commit,
                run=row.run,
                at=row.at.timestamp(),
                current=row.current,
                undone=_undone(journal, row),
            )
            for row in rows
        )
        rows = journal.runs(target, limit=LOOKED_THROUGH)
        runs = [ran_of(row) for row in rows if row.outcome != "refused"]
        return cls(releases, tuple(runs[:RUNS]))


def _undone(journal: Any, row: LedgerRow) -> float | None:
    """When a release was undone."""
    if not row.undone_by:
        return None
    by = journal.run(row.undone_by)
    return float((by.ended or by.started).timestamp())


def ran_of(row: RunRow) -> Ran:
    """A run, for the list."""
    release = ends_of(row).to
    return Ran(
        run=row.id,
        verb=row.verb,
        runbook=row.runbook,
        by=row.owner,
        started=row.started.timestamp(),
        ended=row.ended.timestamp() if row.ended else None,
        outcome=row.outcome,
        release=bare_release(release) if release else "",
    )


def due_by(target: Target, check_key: CheckKey, last: Sample | None) -> float | None:
    """Until when a look tells how a check is: two ticks of what leads to it, and then some."""
    if last is None:
        return None
    allowance = schedule.LATE + target.checks[check_key.check].timeout
    ticks = (
        schedule.due_by(Rhythm.of(str(check_key), root, target.timezone), last.at, allowance)
        for root in _roots(target, check_key.check)
    )
    return max(ticks, default=None)


def _roots(target: Target, name: str, below: tuple[str, ...] = ()) -> Iterator[Check]:
    """The checks with a schedule of their own that lead to this one."""
    above = [each for each in target.checks.values() if name in each.then]
    if not above:
        yield target.checks[name]
    for each in above:
        if each.name not in below:
            yield from _roots(target, each.name, (*below, name))


def resolved_lately(store: HealthStore, target: str, now: float) -> list[Any]:
    recent = store.incidents(target, since=now - PAST, limit=PAST_MOST)
    return [each for each in recent if each.resolved is not None]
