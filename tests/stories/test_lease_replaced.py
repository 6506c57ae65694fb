"""A lease that another run takes while its own run is about to take it over."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from backout import adapters
from backout.adapters import lease
from backout.adapters.lease import LeaseLock
from backout.adapters.programs import program
from backout.adapters.standings import standings, take
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.errors import BackoutError, Held, Unreachable
from backout.model import Command, Host, State
from support.wait import eventually


def host(directory: Path, name: str) -> LocalTransport:
    return LocalTransport(Host(name=name), str(directory / name / ".backout"), Vault({}))


def web1(directory: Path) -> LocalTransport:
    return host(directory, "web1")


def leave_standing(directory: Path, run: str) -> None:
    lock = LeaseLock("prod")
    with lock.hold([web1(directory)], run):
        lock.keep()


@pytest.fixture
def stalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whoever takes a host over stands still, once it has seen whose lease that is, until the file
    `go` is there; `seen` says that it stands."""
    look = "alive=$(living"
    assert program("acquire").count(look) == 1
    wait = f"touch {tmp_path}/seen; until [ -e {tmp_path}/go ]; do sleep 0.02; done\n"
    slow = program("acquire").replace(look, f'[ -n "$took" ] || {{ {wait} }}\n{look}')
    monkeypatch.setattr(lease, "program", lambda name: slow if name == "acquire" else program(name))
    return tmp_path


def go_on(directory: Path, run: str) -> State:
    """What becomes of a command of a run that takes its own lease over."""
    transport = web1(directory)
    with LeaseLock("prod").hold([transport], run, began=["web1"]):
        return transport.run(Command("true", key=f"{run}/again")).state


def about_to_go_on(pool: ThreadPoolExecutor, directory: Path) -> Future[State]:
    leave_standing(directory, "run-1")
    going_on = pool.submit(go_on, directory, "run-1")
    eventually((directory / "seen").exists)
    take([web1(directory)], "prod", force=True)
    return going_on


def test_a_lease_that_another_run_has_by_now_stays_with_it(stalled: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        going_on = about_to_go_on(pool, stalled)
        other = web1(stalled)
        with LeaseLock("prod").hold([other], "run-2"):
            (stalled / "go").touch()
            with pytest.raises(Held, match="for run run-2"):
                going_on.result(timeout=30)
            assert other.run(Command("true", key="run-2/step")).state is State.DONE
            (standing,) = standings([other])
            assert standing.lease
            assert standing.lease.run == "run-2"


def test_a_lease_that_was_taken_away_is_not_taken_over(stalled: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        going_on = about_to_go_on(pool, stalled)
        (stalled / "go").touch()
        with pytest.raises(Held, match="was let go this moment"):
            going_on.result(timeout=30)
    assert standings([web1(stalled)])[0].free


def test_what_is_let_go_while_it_is_taken_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = adapters.standings.remove

    def late(transport: LocalTransport, token: str, *, force: bool) -> bool:
        stack.close()
        return honest(transport, token, force=force)

    monkeypatch.setattr(adapters.standings, "remove", late)
    with ExitStack() as stack:
        stack.enter_context(LeaseLock("prod").hold([web1(tmp_path)], "run-1"))
        take([web1(tmp_path)], "prod", force=True)
    assert standings([web1(tmp_path)])[0].free


@pytest.mark.parametrize("away", [False, True], ids=["taken by another", "out of reach"])
def test_whoever_takes_several_hosts_and_not_the_last_says_which_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    """On the way to the last one another run takes it, or its link is gone."""
    both = [host(tmp_path, name) for name in ("web1", "web2")]
    honest = adapters.standings.remove

    def late(transport: LocalTransport, token: str, *, force: bool) -> bool:
        if transport.host.name == "web2":
            if away:
                raise Unreachable("web2 cannot be reached", where="web2")
            honest(transport, token, force=True)
            stack.enter_context(LeaseLock("prod").hold([host(tmp_path, "web2")], "run-9"))
        return honest(transport, token, force=force)

    with ExitStack() as stack:
        with LeaseLock("prod").hold(both, "run-1"):
            monkeypatch.setattr(adapters.standings, "remove", late)
            with pytest.raises(BackoutError) as caught:
                take([host(tmp_path, name) for name in ("web1", "web2")], "prod", force=True)
        assert caught.value.where == "web2"
        unseen = "; whether the lock is free on web2 is not known"
        told = f"the lock is free on web1{unseen if away else ', and only there'}"
        assert caught.value.state.startswith(told)
