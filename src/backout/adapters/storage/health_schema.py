"""The tables of the history of checks, and how its file is opened.

The tables keep the names of the first version, so that every version reads the file: a `spot` is
a check key, its `pulse` a streak, a `letter` a message.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backout.adapters.storage import letters
from backout.errors import Refused

APPLICATION = 0x4261486C
BUSY = 30.0
DAMAGED = sqlite3.DatabaseError
"""Itself, and none of its kinds: the file is not a database, or not a whole one."""
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE spot (
            id INTEGER PRIMARY KEY, target TEXT NOT NULL, name TEXT NOT NULL, host TEXT NOT NULL,
            tick REAL, pulse TEXT NOT NULL DEFAULT '{}', memory TEXT NOT NULL DEFAULT '{}',
            UNIQUE (target, name, host))""",
        """CREATE TABLE look (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, spot INTEGER NOT NULL, at INTEGER NOT NULL,
            verdict INTEGER NOT NULL, elapsed INTEGER NOT NULL, queued INTEGER NOT NULL,
            reason TEXT)""",
        "CREATE INDEX look_of_spot ON look (spot, at)",
        """CREATE TABLE hour (
            spot INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (spot, at)) WITHOUT ROWID""",
        """CREATE TABLE day (
            spot INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (spot, at)) WITHOUT ROWID""",
        """CREATE TABLE incident (
            id INTEGER PRIMARY KEY AUTOINCREMENT, spot INTEGER NOT NULL, kind TEXT NOT NULL,
            since REAL NOT NULL, opened REAL NOT NULL, evidence TEXT NOT NULL, told REAL,
            acked TEXT NOT NULL DEFAULT '', resolved REAL)""",
        "CREATE UNIQUE INDEX one_open_incident ON incident (spot) WHERE resolved IS NULL",
        *letters.TABLE,
        """CREATE TABLE silence (
            id INTEGER PRIMARY KEY, target TEXT NOT NULL, name TEXT NOT NULL, until REAL NOT NULL,
            by TEXT NOT NULL)""",
        """CREATE TABLE snapshot (
            spot INTEGER PRIMARY KEY, release INTEGER NOT NULL, at REAL NOT NULL,
            body TEXT NOT NULL)""",
        """CREATE TABLE revert (
            run TEXT PRIMARY KEY, target TEXT NOT NULL, at REAL NOT NULL, why TEXT NOT NULL,
            ended REAL, outcome TEXT NOT NULL DEFAULT '')""",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ),
)


def connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    return db


def whole(db: sqlite3.Connection) -> None:
    """Raises DatabaseError when it is damaged."""
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DAMAGED(found)


def set_aside(path: Path, stamp: str) -> Path:
    """A damaged file and what belongs to it get other names; the new name of the file."""
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{path}.damaged-{stamp}{suffix}")
    return Path(f"{path}.damaged-{stamp}")


def migrate(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db, path)
    if version == len(MIGRATIONS):
        return
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    for number in range(_version(db, path), len(MIGRATIONS)):
        for statement in MIGRATIONS[number]:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number + 1}")
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute("COMMIT")


def _version(db: sqlite3.Connection, path: Path) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION and db.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Refused("the file is the database of another program", where=str(path))
    if version > len(MIGRATIONS):
        raise Refused(
            f"the history of checks was written by a newer Backout (schema version {version})",
            where=str(path),
            state="the file is as it was",
            next="pip install --upgrade backout",
        )
    return version


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Several reads of the same moment."""
    db.execute("BEGIN")
    try:
        yield db
    finally:
        db.execute("COMMIT")
