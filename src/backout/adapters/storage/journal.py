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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition, Lock, Thread
from types import TracebackType
from typing import Any, TypeVar

from backout.adapters.storage import renaming
from backout.adapters.storage.turns import turn
from backout.adapters.vault import redact_data
from backout.errors import BackoutError, Held, Interrupted, Mistakes, Refused
from backout.model import Release

T = TypeVar("T")
Body = Mapping[str, Any]
Write = Callable[[sqlite3.Connection], T]

APPLICATION = 0x4261636B  # "Back", so that no other program's database is taken for a journal
BUSY = 30.0
"""How long another process may keep the journal locked, in seconds."""

_APPEND_ONLY = tuple(
    f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table}"
    f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    for table in ("record", "ledger", "restored", "undone")
    for verb in ("UPDATE", "DELETE")
)

Change = str | Callable[[sqlite3.Connection], None]

MIGRATIONS: tuple[tuple[Change, ...], ...] = (
    (
        """CREATE TABLE run (
            id TEXT PRIMARY KEY, target TEXT NOT NULL, verb TEXT NOT NULL, runbook TEXT NOT NULL,
            plan TEXT NOT NULL, owner TEXT NOT NULL, started TEXT NOT NULL, options TEXT NOT NULL,
            ended TEXT, outcome TEXT, exit_code INTEGER, report TEXT)""",
        "CREATE UNIQUE INDEX one_open_run ON run (target) WHERE outcome IS NULL",
        """CREATE TRIGGER run_closed BEFORE UPDATE ON run WHEN OLD.outcome IS NOT NULL
            BEGIN SELECT RAISE(ABORT, 'the run is closed'); END""",
        """CREATE TABLE record (
            seq INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES run, kind TEXT NOT NULL,
            key TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL)""",
        "CREATE INDEX record_of_run ON record (run, seq)",
        "CREATE TABLE number (target TEXT PRIMARY KEY, last INTEGER NOT NULL)",
        """CREATE TABLE ledger (
            target TEXT NOT NULL, number INTEGER NOT NULL, "commit" TEXT NOT NULL,
            run TEXT NOT NULL REFERENCES run, at TEXT NOT NULL, known_good INTEGER NOT NULL,
            covers TEXT NOT NULL, PRIMARY KEY (target, number))""",
        """CREATE TABLE restored (
            run TEXT PRIMARY KEY REFERENCES run, target TEXT NOT NULL, number INTEGER NOT NULL,
            FOREIGN KEY (target, number) REFERENCES ledger)""",
        """CREATE TABLE undone (
            run TEXT PRIMARY KEY REFERENCES run, by TEXT NOT NULL REFERENCES run)""",
        *_APPEND_ONLY,
    ),
    (renaming.by_path,),
)
"""What leads from each schema version to the next: statements, and what no statement can do."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as it was opened; `outcome` and what follows when it is closed."""

    id: str
    target: str
    verb: str
    runbook: str
    plan: Body
    owner: str
    started: datetime
    options: Body
    ended: datetime | None = None
    outcome: str | None = None
    exit_code: int | None = None
    report: Body | None = None

    @property
    def open(self) -> bool:
        return self.outcome is None


