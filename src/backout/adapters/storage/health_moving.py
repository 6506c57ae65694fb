"""The history of checks of one working copy, put into that of a team.

What was counted into hours and days stays counted once: looks that are in them already come before
the mark up to which looks are rolled up, all others after it. Up to where a history was copied is
noted, so that it can be said again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backout.adapters.storage.health_change import Change, Fold, rolled
from backout.adapters.storage.health_tables import FOLDED, HealthTables
from backout.adapters.storage.moving import put
from backout.adapters.storage.tables import Tables
from backout.model import CheckKey

Join = Callable[[bytes, bytes], bytes]
"""Two tallies of the same hour or day, as one."""
COLUMNS = {
    "spot": "id, target, name, host, tick, pulse, memory",
    "look": "seq, spot, at, verdict, elapsed, queued, reason",
    "hour": "spot, at, body",
    "day": "spot, at, body",
    "incident": "id, spot, kind, since, opened, evidence, told, acked, resolved",
    "letter": "id, target, destination, kind, key, title, body, created, incident, attempts,"
    " retry_at, failure, ended, outcome, digest",
    "silence": "id, target, name, until, by",
    "snapshot": "spot, release, at, body",
    "revert": "run, target, at, why, ended, outcome",
}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PackedHealth:
    """All that is on record in one history."""

    name: str
    rows: Mapping[str, Sequence[Row]]
    rolled: int
    """The last look that is part of its hour and day."""


def pack(store: HealthTables) -> PackedHealth:
    """Of one moment. Raises Refused and Damaged."""

    def read(db: Tables) -> PackedHealth:
        rows = {table: _rows(db, table, columns) for table, columns in COLUMNS.items()}
        return PackedHealth(store.name, rows, rolled(db))

    return store.at_once(read)


def _rows(db: Tables, table: str, columns: str) -> tuple[Row, ...]:
    names = columns.split(", ")
    found = db.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()  # noqa: S608 - our own words
    return tuple(dict(zip(names, row, strict=True)) for row in found)


def take_up(change: Change, packed: PackedHealth, fold: Fold, join: Join) -> int:
    """Within a transaction of the other history: what it does not have of this one. Gives how many
    looks that were."""
    return _Taking(change, packed, join).all(fold)


@dataclass(slots=True)
class _Taking:
    change: Change
    packed: PackedHealth
    join: Join
    numbers: dict[int, int] = field(default_factory=dict)
    """What their check keys are called there."""
    incidents: dict[int, int] = field(default_factory=dict)

    @property
    def db(self) -> Tables:
        return self.change.tables

    def all(self, fold: Fold) -> int:
        mark = f"copied {self.packed.name}"
        row = self.db.execute("SELECT value FROM meta WHERE name = ?", (mark,)).fetchone()
        before = json.loads(row[0]) if row else {}
        fresh = self._new("look", before)
        while self.change.roll_up(fold, FOLDED) == FOLDED:
            pass
        for spot in self.packed.rows["spot"]:
            self._spot(spot)
        self._looks([each for each in fresh if not before and each["seq"] <= self.packed.rolled])
        if not before:
            self._mark_rolled()
            for table in ("hour", "day"):
                self._buckets(table)
        self._looks([each for each in fresh if before or each["seq"] > self.packed.rolled])
        for incident in self._new("incident", before):
            self._incident(incident)
        self._letters(self._new("letter", before))
        self._rest(before)
        known = {table: self._last(table, before) for table in ("look", "incident", "letter")}
        self.db.execute(
            "INSERT INTO meta VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (mark, json.dumps(known)),
        )
        return len(fresh)

    def _new(self, table: str, before: Mapping[str, int]) -> list[Row]:
        key, last = COLUMNS[table].split(",")[0], before.get(table, 0)
        return [row for row in self.packed.rows[table] if row[key] > last]

    def _last(self, table: str, before: Mapping[str, int]) -> int:
        key = COLUMNS[table].split(",")[0]
        return max((row[key] for row in self.packed.rows[table]), default=before.get(table, 0))

    def _spot(self, row: Row) -> None:
        """Counters and memory are of whoever looked last."""
        id = self.change.check_key(CheckKey(row["target"], row["name"], row["host"]))
        self.numbers[row["id"]] = id
        self.db.execute(
            "UPDATE spot SET tick = ?, pulse = ?, memory = ? WHERE id = ? AND pulse = '{}'"
            " AND tick IS NULL",
            (row["tick"], row["pulse"], row["memory"], id),
        )

    def _looks(self, rows: Sequence[Row]) -> None:
        put(self.db, "look", [{**_without(row, "seq"), "spot": self._of(row)} for row in rows])

    def _of(self, row: Row) -> int:
        return self.numbers[row["spot"]]

    def _mark_rolled(self) -> None:
        last = self.db.execute("SELECT max(seq) FROM look").fetchone()[0]
        if last is not None:
            self.change.roll(last)

    def _buckets(self, table: str) -> None:
        there = {
            (spot, at): bytes(body)
            for spot, at, body in self.db.execute(f"SELECT spot, at, body FROM {table}").fetchall()  # noqa: S608 - our own words
        }
        for row in self.packed.rows[table]:
            spot, at, body = self._of(row), row["at"], row["body"]
            known = there.get((spot, at))
            self.db.execute(
                f"INSERT INTO {table} VALUES (?, ?, ?)"  # noqa: S608 - our own words
                " ON CONFLICT (spot, at) DO UPDATE SET body = excluded.body",
                (spot, at, self.join(known, body) if known else body),
            )

    def _incident(self, row: Row) -> None:
        """One that is open in both is open once: the other's is over since then."""
        spot, resolved = self._of(row), row["resolved"]
        if resolved is None:
            query = "SELECT opened FROM incident WHERE spot = ? AND resolved IS NULL"
            there = self.db.execute(query, (spot,)).fetchone()
            resolved = max(row["opened"], there[0]) if there else None
        made = {**_without(row, "id"), "spot": spot, "resolved": resolved}
        places = ", ".join("?" * len(made))
        words = f"INSERT INTO incident ({', '.join(made)}) VALUES ({places}) RETURNING id"  # noqa: S608 - our own words
        self.incidents[row["id"]] = self.db.execute(words, tuple(made.values())).fetchone()[0]

    def _letters(self, rows: Sequence[Row]) -> None:
        """Those that are not delivered yet go on from here, by the keys that they have."""
        given: dict[int, int] = {}
        for row in rows:
            incident = self.incidents.get(row["incident"], 0)
            made = {**_without(row, "id", "digest"), "incident": incident}
            places = ", ".join("?" * len(made))
            words = f"INSERT INTO letter ({', '.join(made)}) VALUES ({places})"  # noqa: S608 - our own words
            done = self.db.execute(
                f"{words} ON CONFLICT (destination, key) DO NOTHING RETURNING id",
                tuple(made.values()),
            ).fetchone()
            if done:
                given[row["id"]] = done[0]
        for row in rows:
            if row["digest"] in given and row["id"] in given:
                self.db.execute(
                    "UPDATE letter SET digest = ? WHERE id = ?",
                    (given[row["digest"]], given[row["id"]]),
                )

    def _rest(self, before: Mapping[str, int]) -> None:
        for row in self.packed.rows["snapshot"]:
            values = (self._of(row), row["release"], row["at"], row["body"])
            self.db.execute(
                "INSERT INTO snapshot VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", values
            )
        for row in self.packed.rows["revert"]:
            self.db.execute(
                "INSERT INTO revert VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                tuple(row.values()),
            )
        if not before:
            put(self.db, "silence", [_without(row, "id") for row in self.packed.rows["silence"]])


def _without(row: Row, *names: str) -> Row:
    return {name: value for name, value in row.items() if name not in names}
