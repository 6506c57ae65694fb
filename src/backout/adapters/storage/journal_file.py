"""The journal's file: opened, made private, brought up to this schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backout.adapters.storage import letters, renaming
from backout.adapters.storage.append_only import append_only
from backout.adapters.storage.people_schema import PEOPLE, SPOKEN, TAKEN_BACK
from backout.adapters.storage.telling_schema import TELLING, TOKENS
from backout.errors import Refused

APPLICATION = 0x4261636B  # "Back", so that no other program's database is taken for a journal
BUSY = 30.0
"""How long another process may keep the journal locked, in seconds."""

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
        *append_only("record", "ledger", "restored", "undone"),
    ),
    (renaming.by_path,),
    (
        "CREATE INDEX run_of_target ON run (target)",
        "CREATE INDEX ledger_of_run ON ledger (run)",
        "CREATE INDEX restored_release ON restored (target, number)",
        # Without it, `status` would read the plan of every run that brought no code.
        """CREATE INDEX run_with_update ON run (id)
            WHERE instr(plan, '"kind": "update"') > 0""",
    ),
    (
        "ALTER TABLE record ADD COLUMN n INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE record ADD COLUMN prev TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE record ADD COLUMN hash TEXT NOT NULL DEFAULT ''",
    ),
    letters.TABLE,
    PEOPLE,
    TELLING,
    TOKENS,
    SPOKEN,
    ("ALTER TABLE run ADD COLUMN sealed TEXT NOT NULL DEFAULT ''",),
    ("CREATE INDEX run_of_verb ON run (verb)",),
    TAKEN_BACK,
)
"""What leads from each schema version to the next: statements, and what no statement can do."""


def make_private(path: Path) -> None:
    """The file and SQLite's companions are 0600, and a directory that is made here 0700."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError):
            path.with_name(name).chmod(0o600)


def connect_to(
    path: Path, prepare: Callable[[sqlite3.Connection, Path], None]
) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def read_only(db: sqlite3.Connection, _: Path) -> None:
    db.execute("PRAGMA query_only = ON")


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the file to this schema version; look before anything is written."""
    if version_of(db, path) == len(MIGRATIONS):
        return
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    for version in range(version_of(db, path), len(MIGRATIONS)):
        for change in MIGRATIONS[version]:
            db.execute(change) if isinstance(change, str) else change(db)
        db.execute(f"PRAGMA user_version = {version + 1}")
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute("COMMIT")


def version_of(db: sqlite3.Connection, path: Path) -> int:
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
def opening(path: Path) -> Iterator[None]:
    with told_reading(path):
        try:
            yield
        except OSError as error:
            raise Refused(
                f"the journal cannot be opened: {error.strerror}",
                where=str(path),
                next=f"make {path.parent} writable, or let BACKOUT_STATE name another directory",
            ) from error


@contextmanager
def told_reading(path: Path) -> Iterator[None]:
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
