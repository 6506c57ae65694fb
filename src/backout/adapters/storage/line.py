"""Who waits for a target, in the order in which they asked; in the journal's tables.

A waiter says again and again that it is there: a counter that grows. Whoever has seen it stand
still for long enough, by a clock of their own, takes it out of the line; so no two clocks are
compared.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from backout.adapters.storage.journal_rows import time_text
from backout.adapters.storage.store import JournalStore
from backout.adapters.storage.tables import Tables

STILL = 10.0
"""After so many seconds without a sign a waiter is gone."""
_ROW = "id, target, ticket, beat, person, machine, pid, waits_for, since"


@dataclass(frozen=True, slots=True)
class Waiter:
    """One who waits."""

    id: str
    target: str
    ticket: int
    beat: int
    person: str
    place: str
    """See `this_machine`."""
    pid: int
    waits_for: str
    """`lock`, or `approval`: that one keeps nobody waiting."""
    since: datetime

    @property
    def machine(self) -> str:
        """Its machine's name."""
        return self.place.partition("#")[0]

    @property
    def gone(self) -> bool:
        """Whether it is of this machine, and its process has ended."""
        if self.place != this_machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


@cache
def this_machine() -> str:
    """This machine's name, and what tells where its processes are known by their numbers: two
    machines may have one name, and so may a container and its host."""
    known = ""
    with suppress(OSError):
        known = Path("/proc/sys/kernel/random/boot_id").read_text()
        known += str(Path("/proc/self/ns/pid").readlink())
    return f"{socket.gethostname()}#{hashlib.sha256(known.encode()).hexdigest()[:8]}"


class Line:
    """The waiters of one target."""

    def __init__(self, store: JournalStore, target: str, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._target = target
        self._monotonic = monotonic
        self._first: dict[str, int] = {}
        self._seen: dict[str, tuple[int, float]] = {}

    def join(self, id: str, person: str, waits_for: str, since: datetime) -> None:
        """Behind everybody who waits already; who is in the line keeps the place."""
        row = (id, self._target, person, this_machine(), os.getpid(), waits_for)
        words = (
            "INSERT INTO waiter (id, target, ticket, beat, person, machine, pid, waits_for, since)"
            " SELECT ?, ?, coalesce(max(ticket), 0) + 1, 0, ?, ?, ?, ?, ? FROM waiter"
            " WHERE target = ? ON CONFLICT (id) DO NOTHING"
        )
        values = (*row, time_text(since), self._target)

        def write(db: Tables) -> None:
            db.execute(words, values)
            db.execute(
                "UPDATE waiter SET beat = beat + 1, waits_for = ? WHERE id = ?", (waits_for, id)
            )

        self._store.change(write)

    def leave(self, id: str) -> None:
        self._store.change(lambda db: db.execute("DELETE FROM waiter WHERE id = ?", (id,)).rowcount)

    def waiting(self) -> tuple[Waiter, ...]:
        """Those who are there, the first one first; who is certainly gone is taken out. To be
        asked again and again: who says nothing for long is gone too."""
        rows = self._rows()
        dead = [each for each in rows if each.gone or self._is_still(each)]
        for each in dead:
            self.leave(each.id)
        return tuple(each for each in rows if each not in dead)

    def look(self) -> tuple[Waiter, ...]:
        """Those who are in the line, as far as one look can tell; nothing is changed."""
        return tuple(each for each in self._rows() if not each.gone)

    def is_alive(self, waiter: Waiter) -> bool:
        """Whether it was seen to live: its process here, or a sign that came since the first
        look."""
        first = self._first.setdefault(waiter.id, waiter.beat)
        return waiter.place == this_machine() or first != waiter.beat

    def _is_still(self, waiter: Waiter) -> bool:
        now = self._monotonic()
        beat, since = self._seen.get(waiter.id, (-1, now))
        if beat != waiter.beat:
            self._seen[waiter.id] = (waiter.beat, now)
            return False
        return now - since > STILL

    def _rows(self) -> tuple[Waiter, ...]:
        query = f"SELECT {_ROW} FROM waiter WHERE target = ? ORDER BY ticket, id"  # noqa: S608 - our own words
        rows: list[Any] = self._store.look(lambda db: db.execute(query, (self._target,)).fetchall())
        return tuple(_waiter(*row) for row in rows)


def _waiter(
    id: str,
    target: str,
    ticket: int,
    beat: int,
    person: str,
    place: str,
    pid: int,
    waits_for: str,
    since: str,
) -> Waiter:
    began = datetime.fromisoformat(since)
    return Waiter(id, target, ticket, beat, person, place, pid, waits_for, began)
