"""The journal in a file of its own, on real files."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from backout.adapters.storage import chain
from backout.adapters.storage import journal_file as module
from backout.adapters.storage.journal import SqliteJournal
from backout.errors import BackoutError, Interrupted, Refused
from backout.model import Release
from support.runs import NOW, all_at_once, closed, opened, released, started
from support.wait import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(path, lambda text: text.replace("s3cret", "[secret s]")) as journal:
        yield journal


def _without_a_chain(db: sqlite3.Connection, *record: str) -> chain.Link:
    columns = "run, kind, key, at, body"
    db.execute(f"INSERT INTO record ({columns}) VALUES (?, ?, ?, ?, ?)", record)
    return chain.Link()


def _without_a_seal(db: sqlite3.Connection, run: str, ending: chain.Ending) -> bool:
    columns = ", ".join(f"{name} = ?" for name in chain.ENDING)
    return bool(
        db.execute(f"UPDATE run SET {columns} WHERE id = ?", (*ending.values, run)).rowcount
    )


def test_each_run_of_an_older_journal_finds_the_target_of_its_own_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two inventories of one stem shared a ledger; a rollback of one went back in the other."""
    runs = (
        ("s1", "inventories/staging/api.yaml", 0),
        ("p1", "inventories/prod/api.yml", 0),
        ("s2", "sub/../inventories/staging/api.yaml", 0),
        ("p2", "/srv/project/inventories/prod/api.yml", 0),
        ("back", "", 2),
        ("o1", "ops/api.yaml", 0),
    )
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", module.MIGRATIONS[:1])
        patch.setattr(chain, "append", _without_a_chain)
        patch.setattr(chain, "close", _without_a_seal)
        with SqliteJournal(path, str) as journal:
            for id, file, to in runs:
                plan = {"undoing": ["p2"]} if to else {"target": {"name": "api", "file": file}}
                journal.open_run(id, "api", "rollback" if to else "deploy", "x", plan, "a", NOW, {})
                journal.begin(id, "k", {})
                release = None if to else Release(journal.next_number("api"), id)
                journal.finish(id, "succeeded", {}, release=release, restored=to or None)
                closed(journal, id)
            released(journal, "plain", "abc")
    with SqliteJournal(path, str) as journal:
        targets = {run.id: run.target for run in journal.runs(limit=9)}
        numbers = {
            name: [row.number for row in journal.releases(name)]
            for name in ("staging/api", "prod/api", "./ops/api", "api", "prod")
        }
        following = [journal.next_number(name) for name in ("staging/api", "prod/api", "prod")]
        kept = journal._db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'")
        assert kept.fetchone()[0] == 19
        with pytest.raises(BackoutError, match="append-only"):
            journal.append(lambda db: db.execute("UPDATE ledger SET number = 9"))

    assert targets == {
        "s1": "staging/api",
        "p1": "prod/api",
        "s2": "staging/api",
        "p2": "prod/api",
        "back": "prod/api",
        "o1": "./ops/api",
        "plain": "prod",
    }
    assert numbers == {
        "staging/api": [3, 1],
        "prod/api": [4, 2],
        "./ops/api": [5],
        "api": [],
        "prod": [1],
    }
    assert following == [6, 6, 2]


def test_records_cannot_be_changed_or_deleted(journal: SqliteJournal, path: Path) -> None:
    released(journal, "r1", "abc")
    raw = sqlite3.connect(path)
    for table in ("record", "ledger"):
        for statement in (f"UPDATE {table} SET at = ''", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement)
    raw.close()


def test_another_process_reads_while_this_one_writes(journal: SqliteJournal, path: Path) -> None:
    opened(journal, "r1")
    journal.begin("r1", "k", {})
    script = (
        "import sys; from backout.adapters.storage.journal import SqliteJournal;"
        "journal = SqliteJournal(sys.argv[1], str);"
        "print(journal.run('r1').verb, [r.key for r in journal.recall('r1')])"
    )
    with _locked_by_another(path):
        seen = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
        )

    assert seen.stdout == "deploy ['k']\n"


def _waits(thread: threading.Thread) -> bool:
    """Whether the thread stands in a `Condition.wait`."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_name == "wait"


@contextmanager
def _locked_by_another(path: Path) -> Iterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def _arriving_together(path: Path, calls: Sequence[Callable[[], object]]) -> list[object]:
    """What each call came to, when all of them wait before the first can be written."""
    outcomes: list[object] = []
    with _locked_by_another(path):
        threads = [started(outcomes, call) for call in calls]
        eventually(lambda: all(_waits(thread) for thread in threads), saying="all wait")
        assert outcomes == []
    for thread in threads:
        thread.join()
    return outcomes


def _commit_frames(path: Path) -> int:
    """How many transactions the write-ahead log holds: the independent witness."""
    wal = path.with_name(f"{path.name}-wal").read_bytes()
    page = struct.unpack(">I", wal[8:12])[0]
    frames = [wal[at : at + 24] for at in range(32, len(wal), 24 + page)]
    return sum(1 for f in frames if f[8:16] == wal[16:24] and f[4:8] != b"\0\0\0\0")


def test_records_that_arrive_together_share_one_commit(journal: SqliteJournal, path: Path) -> None:
    opened(journal, "r1")
    commits, frames = journal.commits, _commit_frames(path)
    outcomes = _arriving_together(
        path, [partial(journal.begin, "r1", f"web{n}", {}) for n in range(40)]
    )

    assert outcomes == [None] * 40
    assert (journal.commits - commits, _commit_frames(path) - frames) == (1, 1)
    assert {r.key for r in journal.recall("r1")} == {f"web{n}" for n in range(40)}


def test_one_bad_record_does_not_take_its_neighbours_with_it(
    journal: SqliteJournal, path: Path
) -> None:
    opened(journal, "r1")
    outcomes = _arriving_together(
        path, [partial(journal.begin, run, "k", {}) for run in ("r1", "nobody", "r1")]
    )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "BackoutError",
        "NoneType",
        "NoneType",
    ]
    assert len(journal.recall("r1")) == 2


FULL_DISK = """
import resource, signal, sys, threading
from datetime import datetime, UTC
from backout.adapters.storage.journal import SqliteJournal
from backout.errors import Interrupted

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = SqliteJournal(sys.argv[1], str)
journal.open_run("r1", "prod", "deploy", "deploy", {}, "ann", datetime.now(UTC), {})
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
kept, refused = [], []

