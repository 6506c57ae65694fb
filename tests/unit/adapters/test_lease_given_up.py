"""A lease that is let go, or taken away, goes in one step: before that it is its owner's, whole,
and after that nobody's. Real leases, on hosts that are directories here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backout.adapters import standings as looks
from backout.adapters.lease import LeaseLock
from backout.adapters.programs import program
from backout.adapters.standings import standings, take
from backout.errors import Held, Refused
from backout.model import Command
from backout.ports import Claim
from support.disk import small_disk
from support.folders import Folders
from support.wait import eventually

RUN, OTHER = "run-7", "run-8"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path, ("web1", "web2"))


def leave_standing(folders: Folders, run: str, *names: str, **keys: Any) -> None:
    lock = LeaseLock("prod")
    with lock.hold(folders.transports(*names), run, **keys):
        lock.keep()


def files(folders: Folders, name: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folders.home(name) / "lock").iterdir()}


def given_up(folders: Folders, name: str) -> None:
    """Whoever took it away was killed before all of it was cleared."""
    (folders.home(name) / "lock" / "token").rename(folders.home(name) / "lock" / "taken")


def test_what_is_left_of_a_lease_that_was_given_up_is_in_nobody_s_way(folders: Folders) -> None:
    leave_standing(folders, RUN)
    given_up(folders, "web1")
    given_up(folders, "web2")
    assert all(standing.free for standing in standings(folders.transports()))
    assert take(folders.transports(), "prod") == ()
    leave_standing(folders, OTHER)
    leases = [standing.lease for standing in standings(folders.transports())]
    assert [lease.run for lease in leases if lease] == [OTHER, OTHER]
    assert "taken" not in files(folders, "web1")


def test_who_let_go_of_it_and_was_cut_off_clears_it_when_it_asks_again(folders: Folders) -> None:
    host = folders.transports("web1")[0]
    with LeaseLock("prod").hold([host], RUN):
        given_up(folders, "web1")
    assert folders.locked() == []


def test_its_own_run_takes_it_anew_and_has_lost_nothing(folders: Folders) -> None:
    leave_standing(folders, RUN)
    given_up(folders, "web1")
    leave_standing(folders, RUN, began=["web1", "web2"], changed=lambda: True)
    leave_standing(folders, RUN, began=["web1", "web2"], changed=lambda: True)
    assert folders.locked() == ["web1", "web2"]


def test_where_something_is_alive_it_may_still_be_given_back(
    folders: Folders, tmp_path: Path
) -> None:
    """Whoever takes it away is ending that command just now."""
    waits = Command(f"until [ -e {tmp_path}/go ]; do sleep 0.05; done", key=f"{RUN}/slow")
    host = folders.transports("web1")[0]
    lock = LeaseLock("prod")
    with ThreadPoolExecutor(1) as pool, lock.hold([host], RUN):
        lock.keep()
        working = pool.submit(host.run, waits)
        eventually(lambda: bool(standings([host])[0].living), saying="the command")
        before = files(folders, "web1")
        given_up(folders, "web1")
        with pytest.raises(Held, match="is alive on web1"):
            leave_standing(folders, OTHER, "web1")
        assert len(files(folders, "web1")) == len(before)
        (tmp_path / "go").touch()
        assert working.result().ok


def test_what_force_cannot_end_keeps_its_lease(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waits for a disk is not ended by any signal."""
    deaf = {"end_group": "bo_end_group() { :; }\n"}
    monkeypatch.setattr(looks, "program", lambda name: deaf.get(name) or program(name))
    waits = Command(f"until [ -e {tmp_path}/go ]; do sleep 0.05; done", key=f"{RUN}/slow")
    host = folders.transports("web1")[0]
    lock = LeaseLock("prod")
    with ThreadPoolExecutor(1) as pool, lock.hold([host], RUN):
        working = pool.submit(host.run, waits)
        eventually(lambda: bool(standings([host])[0].living), saying="the command")
        before = files(folders, "web1")
        with pytest.raises(Held, match="is alive on web1"):
            take([host], "prod", force=True)
        assert files(folders, "web1") == before
        assert lock.lost(["web1"]) == ""
        (tmp_path / "go").touch()
        assert working.result().ok
    assert folders.locked() == []


@pytest.mark.parametrize("changed", [True, False])
def test_of_two_hosts_the_one_that_is_full_says_so_and_the_other_is_as_it_was(
    folders: Folders, changed: bool
) -> None:
    """A run that is half done keeps both; one that has not begun has none."""
    folders.home("web2").parent.mkdir()
    with small_disk(folders.home("web2"), kilobytes=512) as disk:
        disk.path.chmod(0o700)
        if changed:
            leave_standing(folders, RUN)
        before = files(folders, "web2") if changed else {}
        disk.fill()
        keys = {"began": ["web1", "web2"], "claim": Claim(1, "bob", 1)} if changed else {}
        with pytest.raises(Refused) as caught:
            leave_standing(folders, RUN, changed=lambda: changed, **keys)
        assert caught.value.where == "web2"
        assert caught.value.what == (
            f"the lock of web2 cannot be taken: the disk at {disk.path} is full"
        )
        assert caught.value.state == "nothing was changed"
        assert folders.locked() == (["web1", "web2"] if changed else [])
        if changed:
            assert files(folders, "web2") == before
            assert files(folders, "web1")["run"] == f"{RUN}\n"
            take(folders.transports(), "prod", force=True)
        assert folders.locked() == []


def test_a_full_disk_keeps_nobody_from_letting_go(folders: Folders) -> None:
    folders.home("web2").parent.mkdir()
    said: list[str] = []
    with small_disk(folders.home("web2"), kilobytes=512) as disk:
        disk.path.chmod(0o700)
        with LeaseLock("prod", warn=said.append).hold(folders.transports(), RUN):
            disk.fill()
        assert (said, folders.locked()) == ([], [])


def test_a_disk_that_is_read_only_says_so_and_the_lease_stays(folders: Folders) -> None:
    folders.home("web2").parent.mkdir()
    with small_disk(folders.home("web2"), kilobytes=512) as disk:
        disk.path.chmod(0o700)
        leave_standing(folders, RUN)
        before = files(folders, "web2")
        disk.freeze()
        with pytest.raises(Refused) as caught:
            take(folders.transports(), "prod", force=True)
        assert caught.value.what.startswith("the lock of web2 cannot be taken away: ")
        assert "Read-only" in caught.value.what
        assert caught.value.state == "the lock is free on web1, and only there"
        assert files(folders, "web2") == before
        disk.thaw()
        take(folders.transports(), "prod", force=True)
        assert folders.locked() == []
