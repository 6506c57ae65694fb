"""The journal: what was about to happen, with its way back, and what became of it.

One SQLite file (WAL, synchronous=FULL) beside the working copy. A record is durable when
`begin`, `end` or `note` returns. One thread writes: whatever arrives while it commits is
committed together next, with one fsync. Reading goes past it, from any thread or process.

Records are append-only. A run is one row that is written when it opens and once more when it
closes. The ledger is append-only too: a rollback marks the runs that it undid, and the newest
release whose run was not undone is the current one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from backout.adapters.redactor import redact_data
from backout.adapters.storage.journal_file import (
    BUSY,
    connect_to,
    make_private,
    migrate,
    opening,
    read_only,
    told_reading,
)
from backout.adapters.storage.journal_queue import Append, Body, Closed, Queue, T, Write
from backout.adapters.storage.journal_rows import (
    Record,
    RunRow,
    held_by,
    insert,
    one_run,
    plain,
    run_rows,
    runs_named,
    runs_since,
    target_of,
    targets_of,
    time_text,
)
from backout.adapters.storage.ledger import Ledger
from backout.adapters.storage.turns import turn
from backout.errors import BackoutError, Interrupted, Mistakes, Refused
from backout.model import Release


class SqliteJournal(Ledger):
    """The runs of one working copy. Every text passes `redact` before it is written, and
    `reveal` when a run's records are recalled."""

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

    def through(self, redact: Callable[[str], str], reveal: Callable[[str], str]) -> SqliteJournal:
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

    def __enter__(self) -> SqliteJournal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- runs ------------------------------------------------------------------------------

    def open_run(
        self,
        id: str,
        target: str,
        verb: str,
        runbook: str,
        plan: Body,
        owner: str,
        started: datetime,
        options: Body,
    ) -> None:
        """Open a run with its frozen plan. Raises Held while another run of the target is open,
        Refused when it cannot be written."""
        about = (id, target, verb, runbook, self._json(plan), self._redact(owner))
        row = (*about, time_text(started), self._json(options))

        def write(db: sqlite3.Connection) -> None:
            if held := one_run(db, "target = ? AND outcome IS NULL", target):
                raise held_by(held)
            db.execute(
                "INSERT INTO run (id, target, verb, runbook, plan, owner, started, options)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

        self._append(write)

    def look_back(self, row: RunRow, ends: Sequence[tuple[str, Body]]) -> None:
        """Durably: a look that is over, with what each host said. It was never open: it held
        nothing, and nothing is there to be taken back."""
        at = time_text(row.ended or self._now())
        values = (
            *(row.id, row.target, row.verb, row.runbook, self._json(row.plan)),
            *(self._redact(row.owner), time_text(row.started), self._json(row.options), at),
            *(row.outcome, row.exit_code, self._json(row.report)),
        )
        records = [(None, row.id, "end", key, at, self._json(body)) for key, body in ends]

        def write(db: sqlite3.Connection) -> None:
            insert(db, "run", *values)
            for record in records:
                insert(db, "record", *record)

        self._append(write)

    def close_run(
        self, id: str, outcome: str, exit_code: int, report: Body, ended: datetime
    ) -> None:
        """Close a run, once; it is history from then on."""
        row = (time_text(ended), outcome, exit_code, self._json(report), id)

        def write(db: sqlite3.Connection) -> None:
            done = db.execute(
                "UPDATE run SET ended = ?, outcome = ?, exit_code = ?, report = ? WHERE id = ?",
                row,
            )
            if not done.rowcount:
                raise BackoutError(f"there is no run {id} to close", where=str(self.path))

        self._append(write, run=id)

    def open_run_of(self, target: str) -> RunRow | None:
        """The run of the target that is not closed."""
        with self._read() as db:
            return one_run(db, "target = ? AND outcome IS NULL", target)

    def run(self, id: str) -> RunRow:
        """A run by its id or the beginning of it. Raises Mistakes when it names none or many."""
        with self._read() as db:
            count, rows = runs_named(db, id)
        if count == 1 and id:
            return rows[0]
        known = ", ".join(row.id for row in rows)
        raise Mistakes(
            f"{id!r} names {count} runs: {known}" if known else f"there is no run {id!r}",
            next="invoke history",
        )

    def runs(self, target: str | None = None, limit: int = 20) -> tuple[RunRow, ...]:
        """Runs of one target or of all, newest first."""
        with self._read() as db:
            return run_rows(db, "target = ?" if target else "TRUE", (target,) * bool(target), limit)

    def targets(self) -> tuple[str, ...]:
        """Every target that has a run, the one of the newest run first."""
        with self._read() as db:
            return targets_of(db)

    def outcomes(self) -> tuple[tuple[str, str, str, int], ...]:
        """How many runs of each verb ended how on each target."""
        with self._read() as db:
            rows = db.execute(
                "SELECT target, verb, outcome, count(*) FROM run WHERE outcome IS NOT NULL"
                " GROUP BY target, verb, outcome"
            ).fetchall()
        return tuple(rows)

    # --- records ---------------------------------------------------------------------------

    def begin(self, run: str, key: str, record: Body) -> None:
        """Durably: `key` is about to act, and this is its way back."""
        self._record(run, "begin", key, record)

    def end(self, run: str, key: str, record: Body) -> None:
        """Durably: what became of `key`."""
        self._record(run, "end", key, record)

    def note(self, run: str, kind: str, record: Body) -> None:
        """Durably: a fact of the run, such as its baseline or the wish to back out."""
        self._record(run, kind, "", record)

    def recall(self, run: str) -> tuple[Record, ...]:
        """Every record of a run, in order."""
        with self._read() as db:
            rows = db.execute(
                "SELECT seq, kind, key, at, body FROM record WHERE run = ? ORDER BY seq", (run,)
            ).fetchall()
        return tuple(
            Record(seq, kind, key, datetime.fromisoformat(at), self._revealed(body))
            for seq, kind, key, at, body in rows
        )

    def _revealed(self, text: str) -> Body:
        body: Body = json.loads(text)
        # JSON escapes a reference: where nothing is escaped there is none.
        return redact_data(body, self._reveal) if "\\" in text else body

    def finish(
        self,
        run: str,
        outcome: str,
        record: Body,
        *,
        release: Release | None = None,
        known_good: bool = False,
        covers: Sequence[str] = (),
        restored: int | None = None,
        undone: Sequence[str] = (),
    ) -> None:
        """Durably and at once: the decided outcome (a `decided` record) and the ledger.

        `release` is the one that the run made. `restored` is the number that a rollback came
        back to: every run `since` then is undone by it. `undone` names further runs that were
        undone, which may be this one.
        """
        body = self._json({"outcome": outcome, **record})
        at = time_text(self._now())

        def write(db: sqlite3.Connection) -> None:
            target = target_of(db, run)
            insert(db, "record", None, run, "decided", "", at, body)
            if release:
                row = (target, release.number, release.commit, run, at, known_good)
                insert(db, "ledger", *row, json.dumps(list(covers)))
            over = list(undone)
            if restored is not None:
                over += [row.id for row in runs_since(db, target, restored)]
                insert(db, "restored", run, target, restored)
            for id in dict.fromkeys(over):
                insert(db, "undone", id, run)

        self._append(write, run=run)

    # --- the ledger ------------------------------------------------------------------------

    def next_number(self, target: str) -> int:
        """Give out the next release number, durably: it is never given again, even when its
        run fails. Raises Refused when it cannot be written."""

        def write(db: sqlite3.Connection) -> int:
            given: int = db.execute(
                "INSERT INTO number VALUES (?, 1)"
                " ON CONFLICT (target) DO UPDATE SET last = last + 1 RETURNING last",
                (target,),
            ).fetchone()[0]
            return given

        return self._append(write)

    def number_seen(self, target: str, number: int) -> None:
        """Durably: no number up to this one is given out again; another machine gave it out, or
        this journal is a copy of before it did."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO number VALUES (?, ?)"
                " ON CONFLICT (target) DO UPDATE SET last = max(last, excluded.last)",
                (target, number),
            )

        self._append(write)

    def peek_number(self, target: str) -> int:
        """The number that the next release would get; for `plan`, which changes nothing."""
        with self._read() as db:
            row = db.execute("SELECT last FROM number WHERE target = ?", (target,)).fetchone()
        return 1 + (row[0] if row else 0)

    # --- reading and writing ---------------------------------------------------------------

    def change(self, write: Write[T]) -> T:
        """Durably: one transaction of somebody who knows the tables."""
        return self._append(write)

    def look(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What somebody reads who knows the tables."""
        with self._read() as db:
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
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading, told_reading(self.path):
            yield self._reader

    def _record(self, run: str, kind: str, key: str, record: Body) -> None:
        row = (None, run, kind, key, time_text(self._now()), self._json(record))
        self._append(lambda db: insert(db, "record", *row), run=run)

    def _json(self, data: Any) -> str:
        text = json.dumps(data, default=plain)
        # Where nothing was escaped, one look at the whole is a look at each string in it.
        if "\\" not in text and self._redact(text) == text:
            return text
        return json.dumps(redact_data(data, self._redact), default=plain)

    def _append(self, write: Write[T], *, run: str = "") -> T:
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
        with suppress(BackoutError), self._read() as db:
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
