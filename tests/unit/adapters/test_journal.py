"""The journal, on real files."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from backout.adapters.storage import chain
from backout.adapters.storage import journal_file as module
from backout.adapters.storage.journal import SqliteJournal
from backout.errors import BackoutError, Held, Interrupted, Mistakes, Refused
from backout.model import Release
from support.wait import eventually

NOW = datetime(2024, 1, 30, 20, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(path, lambda text: text.replace("s3cret", "[secret s]")) as journal:
        yield journal


def opened(journal: SqliteJournal, id: str, target: str = "prod", verb: str = "deploy") -> str:
    journal.open_run(id, target, verb, "deploy", {"steps": ["a"]}, "ann@laptop", NOW, {"yes": True})
    return id


def closed(journal: SqliteJournal, id: str, outcome: str = "succeeded", code: int = 0) -> None:
    journal.close_run(id, outcome, code, {"run": id}, NOW + timedelta(minutes=1))


def released(journal: SqliteJournal, id: str, commit: str, *, known_good: bool = True) -> int:
    """A whole run that changes something and makes a release."""
    opened(journal, id)
    journal.begin(id, "step", {})
    number = journal.next_number("prod")
    journal.finish(id, "succeeded", {}, release=Release(number, commit), known_good=known_good)
    closed(journal, id)
    return number


def rolled_back(journal: SqliteJournal, id: str, to: int) -> None:
    opened(journal, id, verb="rollback")
    journal.begin(id, "undo", {})
    journal.finish(id, "succeeded", {}, restored=to)
    closed(journal, id)


# --- before a target was its path ------------------------------------------------------------


def _without_a_chain(db: sqlite3.Connection, *record: str) -> chain.Link:
    columns = "run, kind, key, at, body"
    db.execute(f"INSERT INTO record ({columns}) VALUES (?, ?, ?, ?, ?)", record)
    return chain.Link()


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
        assert kept.fetchone()[0] == 9
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


# --- runs ----------------------------------------------------------------------------------


def test_a_run_is_read_back_as_it_was_opened_and_closed(journal: SqliteJournal) -> None:
    opened(journal, "r1")
    before = journal.run("r1")
    closed(journal, "r1", "backed_out", 4)
    after = journal.run("r1")

    assert (before.open, before.plan, before.options) == (True, {"steps": ["a"]}, {"yes": True})
    assert (before.started, before.owner, before.runbook) == (NOW, "ann@laptop", "deploy")
    assert after == dataclasses.replace(
        before,
        ended=NOW + timedelta(minutes=1),
        outcome="backed_out",
        exit_code=4,
        report={"run": "r1"},
    )


def test_a_second_run_of_a_target_is_held_by_the_open_one(journal: SqliteJournal) -> None:
    opened(journal, "r1")
    opened(journal, "r2", target="staging")
    with pytest.raises(Held) as held:
        opened(journal, "r3")

    assert "deploy r1 of prod" in held.value.what
    assert "ann@laptop" in held.value.what
    assert "invoke resume --target prod" in held.value.next
    assert [row.id for row in journal.runs()] == ["r2", "r1"]


def test_of_many_runs_that_open_at_once_one_wins(path: Path) -> None:
    journals = [SqliteJournal(path, str) for _ in range(4)]
    outcomes = _all_at_once(
        [partial(opened, journal, f"r{n}") for n, journal in enumerate(journals * 4)]
    )
    for journal in journals:
        journal.close()

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Held"] * 15 + ["str"]


def test_a_target_is_free_again_when_its_run_is_closed(journal: SqliteJournal) -> None:
    opened(journal, "r1")
    assert (row := journal.open_run_of("prod")) is not None
    assert row.id == "r1"
    closed(journal, "r1")

    assert journal.open_run_of("prod") is None
    assert opened(journal, "r2") == "r2"


def test_a_closed_run_is_history(journal: SqliteJournal) -> None:
    closed(journal, opened(journal, "r1"))

    with pytest.raises(BackoutError, match="closed"):
        closed(journal, "r1", "backed_out", 4)
    assert journal.run("r1").outcome == "succeeded"


def test_closing_or_recording_a_run_that_does_not_exist_is_an_error(
    journal: SqliteJournal,
) -> None:
    with pytest.raises(BackoutError, match="no run nobody"):
        closed(journal, "nobody")
    with pytest.raises(BackoutError, match="does not take"):
        journal.begin("nobody", "k", {})


def test_runs_are_listed_newest_first_and_by_target(journal: SqliteJournal) -> None:
    for n in range(4):
        closed(journal, opened(journal, f"r{n}", target=f"t{n % 2}"))

    assert [row.id for row in journal.runs()] == ["r3", "r2", "r1", "r0"]
    assert [row.id for row in journal.runs("t1")] == ["r3", "r1"]
    assert [row.id for row in journal.runs(limit=1)] == ["r3"]
    assert journal.runs("nowhere") == ()


def test_a_run_is_found_by_the_beginning_of_its_id(journal: SqliteJournal) -> None:
    for id in ("ab%1", "ab%12", "cd_1"):
        opened(journal, id, target=id)

    assert journal.run("ab%1").id == "ab%1"
    assert journal.run("c").id == "cd_1"
    for name, says in (("ab", "names 2 runs"), ("%", "no run '%'"), ("", "names 3 runs")):
        with pytest.raises(Mistakes, match=says):
            journal.run(name)


# --- records -------------------------------------------------------------------------------


def test_records_are_recalled_in_order_with_their_time(path: Path) -> None:
    times = iter(NOW + timedelta(seconds=n) for n in range(9))
    with SqliteJournal(path, str, now=lambda: next(times)) as journal:
        opened(journal, "r1")
        journal.note("r1", "baseline", {"alive": "pass"})
        journal.begin("r1", "web1/0", {"undo": {"text": "git checkout abc"}})
        journal.end("r1", "web1/0", {"state": "done", "output": "ok\n"})

        records = journal.recall("r1")

    assert [(r.kind, r.key, r.body) for r in records] == [
        ("baseline", "", {"alive": "pass"}),
        ("begin", "web1/0", {"undo": {"text": "git checkout abc"}}),
        ("end", "web1/0", {"state": "done", "output": "ok\n"}),
    ]
    assert [r.at for r in records] == [NOW + timedelta(seconds=n) for n in range(3)]
    assert [r.seq for r in records] == [1, 2, 3]


def test_every_text_is_redacted_before_it_is_written(journal: SqliteJournal, path: Path) -> None:
    opened(journal, "r1")
    journal.begin("r1", "k", {"s3cret": [("a s3cret", {"deep": "s3cret"})]})
    journal.finish("r1", "succeeded", {"why": "s3cret"})
    journal.close_run("r1", "succeeded", 0, {"report": "s3cret"}, NOW)

    assert journal.recall("r1")[0].body == {
        "[secret s]": [["a [secret s]", {"deep": "[secret s]"}]]
    }
    assert not [file for file in path.parent.iterdir() if b"s3cret" in file.read_bytes()]


def test_undecodable_output_and_times_and_paths_can_be_recorded(journal: SqliteJournal) -> None:
    opened(journal, "r1")
    output = b"\xff\x00ok".decode(errors="surrogateescape")
    journal.end("r1", "k", {"output": output, "at": NOW, "path": Path("/srv")})

    body = journal.recall("r1")[0].body
    assert body == {"output": output, "at": "2024-01-30T20:00:00+00:00", "path": "/srv"}


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


# --- durability ----------------------------------------------------------------------------


def _all_at_once(calls: Sequence[Callable[[], object]]) -> list[object]:
    """What each call returned or raised, all made at the same time."""
    outcomes: list[object] = []
    threads = [_started(outcomes, call) for call in calls]
    for thread in threads:
        thread.join()
    return outcomes


def _started(outcomes: list[object], call: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            outcomes.append(call())
        except BackoutError as error:
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


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
        threads = [_started(outcomes, call) for call in calls]
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


def test_many_threads_write_and_read_without_losing_or_doubling_a_record(
    journal: SqliteJournal,
) -> None:
    opened(journal, "r1")

    def host(name: str) -> None:
        for n in range(25):
            journal.begin("r1", f"{name}/{n}", {})
            assert journal.recall("r1")
            journal.end("r1", f"{name}/{n}", {})

    outcomes = _all_at_once([partial(host, f"web{n}") for n in range(8)])

    assert outcomes == [None] * 8
    records = [(r.key, r.kind) for r in journal.recall("r1")]
    assert len(records) == len(set(records)) == 400
    assert all(records.index((k, "begin")) < records.index((k, "end")) for k, _ in records)


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
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
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
            outcomes = _all_at_once([partial(journal.end, "r1", f"{n}", {}) for n in range(5)])
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


# --- the file ------------------------------------------------------------------------------


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
        db.execute("PRAGMA user_version = 7")
    db.close()
    before = path.read_bytes()
    with pytest.raises(Refused) as refused:
        SqliteJournal(path, str)

    assert "version 7" in refused.value.what
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
    content[4096 * 3 :] = b"\xaa" * len(content[4096 * 3 :])
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


# --- the ledger ----------------------------------------------------------------------------


def test_a_release_number_is_given_once_also_across_processes(path: Path) -> None:
    with SqliteJournal(path, str) as one, SqliteJournal(path, str) as two:
        assert one.peek_number("prod") == 1
        given = _all_at_once([partial(j.next_number, "prod") for j in (one, two) * 10])

        assert sorted(map(str, given), key=int) == [str(n) for n in range(1, 21)]
        assert one.next_number("staging") == 1
        assert (one.peek_number("prod"), one.peek_number("prod")) == (21, 21)


def test_the_number_of_a_failed_run_is_not_given_again(journal: SqliteJournal) -> None:
    opened(journal, "r1")
    failed = journal.next_number("prod")
    journal.finish("r1", "backed_out", {})
    closed(journal, "r1", "backed_out", 4)

    assert released(journal, "r2", "abc") == failed + 1
    assert [row.number for row in journal.releases("prod")] == [failed + 1]


def test_a_deploy_makes_its_release_the_current_one(journal: SqliteJournal) -> None:
    assert journal.current("prod") is None
    released(journal, "r1", "aaa1111")
    released(journal, "r2", "bbb2222")

    assert [(r.number, r.current) for r in journal.releases("prod")] == [(2, True), (1, False)]
    assert (row := journal.current("prod")) is not None
    assert (row.release, row.run, row.known_good) == (Release(2, "bbb2222"), "r2", True)
    assert journal.recall("r2")[-1].kind == "decided"
    decided = journal.recall("r2")[-1].body
    assert (decided["outcome"], decided["ledger"]["known_good"]) == ("succeeded", True)


def test_a_subset_is_current_and_not_known_good(journal: SqliteJournal) -> None:
    released(journal, "r1", "aaa")
    opened(journal, "r2")
    number = journal.next_number("prod")
    journal.finish("r2", "succeeded", {}, release=Release(number, "bbb"), covers=("web1",))

    current, good = journal.current("prod"), journal.known_good("prod")
    assert current is not None
    assert good is not None
    assert (current.number, current.covers, current.known_good) == (2, ("web1",), False)
    assert (good.number, good.covers) == (1, ())


def test_a_rollback_makes_the_older_release_current_again(journal: SqliteJournal) -> None:
    for n, commit in enumerate(("aaa", "bbb", "ccc"), 1):
        released(journal, f"r{n}", commit)
    rolled_back(journal, "back", to=1)

    assert [
        (row.number, row.current, row.restored_by, row.undone_by)
        for row in journal.releases("prod")
    ] == [(3, False, "", "back"), (2, False, "", "back"), (1, True, "back", "")]
    assert journal.known_good("prod", before=1) is None


def test_an_undone_release_is_not_what_the_next_rollback_goes_back_to(
    journal: SqliteJournal,
) -> None:
    for n, commit in enumerate(("aaa", "bbb"), 1):
        released(journal, f"r{n}", commit)
    rolled_back(journal, "back", to=1)
    assert released(journal, "r3", "ccc") == 3

    assert (row := journal.known_good("prod", before=3)) is not None
    assert row.number == 1
    assert [run.id for run in journal.since("prod", 1)] == ["r3"]


def test_a_release_that_its_own_run_took_back_is_not_current(journal: SqliteJournal) -> None:
    released(journal, "r1", "aaa")
    opened(journal, "r2")
    journal.finish("r2", "succeeded", {}, release=Release(journal.next_number("prod"), "bbb"))
    journal.finish("r2", "backed_out", {"why": "it went bad while it baked"}, undone=["r2"])
    closed(journal, "r2", "backed_out", 4)

    assert (row := journal.current("prod")) is not None
    assert row.number == 1
    assert journal.since("prod", 1) == ()


def test_since_names_the_runs_that_a_rollback_has_to_undo_newest_first(
    journal: SqliteJournal,
) -> None:
    released(journal, "r1", "aaa")
    outcomes = {
        "migrated": "succeeded",
        "refused": "refused",
        "backed-out": "backed_out",
        "half-way": "backout_incomplete",
    }
    for id, outcome in outcomes.items():
        opened(journal, id)
        journal.begin(id, "k", {})
        closed(journal, id, outcome)
    closed(journal, opened(journal, "changed-nothing"))
    released(journal, "r2", "bbb")
    opened(journal, "still-open")
    journal.begin("still-open", "k", {})

    assert [run.id for run in journal.since("prod", 1)] == ["r2", "half-way", "migrated"]
    assert journal.since("prod", 2) == ()
    assert journal.since("staging", 1) == ()


def test_a_release_is_named_by_number_or_by_the_beginning_of_its_commit(
    journal: SqliteJournal,
) -> None:
    for n, commit in enumerate(("3f9c2e1", "3f9c9aa", "b00", "b00"), 1):
        released(journal, f"r{n}", commit)

    assert journal.release("prod", "1").number == 1
    assert journal.release("prod", "3F9C2").number == 1
    for name, says in (
        ("3f9c", r"ambiguous on prod.* 2 \(3f9c9aa\), 1 \(3f9c2e1\)"),
        ("b00", r"say the number: release 4 \(b00\), 3 \(b00\)"),
        ("9", "no release '9'"),
        ("", "no release"),
    ):
        with pytest.raises(Mistakes, match=says) as mistakes:
            journal.release("prod", name)
        assert mistakes.value.next == "invoke history --target prod"


def test_a_commit_that_was_undone_and_shipped_again_means_the_one_in_force(
    journal: SqliteJournal,
) -> None:
    released(journal, "r1", "aaa")
    released(journal, "r2", "bbb")
    rolled_back(journal, "back", to=1)
    released(journal, "r3", "bbb")

    assert journal.release("prod", "bbb").number == 3


def test_the_outcome_and_the_ledger_are_written_together_or_not_at_all(
    journal: SqliteJournal,
) -> None:
    number = released(journal, "r1", "aaa")
    opened(journal, "r2")
    with pytest.raises(BackoutError):
        journal.finish("r2", "succeeded", {}, release=Release(number, "bbb"), known_good=True)
    with pytest.raises(BackoutError):
        journal.finish("r2", "succeeded", {}, restored=99)

    assert journal.recall("r2") == ()
    assert [row.commit for row in journal.releases("prod")] == ["aaa"]
