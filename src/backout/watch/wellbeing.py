"""Whether the watching itself is well: for `/health`, the metrics and the dead-man's switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backout.watch import schedule
from backout.watch.words import utc

if TYPE_CHECKING:
    from backout.watch.watcher import Watcher


def unwell(watcher: Watcher, now: float) -> dict[str, list[str]]:
    """What is wrong, by target; what concerns all of them under ''."""
    everywhere = [watcher.stuck, *watcher.workers.troubles, *watcher.also()]
    everywhere += [] if watcher.targets else ["nothing is watched"]
    found = {"": [words for words in everywhere if words]}
    for name, why in watcher.broken.items():
        state = "the old one stays in force" if name in watcher.targets else "it is not watched"
        found.setdefault(name, []).append(f"its inventory is broken, {state}: {why}")
    for spot, entry in list(watcher.timetable.entries.items()):
        watched = watcher.targets.get(spot.target)
        check = watched.target.checks.get(spot.check) if watched else None
        if watched is None or check is None or watched.news.held:
            continue
        last, allowance = watcher.last_look(spot), schedule.LATE + check.timeout
        if schedule.overdue(entry.rhythm, last, now, allowance):
            found.setdefault(spot.target, []).append(f"{spot.key} is overdue since {utc(last)}")
    return {name: words for name, words in found.items() if words}


def health(watcher: Watcher) -> dict[str, Any]:
    """All of it as one object."""
    reasons = [
        f"{name}: {words}" if name else words
        for name, several in unwell(watcher, watcher.clock.now().timestamp()).items()
        for words in several
    ]
    targets = list(watcher.targets.values())
    return {
        "status": "overdue" if reasons else "ok",
        "reasons": reasons,
        "targets": sorted(each.name for each in targets),
        "checks": len(watcher.timetable.entries),
        "held": {each.name: each.news.held for each in targets if each.news.held},
        "broken": sorted(watcher.broken),
        "workers": {
            each.name: {"alive": each.alive, "deaths": each.deaths}
            for each in list(watcher.workers.each)
        },
    }
