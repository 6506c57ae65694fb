"""What a run tells while it is under way, for whoever follows it from elsewhere; and what they
wish of it.

None of this decides anything: the records do. A run says again and again that it lives, a counter
that grows, so that no two clocks are compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backout.adapters.storage.journal_rows import time_text
from backout.adapters.storage.store import JournalStore
from backout.adapters.storage.tables import Tables
from backout.model import Event

STOP = "stop"
"""The wish that a run stops, as by Ctrl-C at its own terminal."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a run."""

    id: str
    run: str
    what: str
    who: str
    at: datetime


class Telling:
    """The tables of it, in a journal."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store

    def tell(self, run: str, events: Sequence[Event], *, alive: bool = False) -> None:
        """In one transaction; `alive` counts as a sign of life too."""
        values = [v for event in events for v in (run, self._store.text_of(_data(event)))]
        places = ", ".join(["(?, ?)"] * len(events))

        def write(db: Tables) -> None:
            if events:
                db.execute(f"INSERT INTO told (run, body) VALUES {places}", values)  # noqa: S608 - places alone
            if alive:
                db.execute(
                    "INSERT INTO pulse (run, beat) VALUES (?, 1)"
                    " ON CONFLICT (run) DO UPDATE SET beat = pulse.beat + 1",
                    (run,),
                )

        self._store.change(write)

    def told(self, run: str, after: int = 0, limit: int = 1000) -> tuple[tuple[int, Event], ...]:
        """What was told since, in order, each with its place."""
        query = "SELECT seq, body FROM told WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?"
        rows = self._store.look(lambda db: db.execute(query, (run, after, limit)).fetchall())
        return tuple((seq, _event(json.loads(body))) for seq, body in rows)

    def beat(self, run: str) -> int:
        """The sign of life that was given last; 0 when none was."""
        query = "SELECT beat FROM pulse WHERE run = ?"
        row = self._store.look(lambda db: db.execute(query, (run,)).fetchone())
        return int(row[0]) if row else 0

    def outcome(self, run: str) -> str | None:
        """How it ended; None while it has not."""
        query = "SELECT outcome FROM run WHERE id = ?"
        row = self._store.look(lambda db: db.execute(query, (run,)).fetchone())
        return row[0] if row else None

    def wish(self, wish: Wish) -> None:
        """Durably."""
        row = (wish.id, wish.run, wish.what, wish.who, time_text(wish.at))
        words = "INSERT INTO wish (id, run, what, who, at) VALUES (?, ?, ?, ?, ?)"
        self._store.change(lambda db: db.execute(words, row).rowcount)

    def wishes(self, run: str) -> tuple[Wish, ...]:
        """All there ever were, in order."""
        query = "SELECT id, run, what, who, at FROM wish WHERE run = ? ORDER BY at, id"
        rows = self._store.look(lambda db: db.execute(query, (run,)).fetchall())
        return tuple(
            Wish(id, of, what, who, datetime.fromisoformat(at)) for id, of, what, who, at in rows
        )


def _data(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in Event.__slots__}


def _event(data: Mapping[str, str]) -> Event:
    known = {name: data[name] for name in Event.__slots__ if name in data and name != "at"}
    return Event(at=datetime.fromisoformat(data["at"]), **known)  # type: ignore[arg-type] # as it was written
