"""The lock on this machine, and a process that is gone while the kernel still has its lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backout.adapters import local_lock
from backout.adapters.local_lock import LocalLock
from backout.errors import Held

KEEPS = """\
import fcntl, sys
file = open(sys.argv[1], "a+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def kept(state: Path, by: int) -> Iterator[subprocess.Popen[str]]:
    """The lock in the hands of a child of the process `by`, until its standard input ends."""
    place = state / "locks" / "prod.lock"
    place.parent.mkdir()
    place.write_text(json.dumps({"pid": by, "owner": "ann", "run": "r1", "since": "then"}))
    argv = [sys.executable, "-c", KEEPS, str(place)]
    with subprocess.Popen(argv, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        return process.pid


def test_a_lock_that_outlives_its_process_for_a_moment_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept(tmp_path, gone()) as child:
        assert child.stdin is not None
        monkeypatch.setattr("time.sleep", lambda _: child.communicate())
        with LocalLock(tmp_path, "prod").hold("r2"):
            assert LocalLock(tmp_path, "prod").holder() == {
                "pid": os.getpid(),
                **{"owner": local_lock.owner(), "run": "r2"},
                "since": json.loads((tmp_path / "locks" / "prod.lock").read_text())["since"],
            }


def test_one_that_is_not_let_go_is_somebodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_lock, "LINGERS", 0.01)
    with kept(tmp_path, gone()), pytest.raises(Held, match="run r1 holds prod"):
        LocalLock(tmp_path, "prod").hold("r2").__enter__()


def test_whoever_lives_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("it was waited for"))
    lock = LocalLock(tmp_path, "prod")
    with kept(tmp_path, os.getpid()), pytest.raises(Held, match="run r1 holds prod"):
        lock.hold("r2").__enter__()
