"""The journal's file: one thread writes, anybody reads past it.

SQLite (WAL, synchronous=FULL). What is appended is durable when `append` returns. Whatever arrives
while the writer commits is committed together next, with one fsync.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread

from backout.adapters.storage.journal_file import (
    BUSY,
    connect_to,
    make_private,
    migrate,
    opening,
    read_only,
    told_reading,
)
from backout.adapters.storage.journal_queue import Append, Closed, Queue
from backout.adapters.storage.journal_rows import CLOSED, has_ended, target_of
from backout.adapters.storage.store import JournalStore
from backout.adapters.storage.tables import T, Tables, Write
from backout.adapters.storage.turns import turn
from backout.errors import BackoutError, Interrupted, Refused


class SqliteStore(JournalStore):
    """Tables in a file."""

    def __init__(
        self,
        path: Path | str,
        redact: Callable[[str], str],
        *,
        reveal: Callable[[str], str] = str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open or create the journal. Raises Refused when the file is not one, is damaged, or
        comes from a newer Backout; it is left as it is then."""
        super().__init__(redact, reveal=reveal, now=now)
        self.path = Path(path)
        with opening(self.path):
            make_private(self.path)
            with turn(self.path.parent, BUSY):
                self._db = connect_to(self.path, migrate)
            self._reader = connect_to(self.path, read_only)
        self._reading = Lock()
        self._queue = Queue()
        self.commits = 0
        """How many transactions were committed: appends that arrive together share one."""
        self._writer = Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    @property
    def where(self) -> str:
        return str(self.path)

    def close(self) -> None:
        """Write what is waiting, and let go of the file."""
        self._queue.close()
        self._writer.join()
        with self._reading, suppress(sqlite3.Error), turn(self.path.parent, BUSY):
            self._reader.close()
            self._db.close()

    def look(self, read: Callable[[Tables], T]) -> T:
        with self.reading() as db:
            return read(db)

    def refuse_damaged(self) -> None:
        with self.reading() as db:
            (said,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                raise sqlite3.DatabaseError(" ".join(said.split()))

    def compact(self) -> None:
        with (
            told_reading(self.path),
            suppress(sqlite3.OperationalError),
            turn(self.path.parent, BUSY),
            closing(sqlite3.connect(self.path, isolation_level=None)) as db,
        ):
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The tables, to read from. Raises Refused when they cannot be read."""
        with self._reading, told_reading(self.path):
            yield self._reader

    def size(self) -> int:
        return self.path.stat().st_size

    def signature(self) -> Hashable:
        return tuple(_seen(Path(f"{self.path}{more}")) for more in ("", "-wal"))

    def append(self, write: Write[T], *, run: str = "") -> T:
        try:
            return self._queue.put(write).result()
        except sqlite3.IntegrityError as error:
            if CLOSED in str(error):
                raise has_ended(run, str(self.path)) from error
            raise BackoutError(
                f"the journal does not take this record: {error}",
                where=str(self.path),
            ) from error
        except (sqlite3.Error, Closed) as error:
            raise self._unwritten(error, run) from error

    def _unwritten(self, error: Exception, run: str) -> BackoutError:
        what = f"the journal could not be written: {error}"
        if not run:
            return Refused(what, where=str(self.path), next=f"make {self.path} writable")
        target = "…"
        with suppress(BackoutError), self.reading() as db:
            target = target_of(db, run)
        return Interrupted(
            what,
            where=str(self.path),
            state=f"nothing further was started; run {run} is journaled up to here",
            next=f"make room or make it writable, then: invoke resume --target {target}",
        )

    def _write(self) -> None:
        while self._queue.wait():
            self._commit()

    def _commit(self) -> None:
        """Everything that waits, in one transaction. Nobody is answered before it is durable."""
        taken: list[Append] = []
        try:
            with turn(self.path.parent, BUSY):
                self._db.execute("BEGIN IMMEDIATE")
                taken = self._queue.take()
                written = [append.attempt(self._db) for append in taken]
                self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must hear of it
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            for append in taken or self._queue.take():
                append.future.set_exception(error)
            return
        self.commits += 1
        for answer in written:
            answer()


def _seen(path: Path) -> tuple[int, int, int]:
    try:
        seen = path.stat()
    except OSError:
        return (0, 0, 0)
    return (seen.st_mtime_ns, seen.st_size, seen.st_ino)
