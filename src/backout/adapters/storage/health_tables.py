"""What is asked of the history of checks, wherever its tables lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any, ClassVar

from backout.adapters.storage.closing import Closing
from backout.adapters.storage.health_change import (
    DAY,
    HOUR,
    INCIDENT,
    Change,
    Fold,
    incident_of,
    rolled,
    sample_of,
)
from backout.adapters.storage.letters import MESSAGE, WAITING, message_of
from backout.adapters.storage.tables import ALL, T, Tables
from backout.model import CheckKey, Incident, Message, Reverted, Sample, Streak
from backout.ports import Bodies

FOLDED = 50_000
"""So many looks are rolled up at a time."""


class HealthTables(Closing):
    """The health of all targets: looks, what was made of them, and who was told."""

    shared: ClassVar[bool] = False
    """Whether other machines write to them too."""
    name: str
    """Tells the messages of this store from those of others."""
    redact: Callable[[str], str]
    _fold: Fold

    def look(self, read: Callable[[Tables], T]) -> T:
        """What somebody reads who knows the tables. Raises Refused, and Damaged."""
        raise NotImplementedError

    def at_once(self, read: Callable[[Tables], T]) -> T:
        """The same, of one moment, however many statements it takes."""
        raise NotImplementedError

    def write(self) -> AbstractContextManager[Change]:
        """One transaction: all of it is durable at its end, or none. Raises Unwritten."""
        raise NotImplementedError

    def settled(self, token: str) -> bool:  # noqa: ARG002 - where it is always known at once
        """Whether a transaction was written of which that was not known. Raises Unwritten."""
        return False

    def examine(self) -> None:
        """Look whether it is whole, as far as that is ours to know. Raises Damaged."""

    def roll_up(self, now: float) -> int:
        """Add the looks that are not rolled up yet to their hours and days, and forget what is
        old. Returns how many looks there were. Raises Unwritten."""
        folded = 0
        while True:
            with self.write() as change:
                count = change.roll_up(self._fold, FOLDED)
            folded += count
            if count < FOLDED:
                break
        with self.write() as change:
            change.forget(now)
        return folded

    def streaks(self) -> dict[CheckKey, tuple[Streak, dict[str, Any], float | None]]:
        """Counters, probe memory and last tick of every check key."""
        rows = self._rows("SELECT target, name, host, pulse, memory, tick FROM spot")
        return {
            CheckKey(target, name, host): (Streak.of(json.loads(streak)), json.loads(memory), tick)
            for target, name, host, streak, memory, tick in rows
        }

    def check_keys(self, target: str | None = None) -> tuple[CheckKey, ...]:
        """Everything that was ever looked at."""
        rows = self._rows(
            "SELECT target, name, host FROM spot WHERE ? IN (target, '') ORDER BY target, id",
            target or "",
        )
        return tuple(CheckKey(*row) for row in rows)

    def looks(
        self, check_key: CheckKey, since: float = 0.0, limit: int = ALL
    ) -> tuple[Sample, ...]:
        """Single looks, oldest first; the newest `limit` of them."""
        rows = self._rows(
            "SELECT at, verdict, elapsed, queued, reason FROM look WHERE spot = ? AND at >= ?"
            " ORDER BY at DESC, seq DESC LIMIT ?",
            self._id(check_key),
            round(since * 1000),
            limit,
        )
        return tuple(sample_of(check_key, *row) for row in reversed(rows))

    def hours(self, check_key: CheckKey, since: float = 0.0) -> dict[int, bytes]:
        """Rolled-up hours by their beginning, the looks that are still single included."""
        return self._buckets(check_key, "hour", HOUR, since)

    def days(self, check_key: CheckKey, since: float = 0.0) -> dict[int, bytes]:
        """Rolled-up days (UTC) by their beginning, the looks that are still single included."""
        return self._buckets(check_key, "day", DAY, since)

    def _buckets(
        self, check_key: CheckKey, table: str, width: int, since: float
    ) -> dict[int, bytes]:
        id, start = self._id(check_key), int(since // width * width)

        def read(db: Tables) -> tuple[list[Any], list[Any]]:
            old = f"SELECT at, body FROM {table} WHERE spot = ? AND at >= ?"  # noqa: S608
            new = (
                "SELECT at, verdict, elapsed, queued, reason FROM look"
                " WHERE spot = ? AND at >= ? AND seq > ? ORDER BY at"
            )
            values = (id, start * 1000, rolled(db))
            return db.execute(old, (id, start)).fetchall(), db.execute(new, values).fetchall()

        old, rows = self.at_once(read)
        found: dict[int, bytes] = dict(old)
        fresh = [sample_of(check_key, *row) for row in rows]
        for at, samples in groupby(fresh, lambda sample: int(sample.at // width * width)):
            found[at] = self._fold(found.get(at, b""), samples)
        return dict(sorted(found.items()))

    def incidents(
        self, target: str | None = None, *, open: bool = False, since: float = 0.0, limit: int = ALL
    ) -> tuple[Incident, ...]:
        """Newest first; all that were open at some time after `since`."""
        rows = self._rows(
            f"{INCIDENT} WHERE ? IN (target, '') AND (resolved IS NULL OR ? = 0)"
            " AND coalesce(resolved, 1e18) >= ? ORDER BY incident.id DESC LIMIT ?",
            target or "",
            int(open),
            since,
            limit,
        )
        return tuple(incident_of(*row) for row in rows)

    def silences(self, now: float) -> tuple[tuple[str, str, float, str], ...]:
        """Those in force: target, check (empty: all of them), until when, by whom."""
        return tuple(self._rows("SELECT target, name, until, by FROM silence WHERE until > ?", now))

    def waiting(self, destination: str | None = None) -> tuple[Message, ...]:
        """Letters that are not delivered yet, in order; those in a digest are part of it."""
        return tuple(message_of(*row) for row in self._rows(WAITING, destination or ""))

    def messages(self, limit: int = 100) -> tuple[tuple[Message, str, float | None], ...]:
        """The newest messages, with what became of them and when."""
        rows = self._rows(
            f"SELECT * FROM ({MESSAGE}) AS message"  # noqa: S608
            " JOIN (SELECT id AS same, outcome, ended FROM letter) AS one ON same = id"
            " ORDER BY id DESC LIMIT ?",
            limit,
        )
        return tuple((Message(*row[:-4]), row[-2], row[-1]) for row in rows)

    def snapshot(self, check_key: CheckKey) -> tuple[int, Any] | None:
        """The release at which a snapshot was taken, and the snapshot."""
        rows = self._rows("SELECT release, body FROM snapshot WHERE spot = ?", self._id(check_key))
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    def reverts(self) -> tuple[Reverted, ...]:
        """The runs that were reverted by themselves, the oldest first."""
        rows = self._rows("SELECT run, target, why, ended FROM revert ORDER BY at")
        return tuple(Reverted(*row) for row in rows)

    def looks_after(self, seq: int, limit: int = 100_000) -> tuple[tuple[int, Sample], ...]:
        """The looks at all check keys that were written after look number `seq`, in order: what the
        status page and the metrics have not counted yet."""
        rows = self._rows(
            "SELECT seq, target, name, host, at, verdict, elapsed, queued, reason"
            " FROM look JOIN spot ON spot.id = look.spot WHERE seq > ? ORDER BY seq LIMIT ?",
            seq,
            limit,
        )
        return tuple((row[0], sample_of(CheckKey(*row[1:4]), *row[4:])) for row in rows)

    def rolled_up(self, days: float, hours: float) -> tuple[int, Bodies, Bodies]:
        """Days and hours of all check keys that began since then, and the last look in them; what
        `looks_after` that one gives is the rest."""

        def read(db: Tables) -> tuple[list[list[Any]], int]:
            rows = [
                db.execute(
                    f"SELECT target, name, host, {table}.at, body FROM {table}"  # noqa: S608
                    f" JOIN spot ON spot.id = {table}.spot WHERE {table}.at >= ?"
                    " ORDER BY spot.id, 4",
                    (since,),
                ).fetchall()
                for table, since in (("day", days), ("hour", hours))
            ]
            return rows, rolled(db)

        found, last = self.at_once(read)
        by_day, by_hour = (
            tuple((CheckKey(*row[:3]), row[3], row[4]) for row in rows) for rows in found
        )
        return last, by_day, by_hour

    def _id(self, check_key: CheckKey) -> int:
        rows = self._rows(
            "SELECT id FROM spot WHERE target = ? AND name = ? AND host = ?",
            check_key.target,
            check_key.check,
            check_key.host,
        )
        return int(rows[0][0]) if rows else -1

    def _rows(self, query: str, *values: Any) -> list[Any]:
        return self.look(lambda db: db.execute(query, values).fetchall())
