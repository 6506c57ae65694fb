"""What checks said, when, and what was made of it: one SQLite file beside the journal.

WAL, synchronous=FULL, 0600. Whatever belongs together is written in one transaction (`write`):
looks, the counters that they change, the incidents that they open, the messages that tell of them.
Every text is redacted before it is written. Looks are kept for days; hours and days are rolled up
by a `fold` that the store is given, each look into each of them exactly once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import RLock

from backout.adapters.storage.health_change import Change, Fold
from backout.adapters.storage.health_schema import (
    BUSY,
    DAMAGED,
    connect,
    migrate,
    snapshot,
    whole,
)
from backout.adapters.storage.health_tables import HealthTables
from backout.adapters.storage.tables import T, Tables
from backout.adapters.storage.turns import turn
from backout.errors import Damaged, Refused, Unwritten
from backout.model import CheckKey


class HealthStore(HealthTables):
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

    # --- reading -------------------------------------------------------------------------

    def look(self, read: Callable[[Tables], T]) -> T:
        with self._reading, self._readable():
            return read(self._reader)

    def at_once(self, read: Callable[[Tables], T]) -> T:
        with self._reading, self._readable(), snapshot(self._reader) as db:
            return read(db)

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
