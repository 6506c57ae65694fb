"""What a host has on record is the word of whoever holds it: a writer who was stopped on the way,
and wakes up when the host is another's, puts nothing there any more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from backout.adapters.lease import LeaseLock
from backout.adapters.standings import take
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.model import Command, Host, Release
from backout.runs import release_file
from backout.runs.release_file import HostRecord
from support.wait import eventually

OURS, THEIRS = Release(1, "a" * 40), Release(2, "b" * 40)


def web1(directory: Path) -> LocalTransport:
    return LocalTransport(Host(name="web1"), str(directory / "web1" / ".backout"), Vault({}))


def home(directory: Path) -> str:
    return web1(directory).home


@contextmanager
def stopping(directory: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first who comes to that tool stands still there until the file `go` is there."""
    tools = directory / "tools"
    tools.mkdir()
    real = shutil.which(tool)
    (tools / tool).write_text(
        f"#!/bin/sh\nif mkdir {directory}/stands 2>/dev/null; then\n"
        f'  until [ -e {directory}/go ]; do sleep 0.02; done\nfi\nexec {real} "$@"\n'
    )
    (tools / tool).chmod(0o755)
    with monkeypatch.context() as changed:
        changed.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        yield


@pytest.mark.parametrize("tool", ["sync", "mv"])
@pytest.mark.parametrize("other", ["another run by force", "its own run on another machine"])
def test_a_writer_that_wakes_up_later_puts_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, other: str
) -> None:
    ours = web1(tmp_path)
    before = HostRecord().arrived("run-0", Release(0))
    lock = LeaseLock("prod")
    with ThreadPoolExecutor(1) as pool, lock.hold([ours], "run-1"):
        lock.keep()
        assert release_file.write(ours, home(tmp_path), before).ok
        with stopping(tmp_path, tool, monkeypatch):
            late = pool.submit(
                release_file.write, ours, home(tmp_path), before.arrived("run-1", OURS)
            )
            eventually((tmp_path / "stands").exists)
        forced = other == "another run by force"
        run = "run-2" if forced else "run-1"
        if forced:
            take([web1(tmp_path)], "prod", force=True)
        theirs = web1(tmp_path)
        with LeaseLock("prod").hold([theirs], run, began=[] if forced else ["web1"]):
            assert release_file.read(theirs, home(tmp_path)) == before
            assert release_file.write(theirs, home(tmp_path), before.arrived(run, THEIRS)).ok
            (tmp_path / "go").touch()
            said = late.result(timeout=30)
            assert not said.ok
            assert release_file.read(theirs, home(tmp_path)) == before.arrived(run, THEIRS)
            assert not list((tmp_path / "web1" / ".backout").rglob("*put.*"))


def test_two_who_write_at_once_do_not_put_each_others_text_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late one prints while the other, whose host it is by now, waits for its disk."""
    ours, file = web1(tmp_path), tmp_path / "web1" / ".backout" / "file"
    slow = f"touch {tmp_path}/began; until [ -e {tmp_path}/print ]; do sleep 0.02; done; echo ours"
    lock = LeaseLock("prod")
    with ThreadPoolExecutor(2) as pool, lock.hold([ours], "run-1"):
        lock.keep()
        late = pool.submit(ours.run, Command(slow, fenced=True, puts=str(file)))
        eventually((tmp_path / "began").exists)
        take([web1(tmp_path)], "prod", force=True)
        theirs = web1(tmp_path)
        with LeaseLock("prod").hold([theirs], "run-2"):
            with stopping(tmp_path, "sync", monkeypatch):
                put = Command("echo theirs", fenced=True, puts=str(file), brief=True)
                writing = pool.submit(theirs.run, put)
                eventually((tmp_path / "stands").exists)
            (tmp_path / "print").touch()
            said = late.result(timeout=30)
            (tmp_path / "go").touch()
            assert writing.result(timeout=30).ok
            assert not said.ok
            assert "the lease is another run's by now: run-2" in said.stderr
            assert file.read_text() == "theirs\n"


def test_without_a_lease_it_is_put_there_as_well(tmp_path: Path) -> None:
    record = HostRecord().arrived("run-1", OURS)
    assert release_file.write(web1(tmp_path), str(tmp_path / "some where" / "else"), record).ok
    assert release_file.read(web1(tmp_path), str(tmp_path / "some where" / "else")) == record
