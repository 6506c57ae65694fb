"""What `doctor` tells of the history of checks: whether anybody looks, and who."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from backout.adapters.storage.health_tables import HealthTables
from backout.errors import Refused
from backout.model import Target, duration
from backout.model.units import APART
from backout.project.project import Workplace
from backout.reports.states import Diagnosis
from backout.watch import stores

NAME = "history of checks"
LONG = 3600.0
"""Seconds without a look after which somebody should know."""


def looked_over(workplace: Workplace, target: Target) -> Iterator[Diagnosis]:
    """All of it; nothing of a target that has no checks."""
    if not target.checks:
        return
    begin = f"invoke watch --target {target.name}, or: invoke schedule.install"
    try:
        if not stores.is_there(workplace):
            yield Diagnosis(NAME, None, None, "nobody has watched here yet", begin)
            return
        with closing(stores.open_store(workplace, workplace.redact)) as store:
            yield _looks(store, target.name, begin)
            yield from _letters(store, target.name)
    except Refused as error:
        yield Diagnosis(NAME, None, False, error.what, error.next)


def _looks(store: HealthTables, target: str, begin: str) -> Diagnosis:
    query = "SELECT max(at) FROM look WHERE spot IN (SELECT id FROM spot WHERE target = ?)"
    last = store.look(lambda db: db.execute(query, (target,)).fetchone()[0])
    who = _watcher(store, target)
    if last is None:
        return Diagnosis(NAME, None, None, f"nobody has looked at {target} yet{who}", begin)
    ago = datetime.now(UTC).timestamp() - last / 1000
    if ago < -APART:
        wrong = f"the last look at {target} is {duration(round(-ago))} ahead of this clock{who}"
        return Diagnosis(NAME, None, None, wrong, "see that the clocks follow NTP")
    ago = max(0.0, ago)
    words = f"the last look at {target} was {duration(round(ago))} ago{who}"
    return Diagnosis(NAME, None, None if ago > LONG else True, words, begin if ago > LONG else "")


def _watcher(store: HealthTables, target: str) -> str:
    """Who has said to watch it, where several may."""
    if not store.shared:
        return ""
    query = "SELECT by, since FROM post WHERE target = ? AND process <> ''"
    row = store.look(lambda db: db.execute(query, (target,)).fetchone())
    return f"; watched by {row[0]} since {row[1][:19]}Z" if row else "; nobody watches it"


def _letters(store: HealthTables, target: str) -> Iterator[Diagnosis]:
    waiting = [each for each in store.waiting() if each.target == target]
    if waiting:
        tried = next((each.failure for each in waiting if each.failure), "")
        words = f"{len(waiting)} not delivered yet{f': {tried}' if tried else ''}"
        yield Diagnosis("messages of checks", None, None, words, "whoever watches sends them")