@dataclass(frozen=True, slots=True)
class Record:
    """One durable fact of a run: `begin`, `end`, or the kind that `note` was given."""

    seq: int
    kind: str
    key: str
    at: datetime
    body: Body


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One release of a target."""

    target: str
    number: int
    commit: str
    run: str
    at: datetime
    known_good: bool
    covers: tuple[str, ...]
    """The hosts that it was brought to; empty means all of them."""
    current: bool
    restored_by: str
    """The last rollback that came back to it; empty when none did."""
    undone_by: str
    """The run that undid it; empty while it is in force."""
    restored: tuple[str, ...] = ()
    """Every rollback that came back to it, in order."""

    @property
    def release(self) -> Release:
        return Release(self.number, self.commit)


class SqliteJournal:
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
        with _opening(self.path):
            _make_private(self.path)
            with turn(self.path.parent, BUSY):
                self._db = _connect(self.path, _migrate)
            self._reader = _connect(self.path, _read_only)
        self._reading = Lock()
        self._queue = _Queue()
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
        row = (*about, _text(started), self._json(options))

        def write(db: sqlite3.Connection) -> None:
            if held := _one_run(db, "target = ? AND outcome IS NULL", target):
                raise _held(held)
            db.execute(
                "INSERT INTO run (id, target, verb, runbook, plan, owner, started, options)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

        self._append(write)

    def look_back(self, row: RunRow, ends: Sequence[tuple[str, Body]]) -> None:
        """Durably: a look that is over, with what each host said. It was never open: it held
        nothing, and nothing is there to be taken back."""
        at = _text(row.ended or self._now())
        values = (
            *(row.id, row.target, row.verb, row.runbook, self._json(row.plan)),
            *(self._redact(row.owner), _text(row.started), self._json(row.options), at),
            *(row.outcome, row.exit_code, self._json(row.report)),
        )
        records = [(None, row.id, "end", key, at, self._json(body)) for key, body in ends]

        def write(db: sqlite3.Connection) -> None:
            _insert(db, "run", *values)
            for record in records:
                _insert(db, "record", *record)

        self._append(write)

    def close_run(
        self, id: str, outcome: str, exit_code: int, report: Body, ended: datetime
    ) -> None:
        """Close a run, once; it is history from then on."""
        row = (_text(ended), outcome, exit_code, self._json(report), id)

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
            return _one_run(db, "target = ? AND outcome IS NULL", target)

    def run(self, id: str) -> RunRow:
        """A run by its id or the beginning of it. Raises Mistakes when it names none or many."""
        with self._read() as db:
            rows = _runs(db, "substr(id, 1, ?) = ?", (len(id), id))
        exact = [row for row in rows if row.id == id] or rows
        if len(exact) == 1 and id:
            return exact[0]
        known = ", ".join(row.id for row in exact[:5])
        raise Mistakes(
            f"{id!r} names {len(exact)} runs: {known}" if known else f"there is no run {id!r}",
            next="invoke history",
        )

    def runs(self, target: str | None = None, limit: int = 20) -> tuple[RunRow, ...]:
        """Runs of one target or of all, newest first."""
        with self._read() as db:
            return _runs(db, "? IN (target, '')", (target or "",), limit)

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
        at = _text(self._now())

        def write(db: sqlite3.Connection) -> None:
            target = _target_of(db, run)
            _insert(db, "record", None, run, "decided", "", at, body)
            if release:
                row = (target, release.number, release.commit, run, at, known_good)
                _insert(db, "ledger", *row, json.dumps(list(covers)))
            over = list(undone)
            if restored is not None:
                over += [row.id for row in _since(db, target, restored)]
                _insert(db, "restored", run, target, restored)
            for id in dict.fromkeys(over):
                _insert(db, "undone", id, run)

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

    def releases(self, target: str) -> tuple[LedgerRow, ...]:
        """Every release of the target, newest first."""
        with self._read() as db:
            return _releases(db, target)

    def release(self, target: str, name: str) -> LedgerRow:
        """A release by its number or the beginning of its commit; releases in force go before
        undone ones. Raises Mistakes when it names none or several."""
        rows = self.releases(target)
        named = [row for row in rows if name == str(row.number)]
        named = named or [row for row in rows if name and row.commit.startswith(name.lower())]
        named = [row for row in named if not row.undone_by] or named
        if len(named) == 1:
            return named[0]
        wrong = f"{target} has no release {name!r}"
        if named:
            releases = ", ".join(str(row.release) for row in named)
            wrong = f"{name!r} is ambiguous on {target}, say the number: release {releases}"
        raise Mistakes(wrong, next=f"invoke history --target {target}")

    def current(self, target: str) -> LedgerRow | None:
        """The newest release in force."""
        return next((row for row in self.releases(target) if row.current), None)

    def known_good(self, target: str, before: int | None = None) -> LedgerRow | None:
        """The newest known-good release in force, or the newest one before release `before`."""
        return next(
            (
                row
                for row in self.releases(target)
                if row.known_good and not row.undone_by and (before is None or row.number < before)
            ),
            None,
        )

    def since(self, target: str, number: int) -> tuple[RunRow, ...]:
        """The closed runs after that release which changed something and were not undone,
        newest first: what a rollback to it has to undo."""
        with self._read() as db:
            return _since(db, target, number)

    # --- reading and writing ---------------------------------------------------------------

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._reading, _reading(self.path):
            yield self._reader

    def _record(self, run: str, kind: str, key: str, record: Body) -> None:
        row = (None, run, kind, key, _text(self._now()), self._json(record))
        self._append(lambda db: _insert(db, "record", *row), run=run)

    def _json(self, data: Any) -> str:
        text = json.dumps(data, default=_plain)
        # Where nothing was escaped, one look at the whole is a look at each string in it.
        if "\\" not in text and self._redact(text) == text:
            return text
        return json.dumps(redact_data(data, self._redact), default=_plain)

    def _append(self, write: Write[T], *, run: str = "") -> T:
        try:
            return self._queue.put(write).result()
        except sqlite3.IntegrityError as error:
            raise BackoutError(
                f"the journal does not take this record: {error}",
                where=str(self.path),
            ) from error
        except (sqlite3.Error, _Closed) as error:
            raise self._unwritten(error, run) from error

    def _unwritten(self, error: Exception, run: str) -> BackoutError:
        what = f"the journal could not be written: {error}"
        if not run:
            return Refused(what, where=str(self.path), next=f"make {self.path} writable")
        target = "…"
        with suppress(BackoutError), self._read() as db:
            target = _target_of(db, run)
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
        taken: list[_Append] = []
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


# --- the queue -----------------------------------------------------------------------------


class _Closed(Exception):
    def __str__(self) -> str:
        return "it is closed"


@dataclass(frozen=True, slots=True)
class _Append:
    write: Write[Any]
    future: Future[Any]

    def attempt(self, db: sqlite3.Connection) -> Callable[[], None]:
        """Write, and say how to answer once it is durable. One that fails leaves no trace and
        does not disturb the others, unless it took the whole transaction with it."""
        db.execute("SAVEPOINT append")
        try:
            value = self.write(db)
        except Exception as error:
            if not db.in_transaction:
                raise
            db.execute("ROLLBACK TO append")
            db.execute("RELEASE append")
            return _answer(self.future.set_exception, error)
        db.execute("RELEASE append")
        return _answer(self.future.set_result, value)


def _answer(tell: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: tell(value)


class _Queue:
    """Appends that wait for the writer."""

    def __init__(self) -> None:
        self._waiting: list[_Append] = []
        self._changed = Condition()
        self._closed = False

    def put(self, write: Write[T]) -> Future[T]:
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise _Closed
            self._waiting.append(_Append(write, future))
            self._changed.notify()
        return future

    def wait(self) -> bool:
        """Wait for work; False when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return bool(self._waiting)

    def take(self) -> list[_Append]:
        with self._changed:
            taken, self._waiting = self._waiting, []
            return taken

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


