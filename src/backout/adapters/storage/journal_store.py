"""The journal's file: one thread writes, anybody reads past it.

SQLite (WAL, synchronous=FULL). What is appended is durable when `append` returns. Whatever arrives
while the writer commits is committed together next, with one fsync.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Self

from backout.adapters.redactor import redact_data
from backout.adapters.storage.chain import Line
from backout.adapters.storage.closing import Closing
from backout.adapters.storage.journal_file import (
    BUSY,
    connect_to,
    make_private,
    migrate,
    opening,
    read_only,
    told_reading,
)
from backout.adapters.storage.journal_queue import Append, Closed, Queue, T, Write
from backout.adapters.storage.journal_rows import plain, target_of
from backout.adapters.storage.turns import turn
from backout.errors import BackoutError, Interrupted, Refused


class JournalStore(Closing):
    """Tables in a file. Every text passes `redact` before it is written, and `reveal` when a
    run's records are recalled."""

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
        self.path = Path(path)
        self._redact = redact
        self._reveal = reveal
        self._now = now
        self._copy: Callable[[Line], None] = _nowhere
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

    def through(self, redact: Callable[[str], str], reveal: Callable[[str], str]) -> Self:
        """The same journal as one target sees it: what is written and recalled passes the secrets
        of that target. It is closed with this one."""
        view = copy(self)
        view._redact, view._reveal = redact, reveal
        return view

    def close(self) -> None:
        """Write what is waiting, and let go of the file."""
        self._queue.close()
        self._writer.join()
        with self._reading, suppress(sqlite3.Error), turn(self.path.parent, BUSY):
            self._reader.close()
            self._db.close()

    def change(self, write: Write[T]) -> T:
        """Durably: one transaction of somebody who knows the tables."""
        return self.append(write)

    def look(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What somebody reads who knows the tables."""
        with self.reading() as db:
            return read(db)

    def compact(self) -> None:
        """Give back the room of what was taken out, unless somebody is reading just now."""
        with (
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

    def text_of(self, data: Any) -> str:
        """As it is written: JSON, without any secret."""
        text = json.dumps(data, default=plain)
        # Where nothing was escaped, one look at the whole is a look at each string in it.
        if "\\" not in text and self._redact(text) == text:
            return text
        return json.dumps(redact_data(data, self._redact), default=plain)

    def append(self, write: Write[T], *, run: str = "") -> T:
        """Durably: one transaction, or a part of one. Raises Refused when it cannot be written,
        for what belongs to a `run` Interrupted, and BackoutError for what contradicts itself."""
        try:
            return self._queue.put(write).result()
        except sqlite3.IntegrityError as error:
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


def _nowhere(_: Line) -> None:
    """There is nobody to hand a record on to."""