def host(name):
    n = 0
    try:
        while True:
            journal.begin("r1", f"{name}/{n}", {"output": "x" * 3000})
            kept.append(f"{name}/{n}")
            n += 1
    except Interrupted as error:
        refused.append(error)

threads = [threading.Thread(target=host, args=(f"web{n}",)) for n in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
journal.begin("r1", "after", {})
kept.append("after")
known = [record.key for record in journal.recall("r1")]
print(len(refused), len(kept) > 6, sorted(known) == sorted(kept))
print(refused[0])
"""


def test_a_full_disk_reaches_every_caller_and_loses_nothing_that_was_acknowledged(
    path: Path,
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=60
    )

    first, what, state, following = child.stdout.splitlines() or [child.stderr] * 4
    assert first == "6 True True"
    assert "the journal could not be written" in what
    assert "nothing further was started" in state
    assert "invoke resume --target prod" in following


def test_a_journal_that_another_process_keeps_locked_is_an_error_to_every_caller(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY", 0.05)
    with SqliteJournal(path, str) as journal:
        opened(journal, "r1")
        with _locked_by_another(path):
            outcomes = all_at_once([partial(journal.end, "r1", f"{n}", {}) for n in range(5)])
            with pytest.raises(Refused, match="could not be written"):
                opened(journal, "r2", target="staging")
        journal.end("r1", "later", {})

        assert [type(outcome) for outcome in outcomes] == [Interrupted] * 5
        assert [record.key for record in journal.recall("r1")] == ["later"]


def test_a_closed_journal_takes_nothing_more(path: Path) -> None:
    journal = SqliteJournal(path, str)
    opened(journal, "r1")
    journal.close()
    journal.close()

    with pytest.raises(Interrupted, match="closed"):
        journal.begin("r1", "k", {})


def test_the_file_its_companions_and_its_directory_are_private(path: Path) -> None:
    old = os.umask(0)
    try:
        with SqliteJournal(path, str) as journal:
            opened(journal, "r1")
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(old)

    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_journal_that_was_left_open_to_others_is_made_private(path: Path) -> None:
    SqliteJournal(path, str).close()
    path.chmod(0o644)
    SqliteJournal(path, str).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_every_record_waits_for_the_disk(journal: SqliteJournal) -> None:
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_journal_of_a_newer_backout_is_refused_and_left_alone(path: Path) -> None:
    SqliteJournal(path, str).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(module.MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(Refused) as refused:
        SqliteJournal(path, str)

    assert f"version {len(module.MIGRATIONS) + 1}" in refused.value.what
    assert f"up to {len(module.MIGRATIONS)}" in refused.value.what
    assert "pip install --upgrade" in refused.value.next
    assert path.read_bytes() == before


def test_an_older_journal_is_migrated_and_keeps_its_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteJournal(path, str) as journal:
        opened(journal, "r1")
    addition = ("ALTER TABLE record ADD COLUMN host TEXT",)
    monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, addition))
    with SqliteJournal(path, str) as journal:
        assert journal.run("r1").open
        version = journal._db.execute("PRAGMA user_version").fetchone()[0]

    assert version == len(module.MIGRATIONS)


def test_a_migration_that_fails_half_way_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteJournal(path, str).close()
    half = ("CREATE TABLE added (x)", "not SQL")
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, half))
        with pytest.raises(Refused):
            SqliteJournal(path, str)
    with SqliteJournal(path, str) as journal:
        assert journal.runs() == ()
        tables = journal._db.execute("SELECT name FROM sqlite_master").fetchall()

    assert ("added",) not in tables


@pytest.mark.parametrize("damage", [b"not a database, but a text\n" * 400, b"\0" * 8192])
def test_a_damaged_journal_is_refused_and_never_deleted(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    with pytest.raises(Refused, match="damaged") as refused:
        SqliteJournal(path, str)

    assert path.read_bytes() == damage
    assert "mv " in refused.value.next


def test_damage_that_shows_up_later_is_told_too(path: Path) -> None:
    with SqliteJournal(path, str) as journal:
        opened(journal, "r1")
        for n in range(50):
            journal.end("r1", f"{n}", {"output": "x" * 2000})
    content = bytearray(path.read_bytes())
    behind = 4096 * 48  # what is read when it is opened lies before that
    content[behind:] = b"\xaa" * len(content[behind:])
    path.write_bytes(content)

    with SqliteJournal(path, str) as journal, pytest.raises(Refused, match="damaged"):
        journal.recall("r1")


def test_the_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE run (x)")
        db.execute("PRAGMA user_version = 1")
    db.close()
    before = path.read_bytes()

    with pytest.raises(Refused, match="another program"):
        SqliteJournal(path, str)
    assert path.read_bytes() == before


def test_a_path_that_cannot_be_a_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    for path in (tmp_path / "file" / "journal.db", tmp_path):
        with pytest.raises(Refused, match="journal cannot be"):
            SqliteJournal(path, str)