# --- the file ------------------------------------------------------------------------------


def _make_private(path: Path) -> None:
    """The file and SQLite's companions are 0600, and a directory that is made here 0700."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError):
            path.with_name(name).chmod(0o600)


def _connect(path: Path, prepare: Callable[[sqlite3.Connection, Path], None]) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _read_only(db: sqlite3.Connection, _: Path) -> None:
    db.execute("PRAGMA query_only = ON")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this schema version; look before anything is written."""
    if _version(db, path) == len(MIGRATIONS):
        return
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    for version in range(_version(db, path), len(MIGRATIONS)):
        for change in MIGRATIONS[version]:
            db.execute(change) if isinstance(change, str) else change(db)
        db.execute(f"PRAGMA user_version = {version + 1}")
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute("COMMIT")


def _version(db: sqlite3.Connection, path: Path) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION and db.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Refused(
            "the file is the database of another program, not a journal",
            where=str(path),
            next="let BACKOUT_STATE name another directory",
        )
    if version > len(MIGRATIONS):
        raise Refused(
            f"the journal was written by a newer Backout: its schema is version {version},"
            f" this one knows versions up to {len(MIGRATIONS)}",
            where=str(path),
            state="nothing was changed, and the file is as it was",
            next="pip install --upgrade backout",
        )
    return version


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    with _reading(path):
        try:
            yield
        except OSError as error:
            raise Refused(
                f"the journal cannot be opened: {error.strerror}",
                where=str(path),
                next=f"make {path.parent} writable, or let BACKOUT_STATE name another directory",
            ) from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Refused(
            f"the journal cannot be read: {error}",
            where=str(path),
            state="nothing further was started, and the file is left as it is",
            next=f"see that {path.parent} is writable and has room, and that nothing locks it",
        ) from error
    except sqlite3.DatabaseError as error:
        raise Refused(
            f"the journal is damaged: {error}",
            where=str(path),
            state="nothing further was started, and the file is left as it is",
            next=f"restore it from a backup, or set it aside: mv {path} {path}.damaged",
        ) from error


