"""What checks said, when, and what was made of it: one SQLite file beside the journal.

WAL, synchronous=FULL, 0600. Whatever belongs together is written in one transaction (`write`):
looks, the counters that they change, the incidents that they open, the messages that tell of them.
Every text is redacted before it is written. Looks are kept for days; hours and days are rolled up
by a `fold` that the store is given, each look into each of them exactly once.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import groupby
from pathlib import Path
from threading import RLock
from typing import Any

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
from backout.adapters.storage.health_schema import (
    BUSY,
    DAMAGED,
    connect,
    migrate,
    snapshot,
    whole,
)
from backout.adapters.storage.letters import MESSAGE, WAITING, message_of
from backout.adapters.storage.turns import turn
from backout.errors import Damaged, Refused, Unwritten
from backout.model import CheckKey, Incident, Message, Reverted, Sample, Streak
from backout.ports import Bodies

FOLDED = 50_000
"""So many looks are rolled up at a time."""


class HealthStore(Closing):
    """The health of all targets of one working copy."""

    def __init__(self, path: Path | str, redact: Callable[[str], str], fold: Fold) -> None:
        """Open or create it. Raises Damaged, and Refused when the file cannot be used."""
        self.path = Path(path)
        self.redact = redact
        self._fold = fold
        self._check_keys: dict[CheckKey, int] = {}
        self._writing = RLock()
        self._reading = RLock()
        with self._readable():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            with self._turn():
                self._db = connect(self.path)
                migrate(self._db, self.path)
            self._reader = connect(self.path)
            self._reader.execute("PRAGMA query_only = ON")
        self.name = self._name()
        """Tells the messages of this store from those of others."""

    def _turn(self) -> AbstractContextManager[None]:
        return turn(self.path.with_name(f"{self.path.name}-turn"), BUSY)

    def _name(self) -> str:
        with self.write() as change:
            return change.name()

    def examine(self) -> None:
        """Read all of it once, and close it when it is damaged. Raises Damaged."""
        try:
            with self._reading, self._readable():
                whole(self._reader)
        except Damaged:
            self.close()
            raise

    def close(self) -> None:
        with self._writing, self._reading, suppress(sqlite3.Error), self._turn():
            self._reader.close()
            self._db.close()

    # --- writing -------------------------------------------------------------------------

    @contextmanager
    def write(self) -> Iterator[Change]:
        """One transaction: all of it is durable at its end, or none. Raises Unwritten."""
        with self._writing:
            known = dict(self._check_keys)
            try:
                with self._turn():
                    self._db.execute("BEGIN IMMEDIATE")
                    yield Change(self._db, self.redact, self._check_keys)
                    self._db.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                self._check_keys = known
                if isinstance(error, sqlite3.OperationalError) or type(error) is DAMAGED:
                    raise Unwritten(
                        f"the history of checks cannot be written: {error}",
                        where=str(self.path),
                        next="make room, or make it writable",
                    ) from error
                raise

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

    # --- reading -------------------------------------------------------------------------

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

    def looks(self, check_key: CheckKey, since: float = 0.0, limit: int = -1) -> tuple[Sample, ...]:
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
        with self._reading, self._readable(), snapshot(self._reader) as db:
            found: dict[int, bytes] = dict(
                db.execute(
                    f"SELECT at, body FROM {table} WHERE spot = ? AND at >= ?",  # noqa: S608
                    (id, start),
                ).fetchall()
            )
            rows = db.execute(
                "SELECT at, verdict, elapsed, queued, reason FROM look"
                " WHERE spot = ? AND at >= ? AND seq > ? ORDER BY at",
                (id, start * 1000, rolled(db)),
            ).fetchall()
        fresh = [sample_of(check_key, *row) for row in rows]
        for at, samples in groupby(fresh, lambda sample: int(sample.at // width * width)):
            found[at] = self._fold(found.get(at, b""), samples)
        return dict(sorted(found.items()))

    def incidents(
        self, target: str | None = None, *, open: bool = False, since: float = 0.0, limit: int = -1
    ) -> tuple[Incident, ...]:
        """Newest first; all that were open at some time after `since`."""
        rows = self._rows(
            f"{INCIDENT} WHERE ? IN (target, '') AND (resolved IS NULL OR ? = 0)"
            " AND coalesce(resolved, 1e18) >= ? ORDER BY incident.id DESC LIMIT ?",
            target or "",
            open,
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
            f"SELECT * FROM ({MESSAGE}) JOIN (SELECT id AS same, outcome, ended FROM letter)"  # noqa: S608
            " ON same = id ORDER BY id DESC LIMIT ?",
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
            " FROM look JOIN spot ON spot.id = spot WHERE seq > ? ORDER BY seq LIMIT ?",
            seq,
            limit,
        )
        return tuple((row[0], sample_of(CheckKey(*row[1:4]), *row[4:])) for row in rows)

    def rolled_up(self, days: float, hours: float) -> tuple[int, Bodies, Bodies]:
        """Days and hours of all check keys that began since then, and the last look in them; what
        `looks_after` that one gives is the rest."""
        with self._reading, self._readable(), snapshot(self._reader) as db:
            found = [
                db.execute(
                    f"SELECT target, name, host, {table}.at, body FROM {table}"  # noqa: S608
                    f" JOIN spot ON spot.id = spot WHERE {table}.at >= ? ORDER BY spot.id, 4",
                    (since,),
                ).fetchall()
                for table, since in (("day", days), ("hour", hours))
            ]
            last = rolled(db)
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
        with self._reading, self._readable():
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if type(error) is not DAMAGED:
                raise self._unusable(error) from error
            raise Damaged(
                f"the history of checks is damaged: {error}",
                where=str(self.path),
                state="nothing was changed; deploys do not need it",
                next=f"set it aside: mv {self.path} {self.path}.damaged",
            ) from error
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> Refused:
        return Refused(
            f"the history of checks cannot be used: {error}",
            where=str(self.path),
            next=f"see that {self.path} is writable, or set it aside: mv {self.path}{{,.old}}",
        )
