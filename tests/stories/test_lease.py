"""The lock: who holds the hosts, who does not, and what is left when a holder dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backout.adapters.lease import FEW, LeaseLock
from backout.adapters.local_lock import LocalLock, owner
from backout.adapters.standings import Standing, standings, take
from backout.adapters.transports.local import LocalTransport
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.transports.ssh import connect
from backout.adapters.vault import Vault
from backout.errors import BackedOut, Held, Incomplete, Interrupted, Refused, Unreachable
from backout.model import Command, Host, Ssh, State
from support.folders import Folders
from support.git_origin import GitOrigin
from support.sshd import SshdBed
from support.tools import program
from support.wait import eventually


@pytest.fixture
def fleet(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.fixture
def lock() -> LeaseLock:
    return LeaseLock("prod")


def one(found: tuple[Standing, ...]) -> Standing:
    assert len(found) == 1
    return found[0]


def test_a_held_host_says_who_holds_it_and_is_free_afterwards(
    fleet: Folders, lock: LeaseLock
) -> None:
    with lock.hold(fleet.transports(), "run-7"):
        found = standings(fleet.transports())
        assert [standing.host for standing in found] == list(fleet.names)
        for standing in found:
            assert standing.lease is not None
            assert (standing.lease.run, standing.lease.owner) == ("run-7", owner())
            assert standing.lease.fence == 1
            lasts = (standing.lease.expires - standing.lease.since).total_seconds()
            assert 58 <= lasts <= 62, "it counts by another clock than the wall's"
            assert not standing.expired
    assert [standing.lease for standing in standings(fleet.transports())] == [None] * 3
    assert not [path for name in fleet.names for path in fleet.home(name).glob("lock*")]


def test_another_run_is_refused_with_the_holder_the_step_and_what_to_type(
    fleet: Folders, lock: LeaseLock
) -> None:
    held = fleet.transports()
    with lock.hold(held, "run-7"):
        held[0].run(Command("true", key="run-7/steps.2 Migrate@web1"))
        with (
            pytest.raises(Held) as caught,
            LeaseLock("prod").hold(fleet.transports(), "run-8"),
        ):
            pytest.fail("two hold the lock")
    assert f"{owner()} holds web1 for run run-7 since 20" in caught.value.what
    assert "at the step steps.2 Migrate@web1" in caught.value.what
    assert "it is alive until" in caught.value.state
    assert "invoke unlock --target prod" in caught.value.next


def test_all_hosts_are_taken_or_none(fleet: Folders, lock: LeaseLock) -> None:
    with lock.hold(fleet.transports("web2"), "run-7"):
        with pytest.raises(Held, match="web2"), LeaseLock("prod").hold(fleet.transports(), "run-8"):
            pytest.fail("two hold web2")
        assert fleet.locked() == ["web2"]


def test_an_unwritable_host_refuses_and_frees_the_others(fleet: Folders, lock: LeaseLock) -> None:
    (fleet.directory / "web3").write_text("a file where the directory should be")
    with (
        pytest.raises(Refused, match="web3 cannot be taken"),
        lock.hold(fleet.transports(), "run-7"),
    ):
        pytest.fail("held without web3")
    assert fleet.locked() == []


def test_of_many_lockers_at_once_exactly_one_holds(fleet: Folders) -> None:
    inside: list[str] = []
    together, refused = threading.Barrier(6), threading.Barrier(6)

    def attempt(number: int) -> str:
        together.wait(60)
        try:
            with LeaseLock("prod").hold(fleet.transports(), f"run-{number}"):
                inside.append(f"run-{number}")
                refused.wait(60)
                return "held"
        except Held:
            refused.wait(60)
            return "refused"

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(attempt, range(6)))
    assert outcomes == ["held"] + ["refused"] * 5
    assert len(inside) == 1
    assert fleet.locked() == []


def test_the_fence_number_counts_every_acquisition(fleet: Folders, lock: LeaseLock) -> None:
    for number in (1, 2, 3):
        with lock.hold(fleet.transports("web1"), f"run-{number}"):
            lease = one(standings(fleet.transports("web1"))).lease
            assert lease is not None
            assert lease.fence == number


_HOLDER = """
import sys
from backout.adapters.lease import LeaseLock
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.model import Command, Host
home, run, ttl = sys.argv[1:]
web1 = LocalTransport(Host(name="web1"), home, Vault({}))
with LeaseLock("prod", ttl=float(ttl)).hold([web1], run):
    print("held", flush=True)
    sys.stdin.read()
