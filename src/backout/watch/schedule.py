"""What is due. Pure: it is told the time, and starts nothing.

Ticks of an interval lie on a grid of the wall clock, shifted by a hash of the check's name, so
that checks are spread over the interval, a restart changes nothing, and every tick can be told in
advance. Times are seconds since the epoch.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from backout.model import Check, Target

K = TypeVar("K", bound=Hashable)

EVERY = 60.0
"""How often a check is run that has no schedule of its own."""
LATE = 60.0
"""A tick that is later than this is missed: it is skipped, and that is said."""
JITTER = 0.05
"""The share of an interval by which a tick may be later than its grid says."""
JITTER_MOST = 5.0
DOUBT = 4
"""While in doubt, a check is looked at so many times as often."""
DOUBT_LEAST = 5.0
COUNTED = 10_000
"""No more missed ticks than this are counted."""


def share(*names: object) -> float:
    """Always the same number in [0, 1) for the same names."""
    return zlib.crc32("\0".join(map(str, names)).encode()) / 2**32


def often(target: Target) -> float:
    """Seconds between two looks at the check that is looked at most often."""
    return min((check.every or EVERY for check in target.checks.values()), default=EVERY)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When one check is due: `every` so many seconds, or as `cron` says in `zone`."""

    name: str = ""
    every: float = EVERY
    cron: str = ""
    zone: str = "UTC"

    @classmethod
    def of(cls, name: str, check: Check, zone: str = "UTC") -> Rhythm:
        return cls(name, check.every or EVERY, check.cron or "", zone)

    def after(self, moment: float) -> float:
        """The first tick after `moment`."""
        if self.cron:
            return next(self._cron_ticks(moment))
        index = self._index(moment)
        return self._tick(index + 1)

    def between(self, start: float, end: float) -> int:
        """How many ticks there are in (start, end]."""
        if not self.cron:
            return max(0, self._index(end) - self._index(start))
        count = 0
        for tick in self._cron_ticks(start):
            if tick > end or count == COUNTED:
                break
            count += 1
        return count

    def last(self, start: float, end: float) -> float:
        """The last tick in (start, end], or `start` when there is none."""
        if not self.cron:
            return max(start, self._tick(self._index(end)))
        last = start
        for count, tick in enumerate(self._cron_ticks(start)):
            if tick > end or count == COUNTED:
                break
            last = tick
        return last

    def quick(self) -> float:
        """The interval while in doubt."""
        base = EVERY if self.cron else self.every
        return min(base, max(base / DOUBT, DOUBT_LEAST))

    # --- the grid of an interval ---------------------------------------------------------

    def _index(self, moment: float) -> int:
        """The number of the last tick that is not after `moment`."""
        index = int((moment - share(self.name) * self.every) // self.every)
        return index if self._tick(index) <= moment else index - 1

    def _tick(self, index: int) -> float:
        late = min(JITTER * self.every, JITTER_MOST) * share(self.name, index)
        return (index + share(self.name)) * self.every + late

    # --- cron ----------------------------------------------------------------------------

    def _cron_ticks(self, moment: float) -> Iterator[float]:
        """The ticks after `moment`; at each, checks are spread over a few seconds."""
        from cronsim import CronSim

        late = JITTER_MOST * share(self.name)
        start = datetime.fromtimestamp(moment - late, UTC)
        zone = UTC if self.zone == "UTC" else _zone(self.zone)
        for tick in CronSim(self.cron, start.astimezone(zone)):
            at: float = tick.timestamp() + late
            if at > moment:
                yield at


def within(cron: str, zone: str, lasting: float, now: float) -> bool:
    """Whether a tick of `cron` was less than `lasting` seconds ago."""
    from cronsim import CronSim

    start = datetime.fromtimestamp(now - lasting, UTC)
    tick = next(CronSim(cron, start.astimezone(UTC if zone == "UTC" else _zone(zone))), None)
    return tick is not None and tick.timestamp() <= now


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


# --- many --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick(Generic[K]):
    """Something is due, or was."""

    key: K
    due: float
    missed: int = 0
    """How many ticks were skipped because nobody was there to take them."""
    overlapped: bool = False
    """It is skipped too: the one before still runs."""
    late: bool = False
    """It is skipped too: it should have run long ago."""

    @property
    def runs(self) -> bool:
        return not (self.overlapped or self.late)


@dataclass(slots=True)
class _Entry:
    rhythm: Rhythm
    next: float
    running: bool = False
    version: int = 0
    hastened: bool = False
    """The next look is not a tick of the rhythm."""

    def following(self, now: float) -> float:
        """When it is due after a look now. A tick of an interval that would come at the heels of
        a hastened look is left out: that look was it."""
        heels = self.rhythm.quick() if self.hastened and not self.rhythm.cron else 0.0
        return self.rhythm.after(now + heels)


@dataclass(slots=True)
class Timetable(Generic[K]):
    """The next tick of everything that has a rhythm."""

    entries: dict[K, _Entry] = field(default_factory=dict)
    _heap: list[tuple[float, int, int, K]] = field(default_factory=list)
    _count: int = 0

    def plan(self, rhythms: Mapping[K, Rhythm], now: float) -> None:
        """From now on, these; those whose rhythm is as before keep their next tick."""
        for key in self.entries.keys() - rhythms.keys():
            del self.entries[key]
        for key, rhythm in rhythms.items():
            entry = self.entries.get(key)
            if entry is None or entry.rhythm != rhythm:
                running = entry.running if entry else False
                self.entries[key] = _Entry(rhythm, 0.0, running, entry.version if entry else 0)
                self._at(key, rhythm.after(now))

    def replan(self, now: float) -> None:
        """The clock was set back: every next tick is the first one after `now`."""
        for key, entry in self.entries.items():
            self._at(key, entry.rhythm.after(now))

    def hasten(self, key: K, moment: float) -> None:
        """Look at `moment` already, if the next tick is later."""
        entry = self.entries.get(key)
        if entry is not None and moment < entry.next:
            self._at(key, moment)
            entry.hastened = True

    def take(self, now: float) -> list[Tick[K]]:
        """All that is due, at most one tick of each; those that run are running now."""
        ticks = []
        while self._heap and self._heap[0][0] <= now:
            due, _, version, key = heapq.heappop(self._heap)
            entry = self.entries.get(key)
            if entry is None or entry.version != version:
                continue
            ticks.append(self._tick(key, entry, due, now))
            self._at(key, entry.following(now))
        return ticks

    def _tick(self, key: K, entry: _Entry, due: float, now: float) -> Tick[K]:
        missed = entry.rhythm.between(due, now)
        if entry.hastened and missed:
            missed -= 1  # the tick that has come meanwhile is the one that runs
        due = entry.rhythm.last(due, now)
        tick = Tick(key, due, missed, overlapped=entry.running, late=now - due > LATE)
        entry.running = entry.running or tick.runs
        return tick

    def ended(self, key: K) -> None:
        """What was running has ended."""
        if key in self.entries:
            self.entries[key].running = False

    def next(self) -> float | None:
        """The next moment at which something is due."""
        while self._heap:
            moment, _, version, key = self._heap[0]
            entry = self.entries.get(key)
            if entry is not None and entry.version == version:
                return moment
            heapq.heappop(self._heap)
        return None

    def _at(self, key: K, moment: float) -> None:
        entry = self.entries[key]
        entry.next, entry.hastened = moment, False
        self._count += 1
        entry.version = self._count
        heapq.heappush(self._heap, (moment, self._count, entry.version, key))


def overdue(rhythm: Rhythm, last: float, now: float, allowance: float) -> bool:
    """Whether two ticks have passed since `last`, and `allowance` seconds beside."""
    return now > last + allowance and now > due_by(rhythm, last, allowance)


def due_by(rhythm: Rhythm, last: float, allowance: float) -> float:
    """The moment after which a check that was looked at then is overdue."""
    return rhythm.after(rhythm.after(last)) + allowance