# --- rows ----------------------------------------------------------------------------------


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return _text(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be journaled")


def _insert(db: sqlite3.Connection, table: str, *row: Any) -> None:
    places = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608 - table names are ours


_RUN = "id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report"


def _runs(
    db: sqlite3.Connection, where: str, values: Sequence[Any], limit: int = -1
) -> tuple[RunRow, ...]:
    rows = db.execute(
        f"SELECT {_RUN} FROM run WHERE {where} ORDER BY rowid DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    ).fetchall()
    return tuple(_run_row(*row) for row in rows)


def _run_row(
    id: str,
    target: str,
    verb: str,
    runbook: str,
    plan: str,
    owner: str,
    started: str,
    options: str,
    ended: str | None,
    outcome: str | None,
    exit_code: int | None,
    report: str | None,
) -> RunRow:
    return RunRow(
        id=id,
        target=target,
        verb=verb,
        runbook=runbook,
        plan=json.loads(plan),
        owner=owner,
        started=datetime.fromisoformat(started),
        options=json.loads(options),
        ended=datetime.fromisoformat(ended) if ended else None,
        outcome=outcome,
        exit_code=exit_code,
        report=json.loads(report) if report else None,
    )


def _one_run(db: sqlite3.Connection, where: str, *values: Any) -> RunRow | None:
    return next(iter(_runs(db, where, values, 1)), None)


def _target_of(db: sqlite3.Connection, run: str) -> str:
    row = db.execute("SELECT target FROM run WHERE id = ?", (run,)).fetchone()
    if row is None:
        raise BackoutError(f"there is no run {run} in the journal")
    target: str = row[0]
    return target


def _held(run: RunRow) -> Held:
    return Held(
        f"{run.verb} {run.id} of {run.target} is not finished:"
        f" started {run.started:%Y-%m-%d %H:%M:%S} UTC by {run.owner}",
        where=run.target,
        state="this run changed nothing; that one is as it was",
        next=f"invoke resume --target {run.target}, or: invoke abort --target {run.target}",
    )


def _releases(db: sqlite3.Connection, target: str) -> tuple[LedgerRow, ...]:
    rows = db.execute(
        'SELECT number, "commit", run, at, known_good, covers,'
        " coalesce((SELECT restored.run FROM restored WHERE restored.target = ledger.target"
        "  AND restored.number = ledger.number ORDER BY restored.rowid DESC LIMIT 1), ''),"
        " coalesce((SELECT by FROM undone WHERE undone.run = ledger.run), '')"
        " FROM ledger WHERE target = ? ORDER BY number DESC",
        (target,),
    ).fetchall()
    current = next((number for number, *_, undone_by in rows if not undone_by), None)
    restored = db.execute(
        "SELECT number, run FROM restored WHERE target = ? ORDER BY rowid", (target,)
    ).fetchall()
    return tuple(
        LedgerRow(
            target=target,
            number=number,
            commit=commit,
            run=run,
            at=datetime.fromisoformat(at),
            known_good=bool(known_good),
            covers=tuple(json.loads(covers)),
            current=number == current,
            restored_by=restored_by,
            undone_by=undone_by,
            restored=tuple(run for restored_to, run in restored if restored_to == number),
        )
        for number, commit, run, at, known_good, covers, restored_by, undone_by in rows
    )


def _since(db: sqlite3.Connection, target: str, number: int) -> tuple[RunRow, ...]:
    return _runs(
        db,
        "target = ? AND rowid > (SELECT run.rowid FROM ledger JOIN run ON run.id = ledger.run"
        "  WHERE ledger.target = ? AND number = ?)"
        " AND outcome NOT IN ('refused', 'backed_out') AND verb <> 'rollback'"
        " AND id IN (SELECT run FROM record WHERE kind = 'begin')"
        " AND id NOT IN (SELECT run FROM undone)",
        (target, target, number),
    )
