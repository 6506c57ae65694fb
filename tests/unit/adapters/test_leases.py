"""The lease of a machine: what is said of it, and what becomes of it when hosts do not answer. Real
leases, on hosts that are directories here; their links are cut by hand."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.lease import LeaseLock, mark
from backout.adapters.local_lock import owner
from backout.adapters.mirror import Mirror
from backout.adapters.standings import standings, take
from backout.adapters.storage.chain import Line, Link, Opening
from backout.adapters.transports.local import LocalTransport
from backout.adapters.transports.shell_text import Fence
from backout.adapters.vault import Vault
from backout.errors import BackedOut, Held, Refused, TakenOver, Unreachable
from backout.model import Command, Host, Result, State
from backout.ports import Claim
from support.clock import ManualClock
from support.folders import Folders
from support.wait import eventually

NAMES = ("web1", "web2", "web3")
RUN, OTHER = "run-7", "run-8"


class Linked(LocalTransport):
    """A host behind a link that can be cut, or give an answer of its own."""

    answers: Callable[[Command], Result | None] = staticmethod(lambda _: None)
    cut = False
    asked = 0

    def run(self, command: Command) -> Result:
        self.asked += 1
        if self.cut:
            raise Unreachable(f"{self.host.name} is away", where=self.host.name)
        return self.answers(command) or super().run(command)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path, NAMES)


@pytest.fixture
def hosts(folders: Folders) -> list[Linked]:
    return [Linked(Host(name=name), str(folders.home(name)), Vault({})) for name in NAMES]


def unwritable(folders: Folders, name: str) -> None:
    folders.home(name).parent.mkdir()
    folders.home(name).write_text("a file where the directory should be")


# --- taking ------------------------------------------------------------------------------


def test_of_the_others_whoever_cannot_be_taken_is_told_and_left_out(
    folders: Folders, hosts: list[Linked], lock: LeaseLock, said: list[str]
) -> None:
    unwritable(folders, "web2")
    hosts[2].cut = True
    with lock.hold(hosts[:1], RUN, others=hosts[1:]) as held:
        assert held == ("web1",)
        assert lock.lost(NAMES) == ""
    away, unwritten = sorted(said, reverse=True)
    assert away == "web3 is not locked: web3 is away"
    assert re.match("web2 is not locked: the lock of web2 cannot be taken: .", unwritten)


def test_another_run_on_one_of_the_others_is_a_refusal_all_the_same(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    with (
        LeaseLock("prod").hold(folders.transports("web3"), OTHER),
        pytest.raises(Held, match="web3"),
        lock.hold(hosts[:1], RUN, others=hosts[1:]),
    ):
        pytest.fail("held beside another run")
    assert folders.locked() == []


def test_of_two_runs_that_meet_on_the_first_host_the_one_that_is_late_asks_no_other(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    with (
        LeaseLock("prod").hold(folders.transports("web1"), OTHER),
        pytest.raises(Held, match="web1") as caught,
        lock.hold(list(reversed(hosts)), RUN),
    ):
        pytest.fail("two runs")
    assert caught.value.next == "wait for it, or: invoke unlock --target prod"
    assert [host.asked for host in hosts] == [1, 0, 0]


def test_who_holds_it_is_said_rather_than_who_is_away_and_of_several_the_first(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    hosts[1].cut = True
    with (
        LeaseLock("prod").hold(folders.transports("web3"), OTHER),
        pytest.raises(Held, match="web3"),
        lock.hold(hosts, RUN),
    ):
        pytest.fail("two runs")
    hosts[2].cut = True
    with pytest.raises(Unreachable, match="web2"), lock.hold(hosts, RUN):
        pytest.fail("held what is away")
    assert folders.locked() == []


def test_who_is_refused_is_told_who_holds_the_host(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    with (
        lock.hold(hosts[:1], RUN),
        pytest.raises(Held, match=f"(?s){RUN}.*{re.escape(owner())}|{re.escape(owner())}.*{RUN}"),
        LeaseLock("prod").hold(folders.transports("web1"), OTHER),
    ):
        raise AssertionError("it was taken")


def test_what_cannot_be_written_says_where_and_what_to_see_to(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    unwritable(folders, "web2")
    with pytest.raises(Refused) as caught, lock.hold(hosts, RUN):
        pytest.fail("held")
    assert caught.value.what.startswith("the lock of web2 cannot be taken: ")
    assert caught.value.where == "web2"
    assert caught.value.next == f"see that {folders.home('web2')} can be written there"


def test_a_directory_that_others_may_write_is_refused_by_its_name(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    folders.home("web2").mkdir(parents=True)
    folders.home("web2").parent.chmod(0o777)
    with pytest.raises(Refused) as caught, lock.hold(hosts, RUN):
        pytest.fail("held what is not its own")
    folders.home("web2").parent.chmod(0o700)
    home = folders.home("web2")
    assert caught.value.what == (
        f"{home} on web2 is not Backout's alone: others may write {home.parent}"
    )
    assert folders.locked() == []


def test_two_names_of_one_directory_are_refused(folders: Folders, lock: LeaseLock) -> None:
    home = str(folders.home("web1"))
    both = [Linked(Host(name=name), home, Vault({})) for name in ("web1", "web2")]
    with pytest.raises(Refused) as caught, lock.hold(both, RUN):
        pytest.fail("one directory twice")
    assert caught.value.what == (f"web1 and web2 are one machine: both keep their state in {home}")
    assert caught.value.next == "keep one of the two in the inventory"
    assert folders.locked() == []


@pytest.mark.parametrize(
    ("connections", "session", "same"),
    [
        (("ssh", "ssh"), "10.0.0.9 4711 10.0.0.1 22", True),
        (("ssh", "ssh"), "", False),
        (("ssh", "ssh"), "10.0.0.9 4711 10.0.0.1", False),
        (("local", "local"), "", True),
        (("local", "local"), "10.0.0.9 4711 10.0.0.1 22", True),
        (("local", "ssh"), "10.0.0.9 4711 10.0.0.1 22", False),
    ],
)
def test_two_names_of_one_server_are_refused_where_the_server_tells(
    folders: Folders,
    lock: LeaseLock,
    monkeypatch: pytest.MonkeyPatch,
    connections: tuple[str, str],
    session: str,
    same: bool,
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", session)
    both = [
        Linked(
            Host.model_validate({"name": name, "connection": how}),
            str(folders.home(name)),
            Vault({}),
        )
        for name, how in zip(NAMES, connections, strict=False)
    ]
    if not same:
        with lock.hold(both, RUN) as held:
            assert held == ("web1", "web2")
        return
    why = "web1 and web2 are one machine: the same server answers for both"
    with pytest.raises(Refused, match=why), lock.hold(both, RUN):
        pytest.fail("one server twice")
    assert folders.locked() == []


# --- who is refused ----------------------------------------------------------------------


def hold(lock: LeaseLock, hosts: list[Linked], run: str, **keys: Any) -> None:
    with lock.hold(hosts, run, **keys):
        pass


def left_standing(lock: LeaseLock, hosts: list[Linked], run: str) -> None:
    with lock.hold(hosts, run):
        lock.keep()


def yes() -> bool:
    return True


def test_who_could_not_take_all_hosts_was_on_none(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    left_standing(lock, hosts, RUN)
    take(folders.transports(), "prod", force=True)
    left_standing(lock, hosts[2:], "run-9")
    with pytest.raises(Held, match="web3"):
        hold(lock, hosts, OTHER)
    hold(lock, hosts[:2], RUN, began=NAMES)
    take(folders.transports("web3"), "prod", force=True)
    with pytest.raises(Refused, match="run run-9 was on web3 since"):
        hold(lock, hosts, RUN, began=NAMES)


@pytest.mark.parametrize("changed", [True, False])
def test_who_is_refused_while_it_holds_them_was_there_where_it_changed_something(
    folders: Folders, hosts: list[Linked], lock: LeaseLock, changed: bool
) -> None:
    left_standing(lock, hosts, RUN)
    take(folders.transports(), "prod", force=True)
    with (
        pytest.raises(Refused, match="red"),
        lock.hold(hosts, OTHER, changed=lambda: changed),
    ):
        raise Refused("a check is red")
    assert folders.locked() == (list(NAMES) if changed else [])
    if changed:
        take(folders.transports(), "prod", force=True)
        with pytest.raises(Refused, match=f"run {OTHER} was on web1 since"):
            hold(lock, hosts, RUN, began=NAMES)
    else:
        hold(lock, hosts, RUN, began=NAMES)


def test_who_came_to_its_end_on_a_host_was_there(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    left_standing(lock, hosts[:1], RUN)
    take(folders.transports("web1"), "prod", force=True)
    hold(lock, hosts[:1], OTHER)
    why = f"run {RUN} cannot go on: run {OTHER} was on web1 since"
    with pytest.raises(Refused, match=why) as caught:
        hold(lock, hosts[:1], RUN, began=NAMES)
    typed = "invoke status --target prod; then: invoke unlock --target prod --force"
    assert caught.value.next == typed


def test_who_went_on_with_a_host_was_there_whatever_refuses_it(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    left_standing(lock, hosts, OTHER)
    with pytest.raises(Refused, match="red"), lock.hold(hosts, OTHER, began=NAMES):
        raise Refused("a check is red")
    with pytest.raises(Refused, match=f"run {OTHER} was on web1 since"):
        hold(lock, hosts, RUN, began=NAMES)


def test_hosts_of_a_run_that_has_changed_something_stay_its_own_when_one_cannot_be_taken(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    left_standing(lock, hosts, RUN)
    hosts[1].cut = True
    with pytest.raises(Unreachable, match="web2"):
        hold(lock, hosts, RUN, began=NAMES, changed=yes)
    hosts[1].cut = False
    hosts[2].answers = lambda _: Result(State.UNKNOWN, reason="the link broke")
    with pytest.raises(Refused, match="the lock of web3 cannot be taken"):
        hold(lock, hosts, RUN, began=NAMES, changed=yes)
    del hosts[2].answers
    with pytest.raises(Held, match=f"for run {RUN}"):
        hold(lock, hosts, OTHER)
    hold(lock, hosts, RUN, began=NAMES, changed=yes)
    assert folders.locked() == []


def test_what_another_machine_has_by_now_is_let_go(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    left_standing(lock, hosts[:1], RUN)
    hold(lock, hosts[1:], RUN, claim=Claim(1, "theirs"))
    with pytest.raises(TakenOver):
        hold(lock, hosts, RUN, began=NAMES, changed=yes)
    assert folders.locked() == []


def test_who_hears_in_mid_run_that_it_was_taken_over_lets_go_of_nothing(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    """Whoever goes on takes these very hosts just then."""
    with pytest.raises(TakenOver), lock.hold(hosts, RUN):
        raise TakenOver("run-1 was taken over by bob")
    assert folders.locked() == list(NAMES)
    hold(lock, hosts, RUN, began=NAMES, claim=Claim(1, "theirs"))
    assert folders.locked() == []


# --- while it is held --------------------------------------------------------------------


def test_what_a_host_had_on_record_is_told_once(folders: Folders, hosts: list[Linked]) -> None:
    lock = LeaseLock("prod", record="release.json")
    folders.home("web1").mkdir(parents=True)
    (folders.home("web1") / "release.json").write_text('{"number": 3}\n')
    with lock.hold(hosts[:2], RUN):
        assert [lock.found(name) for name in NAMES] == ['{"number": 3}\n', "", None]
        assert [lock.found(name) for name in NAMES] == [None] * 3
    plain = LeaseLock("prod")
    with plain.hold(hosts[:2], RUN):
        assert plain.found("web1") is None


def test_commands_are_fenced_while_it_is_held_and_only_then(
    hosts: list[Linked], lock: LeaseLock
) -> None:
    with lock.hold(hosts, RUN):
        fences = {host.fence for host in hosts}
        assert len({(fence.token, fence.run) for fence in fences}) == 1
        assert all(fence.token and fence.run == RUN for fence in fences)
        assert {fence.ttl for fence in fences} == {60.0}
    assert {host.fence for host in hosts} == {Fence()}


@pytest.mark.parametrize("clock", [None, ManualClock()], ids=["everybody's clock", "its own"])
def test_what_is_held_is_not_lost(hosts: list[Linked], clock: ManualClock | None) -> None:
    lock = LeaseLock("prod", clock=clock)
    assert lock.lost(NAMES) == ""
    with lock.hold(hosts, RUN):
        assert lock.lost(NAMES) == lock.lost() == ""
    assert lock.lost(NAMES) == ""


def test_a_lease_that_somebody_took_is_lost_by_name(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    with lock.hold(hosts, RUN):
        take(folders.transports("web1", "web3"), "prod", force=True)
        with LeaseLock("prod").hold(folders.transports("web3"), OTHER):
            assert lock.lost() == (
                "the lease on web1 is gone: it was taken away, or removed with its directory; "
                "another run has taken the lock of web3: run-8"
            )


def test_a_host_that_does_not_answer_is_lost_to_whoever_needs_it_alone(
    hosts: list[Linked],
) -> None:
    clock = ManualClock()
    lock = LeaseLock("prod", clock=clock)
    with lock.hold(hosts, RUN):
        hosts[0].cut = True
        hosts[1].answers = lambda _: Result(State.FAILED, 1, reason="out of memory")
        assert lock.lost() == lock.lost(["web3"]) == ""
        assert set(clock.slept) == {0}, "nobody waits for a host that is not needed"
        assert lock.lost(["web1"]) == "web1 is away"
        assert lock.lost(NAMES) == (
            "web1 is away; whether web2 is still held is not known: out of memory"
        )
        hosts[0].cut = False
        del hosts[1].answers


@pytest.mark.parametrize("cut", [True, False], ids=["its link was cut", "its shell was killed"])
def test_a_host_that_is_needed_is_asked_again_where_its_answer_was_lost(
    hosts: list[Linked], lock: LeaseLock, cut: bool
) -> None:
    def lost(_: Command) -> Result:
        del hosts[0].answers
        if cut:
            raise Unreachable("web1 is away")
        return Result(State.UNKNOWN)

    with lock.hold(hosts, RUN):
        hosts[0].answers = lost
        assert lock.lost(["web1"]) == ""
        assert "answers" not in vars(hosts[0]), "its first answer was lost"


@pytest.mark.parametrize("heard", [Result(State.UNKNOWN), Result(State.FAILED, 137, "", "Killed")])
def test_who_was_killed_while_it_let_go_lets_go_again(
    folders: Folders, hosts: list[Linked], lock: LeaseLock, heard: Result
) -> None:
    left = folders.home("web1") / "lock"

    def killed(_: Command) -> Result:
        del hosts[0].answers
        for file in left.iterdir():
            file.unlink()
        return heard

    with lock.hold(hosts, RUN):
        hosts[0].answers = killed
    assert not left.exists()


def test_what_is_about_to_act_from_here_is_refused_by_the_hosts_that_are_told(
    folders: Folders, hosts: list[Linked]
) -> None:
    """Whoever sleeps after it has looked for its leases hears it all the same."""
    mirror = Mirror(Opening((RUN, *[""] * 6, "{}")), (), lambda *_: True)
    lock = LeaseLock("prod", mirror=mirror)

    def about_to(host: str) -> None:
        body = {"kind": "run", "host": host}
        mirror.keep(Line("begin", f"steps/{host}", "", json.dumps(body), Link()))

    with lock.hold(hosts, RUN):
        about_to("")
        assert lock.refused("") == lock.refused("web1") == ""
        take(folders.transports("web1", "web3"), "prod", force=True)
        hosts[1].cut = True
        about_to("web3")
        assert [bool(lock.refused(name)) for name in ("", *NAMES)] == [True, False, False, True]
        about_to("")
        gone = "the lease on {0} is gone: it was taken away, or removed with its directory"
        assert lock.refused("web1") == f"fenced: {gone.format('web1')}"
        assert lock.refused("") == "; ".join(
            f"fenced: {gone.format(name)}" for name in ("web1", "web3")
        )
        hosts[1].cut = False
    assert LeaseLock("prod").refused("") == ""


# --- letting go --------------------------------------------------------------------------


def test_a_host_is_taken_by_one_command_and_let_go_by_one_also_when_it_is_no_more_its_own(
    folders: Folders, hosts: list[Linked]
) -> None:
    with LeaseLock("prod", ttl=36000.0).hold(hosts[:2], RUN):
        assert [host.asked for host in hosts] == [1, 1, 0]
        take(folders.transports("web2"), "prod", force=True)
    assert [host.asked for host in hosts] == [2, 2, 0]


def test_what_stays_since_its_host_is_away_is_told_and_the_others_are_free(
    folders: Folders, hosts: list[Linked], lock: LeaseLock, said: list[str]
) -> None:
    with lock.hold(hosts, RUN):
        hosts[0].cut = True
        hosts[1].answers = lambda _: Result(State.FAILED, 1, reason="read-only")
    assert sorted(said) == [
        "the lease on web1 stays: web1 is away",
        "the lease on web2 stays: read-only",
    ]
    assert folders.locked() == ["web1", "web2"]


def test_a_lease_that_is_another_s_by_now_is_none_of_its_business(
    folders: Folders, hosts: list[Linked], lock: LeaseLock, said: list[str]
) -> None:
    with lock.hold(hosts, RUN):
        take(folders.transports("web2"), "prod", force=True)
    assert (said, folders.locked()) == ([], [])


def test_an_answer_that_was_lost_is_asked_for_once_more(
    folders: Folders, hosts: list[Linked], lock: LeaseLock, said: list[str]
) -> None:
    lost = [Result(State.UNKNOWN, reason="the link broke")]
    with lock.hold(hosts, RUN):
        hosts[1].answers = lambda _: lost.pop() if lost else None
    assert (said, folders.locked()) == ([], [])


def test_keeping_is_for_one_time(folders: Folders, hosts: list[Linked], lock: LeaseLock) -> None:
    with lock.hold(hosts, RUN):
        lock.keep()
    assert folders.locked() == list(NAMES)
    with lock.hold(hosts, RUN, began=NAMES):
        pass
    assert folders.locked() == []


def test_what_came_on_record_last_is_on_a_host_when_it_is_let_go(
    folders: Folders, hosts: list[Linked]
) -> None:
    mirror = Mirror(Opening((RUN, *[""] * 6, "{}")), (), lambda *_: False)
    with LeaseLock("prod", mirror=mirror).hold(hosts[:1], RUN):
        for step in "ab":
            body = json.dumps({"kind": "run", "host": "web1"})
            mirror.keep(Line("begin", f"steps/{step}", "", body, Link()))
        waiting = hosts[0].luggage.waiting()
    kept = (folders.home("web1") / "notes" / RUN / "mirror").read_text().splitlines()
    assert kept == [*waiting]
    assert "steps/a" in kept[-2]
    assert "steps/b" in kept[-1]


@pytest.mark.parametrize("ended", [True, False])
def test_what_its_commands_printed_stays_unless_it_has_ended(
    folders: Folders, hosts: list[Linked], lock: LeaseLock, ended: bool
) -> None:
    try:
        with lock.hold(hosts, RUN):
            assert hosts[0].run(Command("echo hi", key=f"{RUN}/step")).ok
            if not ended:
                raise BackedOut("it failed")
    except BackedOut:
        pass
    notes = folders.home("web1") / "notes" / RUN
    assert bool([*notes.glob("*.out")]) is not ended
    assert notes.is_dir()


# --- renewing ----------------------------------------------------------------------------


def test_a_lease_that_cannot_be_renewed_is_told_and_tried_again(
    hosts: list[Linked], said: list[str]
) -> None:
    with LeaseLock("prod", ttl=0.3, warn=said.append).hold(hosts[:2], RUN):
        hosts[0].cut = True
        hosts[1].answers = lambda _: Result(State.FAILED, 1, reason="read-only")
        lines = {
            "the lease on web1 was not renewed: web1 is away",
            "the lease on web2 was not renewed: read-only",
        }
        eventually(lambda: all(said.count(line) > 1 for line in lines), saying="the warnings")
        assert set(said) == lines
        hosts[0].cut = False
        del hosts[1].answers


def test_while_a_command_is_at_work_its_note_holds_the_host_and_no_channel_is_used(
    hosts: list[Linked],
) -> None:
    with LeaseLock("prod", ttl=0.3).hold(hosts[:2], RUN):
        hosts[0].at_work = 1
        before, beside = hosts[0].asked, hosts[1].asked
        eventually(lambda: hosts[1].asked > beside + 2, saying="renewals of the other host")
        assert hosts[0].asked <= before + 1, "one may have been on its way"
        hosts[0].at_work = 0


def test_a_host_is_held_for_as_long_as_a_command_may_take_whatever_becomes_of_its_shell(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    def lasts() -> float:
        (standing,) = standings(folders.transports("web1"))
        assert standing.lease
        assert not standing.living
        return (standing.lease.expires - standing.lease.since).total_seconds()

    with lock.hold(hosts[:1], RUN):
        killed = hosts[0].run(Command("kill -9 $$", key=f"{RUN}/killed", timeout=300.0))
        assert killed.state is State.UNKNOWN
        assert lasts() >= 300, "whoever runs it learns only now that it is no more"
        assert hosts[0].run(Command("true", key=f"{RUN}/ends", timeout=300.0)).ok
        assert lasts() < 300


# --- this machine ------------------------------------------------------------------------


def test_this_machine_is_marked_and_named_by_an_empty_name(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    (here,) = folders.transports("here")
    boot = folders.home("here") / "notes" / RUN / "boot"
    assert mark(None, RUN) == ()
    with lock.hold(hosts[:1], RUN, here=here) as held:
        assert held == ("web1", "")
        assert boot.exists()
    boot.unlink()
    assert mark(here, RUN, began=[""]) == ("",)
    assert not boot.exists(), "that it is missing means that notes were lost"
    assert mark(here, RUN, began=["web1"]) == ("",)
    assert boot.exists()


def test_a_machine_that_cannot_be_marked_refuses_and_frees_the_hosts(
    folders: Folders, hosts: list[Linked], lock: LeaseLock
) -> None:
    unwritable(folders, "here")
    (here,) = folders.transports("here")
    with pytest.raises(Refused) as caught, lock.hold(hosts, RUN, here=here):
        pytest.fail("held without notes")
    assert caught.value.what.startswith("notes cannot be left on this machine: ")
    assert caught.value.next == f"see that {folders.home('here')} can be written"
    assert folders.locked() == []
    shutil.rmtree(folders.home("here").parent)