"""


def killed_holder(fleet: Folders, run: str, ttl: float) -> None:
    """Hold web1 in another process, and kill that."""
    argv = [sys.executable, "-c", _HOLDER, str(fleet.home("web1")), run, str(ttl)]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder.stdout, holder.stdin:
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
        holder.wait(60)


def test_the_same_run_takes_its_lease_over_after_a_crash(fleet: Folders, lock: LeaseLock) -> None:
    killed_holder(fleet, "run-7", 60)
    before = one(standings(fleet.transports("web1"))).lease
    assert before is not None
    with lock.hold(fleet.transports("web1"), "run-7"):
        after = one(standings(fleet.transports("web1"))).lease
        assert after is not None
        assert after.token != before.token
        assert after.fence == before.fence + 1
    assert fleet.locked() == []


def test_an_expired_lease_is_not_taken_silently_but_unlock_takes_it(
    fleet: Folders, lock: LeaseLock
) -> None:
    killed_holder(fleet, "run-7", 1)
    web1 = fleet.transports("web1")
    eventually(lambda: one(standings(web1)).expired, saying="the lease's end")
    with pytest.raises(Held) as caught, lock.hold(web1, "run-8"):
        pytest.fail("took an expired lease")
    assert "expired" in caught.value.state
    assert caught.value.next == (
        "invoke resume --target prod, or invoke abort --target prod, to end that run;"
        " or invoke unlock --target prod"
    )
    take(web1, "prod")
    with lock.hold(web1, "run-8"):
        pass


def test_what_a_power_cut_left_of_a_lease_says_how_it_is_removed(
    fleet: Folders, lock: LeaseLock
) -> None:
    remains = fleet.home("web1") / "lock"
    remains.mkdir(parents=True)
    (remains / "since").write_text("1700000000\n")
    web1 = fleet.transports("web1")
    with pytest.raises(Held) as caught, lock.hold(web1, "run-8"):
        pytest.fail("took what somebody had not let go of")
    assert caught.value.what == (
        "the lease on web1 names no run: it is just being written, or a power cut left it so"
    )
    assert caught.value.next == ("try again; when it stays so: invoke unlock --target prod")
    take(web1, "prod")
    with lock.hold(web1, "run-8"):
        pass


def test_a_living_lease_is_taken_only_by_force_and_then_fences_its_run(
    fleet: Folders, lock: LeaseLock, tmp_path: Path
) -> None:
    mine = fleet.transports("web1")
    others = fleet.transports("web1")
    with lock.hold(mine, "run-7"):
        assert mine[0].run(Command(f"echo 1 >>{tmp_path}/log", key="run-7/1")).ok
        with pytest.raises(Held):
            take(others, "prod")
        take(others, "prod", force=True)
        with LeaseLock("prod").hold(others, "run-8"):
            result = mine[0].run(Command(f"echo 2 >>{tmp_path}/log", key="run-7/2"))
            assert result.state is State.FAILED
            assert result.exit_code is None
            assert result.reason == "fenced: another run has taken the lock of web1: run-8"
            assert mine[0].recall("run-7/2", 1.0) is None
            assert mine[0].run(Command("echo reading is free")).ok
            assert others[0].run(Command(f"echo 3 >>{tmp_path}/log", key="run-8/1")).ok
    assert (tmp_path / "log").read_text() == "1\n3\n"


def test_a_run_does_not_go_on_beneath_another_that_was_there_since(
    fleet: Folders, lock: LeaseLock
) -> None:
    web1, fresh = fleet.transports("web1"), fleet.transports("web1")
    for run in ("run-7", "run-7", "run-8"):
        with lock.hold(web1, run):
            pass
    with pytest.raises(Refused) as caught, lock.hold(fresh, "run-7"):
        pytest.fail("went on beneath run-8")
    assert str(caught.value) == (
        "run run-7 cannot go on: run run-8 was on web1 since (web1)\n"
        "state: nothing was changed\n"
        "next:  invoke status --target prod; then: invoke unlock --target prod --force"
    )
    assert fleet.locked() == []


def test_only_ones_own_lease_is_let_go(fleet: Folders, lock: LeaseLock) -> None:
    others = fleet.transports("web1")
    other = LeaseLock("prod").hold(others, "run-8")
    with lock.hold(fleet.transports("web1"), "run-7"):
        take(others, "prod", force=True)
        other.__enter__()
    lease = one(standings(others)).lease
    assert lease is not None
    assert lease.run == "run-8"
    other.__exit__(None, None, None)
    assert fleet.locked() == []


def test_a_living_holder_renews_its_lease(fleet: Folders) -> None:
    web1 = fleet.transports("web1")
    with LeaseLock("prod", ttl=1).hold(fleet.transports("web1"), "run-7"):
        first = one(standings(web1)).lease
        assert first is not None

        def renewed() -> bool:
            standing = one(standings(web1))
            assert standing.lease is not None
            return standing.lease.expires > first.expires

        eventually(renewed, saying="the renewal")


def test_a_wall_clock_that_is_set_ahead_ends_no_lease(
    fleet: Folders, lock: LeaseLock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = tmp_path / "bin" / "date"
    later.parent.mkdir()
    later.write_text(f'#!/bin/sh\n{program("date")} -d "1 hour" "$@"\n')
    later.chmod(0o755)
    with lock.hold(fleet.transports("web1"), "run-7"):
        monkeypatch.setenv("PATH", f"{later.parent}:{os.environ['PATH']}")
        standing = one(standings(fleet.transports("web1")))
        assert standing.lease is not None
        assert (standing.lease.expires - standing.lease.since).total_seconds() > 3600
        assert not standing.expired


def test_a_lost_lease_is_said(fleet: Folders) -> None:
    said: list[str] = []
    web1 = fleet.transports("web1")
    with LeaseLock("prod", ttl=0.3, warn=said.append).hold(web1, "run-7"):
        take(fleet.transports("web1"), "prod", force=True)
        eventually(lambda: said, saying="the warning")
    assert said[0].startswith("the lease on web1 is gone: it was taken away")


@pytest.mark.parametrize("error", [Incomplete, Interrupted, KeyboardInterrupt, ZeroDivisionError])
def test_an_unfinished_run_leaves_its_leases(
    fleet: Folders, lock: LeaseLock, error: type[BaseException]
) -> None:
    with pytest.raises(error), lock.hold(fleet.transports(), "run-7"):
        raise error("unfinished")
    assert fleet.locked() == list(fleet.names)


def test_a_run_that_was_backed_out_lets_go(fleet: Folders, lock: LeaseLock) -> None:
    with pytest.raises(BackedOut), lock.hold(fleet.transports(), "run-7"):
        raise BackedOut("it failed")
    assert fleet.locked() == []


def test_leases_stay_where_the_run_says_so(fleet: Folders, lock: LeaseLock) -> None:
    with lock.hold(fleet.transports(), "run-7"):
        lock.keep()
    assert fleet.locked() == list(fleet.names)
    with lock.hold(fleet.transports(), "run-7"):
        pass
    assert fleet.locked() == []


def test_old_notes_of_other_runs_are_cleared_away(fleet: Folders, lock: LeaseLock) -> None:
    notes = fleet.home("web1") / "notes"
    long_ago = time.time() - 40 * 86400
    recent = {f"recent-{number}" for number in range(FEW)}
    for run in ("old", "resumed", *recent):
        (notes / run).mkdir(parents=True)
        if run not in recent:
            os.utime(notes / run, (long_ago, long_ago))
    with lock.hold(fleet.transports("web1"), "resumed"):
        assert {path.name for path in notes.iterdir()} == {"resumed", *recent}


def test_a_home_in_a_checkout_is_kept_out_of_git(git_origin: GitOrigin, lock: LeaseLock) -> None:
    home = git_origin.copy / "sub" / ".backout"
    web1 = LocalTransport(Host(name="web1"), str(home), Vault({}))
    for run in ("run-1", "run-2"):
        with lock.hold([web1], run):
            assert git_origin.git("status", "--porcelain") == ""
    exclude = (git_origin.copy / ".git/info/exclude").read_text()
    assert exclude.splitlines().count("/sub/.backout/") == 1


# --- over SSH ----------------------------------------------------------------------------


@pytest.fixture
def hosts(sshd_bed: SshdBed) -> Iterator[tuple[ShellTransport, ...]]:
    given = Ssh.model_validate(
        {**sshd_bed.inventory_ssh(), "config": "/dev/null", "connect_timeout": 30}
    )
    named = [Host.model_validate({"name": n, **h}) for n, h in sshd_bed.inventory_hosts().items()]
    transports = connect(named, given, lambda _: "srv/my app/.backout", Vault({}))
    yield transports
    for transport in transports:
        transport.close()


def test_hosts_over_ssh_are_held_and_let_go(
    sshd_bed: SshdBed, hosts: tuple[ShellTransport, ...], lock: LeaseLock
) -> None:
    homes = [host.home / "srv/my app/.backout" for host in sshd_bed]
    with lock.hold(hosts, "run-7"):
        assert [(home / "lock/run").read_text() for home in homes] == ["run-7\n"] * 2
        assert [(home / "notes/run-7").is_dir() for home in homes] == [True, True]
        assert hosts[0].run(Command("echo hi", key="run-7/step")).stdout == "hi\n"
        with pytest.raises(Held), LeaseLock("prod").hold(hosts[1:], "run-8"):
            pytest.fail("two hold web2")
    assert [(home / "lock").exists() for home in homes] == [False, False]


def test_an_unreachable_host_leaves_no_lease_on_the_others(
    sshd_bed: SshdBed, hosts: tuple[ShellTransport, ...], lock: LeaseLock
) -> None:
    sshd_bed["web2"].stop()
    with pytest.raises(Unreachable, match="web2"), lock.hold(hosts, "run-7"):
        pytest.fail("held without web2")
    assert not (sshd_bed["web1"].home / "srv/my app/.backout/lock").exists()


def test_a_host_that_dies_while_held_does_not_hide_the_outcome(
    sshd_bed: SshdBed, hosts: tuple[ShellTransport, ...]
) -> None:
    said: list[str] = []
    with LeaseLock("prod", warn=said.append).hold(hosts, "run-7"):
        sshd_bed["web2"].kill()
    assert len(said) == 1
    assert said[0].startswith("the lease on web2 stays: web2 cannot be reached")
    sshd_bed["web2"].start()
    assert [standing.lease is None for standing in standings(hosts)] == [True, False]


# --- on this machine ---------------------------------------------------------------------

_LOCAL_HOLDER = """
import sys
from pathlib import Path
from backout.adapters.local_lock import LocalLock
with LocalLock(Path(sys.argv[1]), "prod").hold("run-7"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_here_is_refused_at_once_and_a_dead_one_holds_nothing(
    tmp_path: Path,
) -> None:
    local = LocalLock(tmp_path, "prod")
    assert local.holder() is None
    argv = [sys.executable, "-c", _LOCAL_HOLDER, str(tmp_path)]
    other = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdin is not None
    with other.stdout, other.stdin:
        assert other.stdout.readline() == b"held\n"
        holder = local.holder()
        assert holder is not None
        assert (holder["run"], holder["pid"]) == ("run-7", other.pid)
        with pytest.raises(Held, match="run run-7 holds prod on this machine"), local.hold("run-8"):
            pytest.fail("two hold it")
        with LocalLock(tmp_path, "staging").hold("run-9"):
            pass
        other.kill()
        other.wait(60)
    assert local.holder() is None
    with local.hold("run-8"):
        mine = local.holder()
        assert mine is not None
        assert mine["run"] == "run-8"
