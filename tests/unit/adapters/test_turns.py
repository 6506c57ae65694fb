"""Where SQLite cannot bear several writers at the same moment, they take turns."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from backout.adapters.storage import turns
from backout.adapters.storage.journal import SqliteJournal
from support.wait import throughout

HOLDER = """
import sys
from pathlib import Path
from backout.adapters.storage.turns import turn
with turn(Path(sys.argv[1]), 5):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(turns, "needed", lambda: True)
    return tmp_path / "journal.db"


def test_a_commit_waits_for_the_turn_of_another_process_also_when_that_is_killed(
    path: Path,
) -> None:
    with SqliteJournal(path, str) as journal:
        script = [sys.executable, "-c", HOLDER, str(path.parent)]
        with subprocess.Popen(
            script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "mine\n"
            writing = Thread(target=journal.next_number, args=("prod",))
            writing.start()
            assert throughout(writing.is_alive, seconds=0.3)
            holder.kill()
        writing.join(10)
        assert journal.peek_number("prod") == 2


def test_a_turn_that_never_comes_is_an_error_of_the_databases(path: Path) -> None:
    with (
        turns.turn(path.parent, 1),
        pytest.raises(sqlite3.OperationalError, match="locked"),
        turns.turn(path.parent, 0.05),
    ):
        pass


def test_a_sqlite_that_needs_none_waits_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    with turns.turn(path.parent, 1):
        monkeypatch.setattr(turns, "needed", lambda: False)
        with SqliteJournal(path, str) as journal:
            assert journal.next_number("prod") == 1


@pytest.mark.parametrize(
    ("version", "needed"), [((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False)]
)
def test_which_versions_need_it(
    version: tuple[int, int, int], needed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert turns.needed() is needed
    assert ("take turns" in turns.version()) is needed
