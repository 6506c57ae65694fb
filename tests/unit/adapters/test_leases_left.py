"""The lease of a run that is over, on a host that was away when it was let go: whoever knows takes
it. Real leases, on hosts that are directories here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.lease import LeaseLock
from backout.adapters.standings import standings, take
from backout.adapters.transports.noted_shell import ShellTransport
from backout.errors import Held, Unreachable
from backout.model import Command, Result
from support.folders import Folders
from support.wait import eventually

NAMES = ("web1", "web2", "web3")
RUN, OTHER = "run-7", "run-8"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path, NAMES)


@pytest.fixture
def hosts(folders: Folders) -> list[ShellTransport]:
    return folders.transports()


def hold(lock: LeaseLock, hosts: Sequence[ShellTransport], run: str, **keys: Any) -> None:
    with lock.hold(hosts, run, **keys):
        pass


def left_standing(lock: LeaseLock, hosts: Sequence[ShellTransport], run: str) -> None:
    with lock.hold(hosts, run):
        lock.keep()


def yes(_: str) -> bool:
    return True


def no(_: str) -> bool:
    return False


def test_the_lease_of_a_run_that_is_over_is_taken_on_each_host_and_told(
    folders: Folders, hosts: list[ShellTransport], lock: LeaseLock, said: list[str]
) -> None:
    left_standing(lock, hosts[:2], RUN)
    with lock.hold(hosts[1:], OTHER, others=hosts[:1], over=[RUN].__contains__) as held:
        assert held == NAMES
        leases = [each.lease for each in standings(folders.transports())]
        assert [lease.run for lease in leases if lease] == [OTHER] * 3
    assert sorted(said) == [
        f"{name}: the lease of run {RUN}, which is over, was left there, and was taken"
        for name in NAMES[:2]
    ]
    assert folders.locked() == []


@pytest.mark.parametrize("over", [None, no])
def test_the_lease_of_a_run_whose_end_is_not_known_stays(
    folders: Folders,
    hosts: list[ShellTransport],
    lock: LeaseLock,
    over: Callable[[str], bool] | None,
) -> None:
    left_standing(lock, hosts, RUN)
    with pytest.raises(Held, match=f"for run {RUN}"):
        hold(lock, hosts, OTHER, **({"over": over} if over else {}))
    assert folders.locked() == list(NAMES)


def test_where_something_is_alive_the_lease_of_a_run_that_is_over_stays(
    folders: Folders, hosts: list[ShellTransport], lock: LeaseLock, tmp_path: Path
) -> None:
    waits = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    with ThreadPoolExecutor(1) as pool, lock.hold(hosts[:1], RUN):
        lock.keep()
        working = pool.submit(hosts[0].run, Command(waits, key=f"{RUN}/slow", title="Slow"))
        eventually(lambda: bool(standings(hosts[:1])[0].living), saying="the command")
        with pytest.raises(Held, match=r"Slow of run run-7 .* is alive on web1"):
            hold(LeaseLock("prod"), folders.transports("web1"), OTHER, over=yes)
        (tmp_path / "go").touch()
        assert working.result().ok
    hold(LeaseLock("prod"), folders.transports("web1"), OTHER, over=yes)


def test_only_the_very_lease_that_was_looked_at_is_taken(
    folders: Folders, hosts: list[ShellTransport], lock: LeaseLock, said: list[str]
) -> None:
    """It is let go meanwhile, and another run is there, whose lease is nobody else's."""
    left_standing(lock, hosts[:1], RUN)

    def over(run: str) -> bool:
        if run == RUN:
            take(hosts[:1], "prod", force=True)
            left_standing(LeaseLock("prod"), hosts[:1], "run-9")
        return run == RUN

    with pytest.raises(Held) as caught:
        hold(lock, hosts[:1], OTHER, over=over)
    assert (said, caught.value.where) == ([], "web1")
    lease = standings(folders.transports("web1"))[0].lease
    assert lease
    assert lease.run == "run-9"


def test_a_host_whose_answer_is_lost_as_its_lease_is_taken_is_asked_by_whoever_comes_next(
    folders: Folders, hosts: list[ShellTransport], lock: LeaseLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_standing(lock, hosts[:1], RUN)

    def gone(_: Command) -> Result:
        raise Unreachable("web1 is away", where="web1")

    def over(run: str) -> bool:
        monkeypatch.setattr(hosts[0], "run", gone)
        return run == RUN

    with pytest.raises(Unreachable, match="web1"):
        hold(lock, hosts[:1], OTHER, over=over)
    monkeypatch.undo()
    assert folders.locked() == ["web1"]
    hold(lock, hosts[:1], OTHER, over=yes)
    assert folders.locked() == []
