"""Whether the watching itself is well: for `/health`, the metrics and the dead-man's switches.

The watcher's own thread makes a `Snapshot` of itself; every other thread reads that one alone, and
holds it against its own time: so it can tell that the watcher does not turn any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.model import CheckKey, Target, WatcherHealth, WorkerHealth, duration
from backout.watch import schedule
from backout.watch.schedule import Rhythm
from backout.watch.words import utc

if TYPE_CHECKING:
    from backout.watch.watcher import Watcher

STUCK = 60.0
"""When the watcher has not turned for so long, it is not well."""


@dataclass(frozen=True, slots=True)
class SeenTarget:
    """A target that is watched."""

    target: Target
    roots: tuple[CheckKey, ...]
    held: str
    """Which run holds it; empty while it is free."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A check that is looked at by itself, and when that was done last."""

    check_key: CheckKey
    rhythm: Rhythm
    last: float
    allowance: float

    def overdue(self, now: float) -> bool:
        return schedule.overdue(self.rhythm, self.last, now, self.allowance)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a watcher shows to other threads. It never changes: there is a new one instead."""

    turned: float
    """When, by the clock that never goes back."""
    trouble: str = ""
    """Why nothing can be written; empty when all is well."""
    targets: tuple[SeenTarget, ...] = ()
    expected: tuple[Expected, ...] = ()
    """Those of the targets that are free."""
    checks: int = 0
    broken: tuple[tuple[str, str], ...] = ()
    """The inventories that cannot be read, each with the reason."""
    troubles: tuple[str, ...] = ()
    """What else is wrong."""
    workers: tuple[WorkerHealth, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    """Targets that other processes watch, each with whose it is."""
    certificates: Mapping[CheckKey, float] | None = None
    """When the first certificate of the chain that was seen ends; nobody changes this mapping."""

    def stuck(self, elapsed: float) -> str:
        """Why nothing goes on at all; empty while it does."""
        if self.trouble:
            return f"nothing can be written: {self.trouble}"
        since = elapsed - self.turned
        return f"the watcher has not turned for {duration(since)}" if since > STUCK else ""

    def unwell(self, now: float, elapsed: float) -> dict[str, list[str]]:
        """What is wrong, by target; what concerns all of them under ''."""
        everywhere = [self.stuck(elapsed), *self.troubles]
        everywhere += [] if self.targets or self.others else ["nothing is watched"]
        found = {"": [words for words in everywhere if words]}
        watched = {each.target.name for each in self.targets}
        for name, why in self.broken:
            state = "the old one stays in force" if name in watched else "it is not watched"
            found.setdefault(name, []).append(f"its inventory is broken, {state}: {why}")
        for each in self.expected:
            if each.overdue(now):
                words = f"{each.check_key.key} is overdue since {utc(each.last)}"
                found.setdefault(each.check_key.target, []).append(words)
        return {name: words for name, words in found.items() if words}

    def health(self, now: float, elapsed: float) -> WatcherHealth:
        """All of it as one value."""
        reasons = tuple(
            f"{name}: {words}" if name else words
            for name, several in self.unwell(now, elapsed).items()
            for words in several
        )
        return WatcherHealth(
            status="overdue" if reasons else "ok" if self.targets else "standby",
            reasons=reasons,
            targets=tuple(sorted(each.target.name for each in self.targets)),
            checks=self.checks,
            held=tuple((each.target.name, each.held) for each in self.targets if each.held),
            broken=tuple(sorted(name for name, _ in self.broken)),
            workers=self.workers,
            others=self.others,
        )


def _expected(watcher: Watcher) -> Iterator[Expected]:
    for check_key, entry in watcher.timetable.entries.items():
        watched = watcher.targets.get(check_key.target)
        check = watched.target.checks.get(check_key.check) if watched else None
        if watched is not None and check is not None and not watched.news.held:
            allowance = schedule.LATE + check.timeout
            yield Expected(check_key, entry.rhythm, watcher.last_look(check_key), allowance)


def _unread(watcher: Watcher) -> tuple[str, ...]:
    return (f"nothing is known of deploys: {unread}",) if (unread := watcher.news.unread) else ()


def snapshot(watcher: Watcher) -> Snapshot:
    """Of the watcher as it is; from its own thread alone."""
    workers = watcher.workers.each
    return Snapshot(
        turned=watcher.turned,
        trouble=watcher.trouble,
        others=tuple(sorted(watcher.others.items())),
        targets=tuple(
            SeenTarget(each.target, each.roots, each.news.held) for each in watcher.targets.values()
        ),
        expected=tuple(_expected(watcher)),
        checks=len(watcher.timetable.entries),
        broken=tuple(watcher.broken.items()),
        troubles=(*watcher.workers.troubles, *watcher.around.troubles(), *_unread(watcher)),
        workers=tuple(WorkerHealth(each.name, each.alive, each.deaths) for each in workers),
        certificates=watcher.certificates,
    )
