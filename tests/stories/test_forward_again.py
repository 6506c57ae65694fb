"""A rollback to a release that does not come up, and one that somebody thinks better of: the hosts
that had gone back go forward again."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from support.project import Said
from support.sshd import SshdBed
from support.yard import Yard

NAMES = ("web1", "web2", "web3")
ALL = {f"{step}-{host}": 1 for step in ("One", "Two") for host in NAMES}
BACK = {f"One-{host}": 1 for host in NAMES}


def broken(yard: Yard, mark: str = "broken") -> str:
    """A command that fails without the second release, once `mark` is there."""
    files = yard.files
    return f"[ -e {files}/Two-{{{{ host.name }}}} ] || [ ! -e {files.parent}/{mark} ]"


def settling(yard: Yard) -> list[dict[str, Any]]:
    """Settling that can be counted, and that fails where the release cannot start."""
    count = f"echo x >> {yard.files.parent}/settled-{{{{ host.name }}}}"
    return [
        {"name": "Start", "run": f"{count}\n{broken(yard)}", "on": "web"},
        {"name": "Prove it", "verify": "all"},
    ]


def settled(yard: Yard) -> dict[str, int]:
    """How often each host settled."""
    found = sorted(yard.files.parent.glob("settled-*"))
    return {p.name.removeprefix("settled-"): len(p.read_text().splitlines()) for p in found}


def two_releases(yard: Yard, *more: dict[str, Any], **keys: Any) -> None:
    keys.setdefault("settle", settling(yard))
    yard.runbook(yard.step("One"), **keys)
    yard.good_release()
    yard.runbook(yard.step("Two"), *more, **keys)
    yard.good_release()


def mark(yard: Yard, name: str = "broken") -> None:
    (yard.files.parent / name).touch()


def states(said: Said) -> dict[str, str]:
    return {name: each["state"] for name, each in said.data["hosts"].items()}


def show(said: Said) -> str:
    return said.out + said.err


# --- the earlier release does not come up --------------------------------------------------


def test_one_host_finds_out_that_the_earlier_release_does_not_start(fleet: Yard) -> None:
    two_releases(fleet)
    mark(fleet)
    said = fleet.say("rollback")
    assert said.code == 4, show(said)
    assert fleet.effects() == ALL
    assert settled(fleet) == {"web1": 4, "web2": 2, "web3": 2}, "nobody else was touched"
    assert states(said) == {"web1": "backed out", "web2": "unchanged", "web3": "unchanged"}
    assert said.on == dict.fromkeys(NAMES, 2)
    assert "web1: Start failed" in said.data["reason"]
    assert "== forward again to release 2: web1\n" in said.err
    assert fleet.say("status").code == 0


def test_the_same_rollback_works_once_the_earlier_release_starts(fleet: Yard) -> None:
    two_releases(fleet)
    mark(fleet)
    assert fleet.say("rollback").code == 4
    (fleet.files.parent / "broken").unlink()
    said = fleet.say("rollback")
    assert said.code == 0, show(said)
    assert fleet.effects() == BACK
    assert fleet.say("history", "--check").code == 0


@pytest.mark.parametrize("on", ["web", None])
def test_a_check_that_passed_right_before_turns_it_round(fleet: Yard, on: str | None) -> None:
    files = fleet.files
    name = "{{ host.name }}" if on else "web3"
    command = f"[ -e {files}/Two-{name} ] || [ ! -e {files.parent}/broken ]"
    alive = {"command": command, "expect": ["exit_code == 0"], "retry": {"for": "100ms"}}
    fleet.inventory(checks={"alive": alive | ({"on": on} if on else {})})
    two_releases(fleet, settle=[{"name": "Prove it", "verify": "all"}])
    mark(fleet)
    said = fleet.say("rollback")
    assert said.code == 4, show(said)
    assert fleet.effects() == ALL
    assert "check alive" in said.data["reason"]
    assert states(said)["web3"] == ("unchanged" if on else "backed out")


def test_where_nothing_was_well_it_goes_back_all_the_same(fleet: Yard) -> None:
    ill = f"[ ! -e {fleet.files.parent}/broken ]"
    alive = {"command": ill, "on": "web", "expect": ["exit_code == 0"], "retry": {"for": "100ms"}}
    fleet.inventory(checks={"alive": alive})
    two_releases(fleet)
    mark(fleet)
    said = fleet.say("rollback")
    assert said.code == 5, show(said)
    assert fleet.effects() == BACK
    assert settled(fleet) == dict.fromkeys(NAMES, 3)
    (fleet.files.parent / "broken").unlink()
    assert fleet.say("resume").code == 0


def test_a_host_that_is_away_keeps_no_other_one_from_going_forward_again(
    fleet: Yard, bed: SshdBed
) -> None:
    place = fleet.place("Slow")
    undo = f"mkdir -p {place}.busy; {fleet.hold()}; rm -rf {place}*"
    slow = {"name": "Slow", "run": f"echo once >> {place}", "undo": undo, "on": "web"}
    two_releases(fleet, slow)
    mark(fleet)
    process = fleet.start("rollback")
    fleet.busy("Slow-web1")
    bed["web3"].power_cut()
    fleet.let_go()
    out, err = process.communicate()
    bed["web3"].restore()
    assert process.returncode == 4, out + err
    assert fleet.effects() == {**ALL, **{f"Slow-{host}": 1 for host in NAMES}}
    assert settled(fleet) == {"web1": 4, "web2": 2, "web3": 2}, "nobody else was touched"
    assert fleet.say("status").code == 0


def test_hosts_that_went_through_different_steps_go_back_together(fleet: Yard) -> None:
    alone = {**fleet.step("Alone"), "on": "web1"}
    two_releases(fleet, alone)
    mark(fleet)
    said = fleet.say("rollback")
    assert said.code == 4, show(said)
    assert fleet.effects() == {**ALL, "Alone-web1": 1}
    assert set(states(said).values()) == {"backed out"}


def test_several_runs_are_done_again_oldest_first(fleet: Yard) -> None:
    two_releases(fleet)
    log = f"echo {{{{ host.name }}}} >> {fleet.files.parent}/order"
    fleet.runbook(fleet.step("Three", after=log), settle=settling(fleet))
    fleet.good_release()
    mark(fleet)
    said = fleet.say("rollback", "--to", "1")
    assert said.code == 4, show(said)
    assert fleet.effects() == {**ALL, **{f"Three-{host}": 1 for host in NAMES}}
    assert said.on == dict.fromkeys(NAMES, 3)


def test_a_step_that_fails_as_it_is_done_again_is_taken_back_before_the_next_time(
    fleet: Yard,
) -> None:
    stop, jam = fleet.files.parent / "stop", fleet.files.parent / "jam"
    undo = f"[ ! -e {jam} ] && rm -rf {fleet.place('Slip')}*"
    slip = {**fleet.step("Slip", after=f"[ ! -e {stop} ]"), "undo": undo}
    two_releases(fleet, slip)
    mark(fleet)
    stop.touch()
    said = fleet.say("rollback")
    assert said.code == 5, show(said)
    assert "going forward again is incomplete: web1: Slip failed" in said.data["reason"]
    assert fleet.exists("Slip-web1"), "what it left is there"
    assert "resume --target prod" in said.data["next"]
    stop.unlink()
    jam.touch()
    said = fleet.say("resume")
    assert said.code == 5, show(said)
    assert states(said)["web1"] == "NOT backed out: web1: Slip failed: exited 1"
    jam.unlink()
    said = fleet.say("resume")
    assert said.code == 4, show(said)
    assert fleet.effects() == {**ALL, **{f"Slip-{host}": 1 for host in NAMES}}


def test_a_host_that_had_gone_back_alone_stays_where_it_is(fleet: Yard) -> None:
    fleet.inventory(rollout={"batches": [3], "max_failures": 1, "soak": "0s"})
    start, prove = settling(fleet)
    spared = [{**start, "run": f"[ {{{{ host.name }}}} = web3 ] || {{ {broken(fleet)}; }}"}, prove]
    fleet.runbook(fleet.step("One"), settle=spared)
    fleet.good_release()
    fleet.runbook(fleet.step("Two", after="[ {{ host.name }} != web3 ]"), settle=spared)
    fleet.good_release()
    assert "Two-web3" not in fleet.effects(), "it was withdrawn"
    mark(fleet)
    said = fleet.say("rollback")
    assert said.code == 4, show(said)
    assert fleet.effects() == {**BACK, "Two-web1": 1, "Two-web2": 1}


# --- with files ----------------------------------------------------------------------------


def test_a_file_that_was_brought_again_can_be_taken_back_later(fleet: Yard) -> None:
    source, there = fleet.files.parent / "source", f"{fleet.files}/file-{{{{ host.name }}}}"
    source.write_text("new\n")
    for host in NAMES:
        (fleet.files / f"file-{host}").write_text("old\n")
    bring = {"name": "Bring", "upload": {"from": str(source), "to": there}, "on": "web"}
    two_releases(fleet, bring)
    mark(fleet)
    assert fleet.say("rollback").code == 4
    texts = {host: (fleet.files / f"file-{host}").read_text() for host in NAMES}
    assert texts == dict.fromkeys(NAMES, "new\n")
    (fleet.files.parent / "broken").unlink()
    assert fleet.say("rollback").code == 0
    texts = {host: (fleet.files / f"file-{host}").read_text() for host in NAMES}
    assert texts == dict.fromkeys(NAMES, "old\n")


def test_a_file_that_has_changed_since_is_said_first_and_one_host_waits_for_a_person(
    fleet: Yard,
) -> None:
    source, there = fleet.files.parent / "source", f"{fleet.files}/file-{{{{ host.name }}}}"
    source.write_text("new\n")
    bring = {"name": "Bring", "upload": {"from": str(source), "to": there}, "on": "web"}
    two_releases(fleet, bring)
    source.write_text("newer\n")
    mark(fleet)
    said = fleet.say("rollback")
    assert said.code == 5, show(said)
    assert "there is no way forward again: web1: Bring: " in show(said)
    assert states(said)["web1"].startswith("NOT backed out: web1: Start failed")
    assert (states(said)["web2"], states(said)["web3"]) == ("unchanged", "unchanged")
    refused = fleet.say("abort")
    assert refused.code == 3, show(refused)
    assert "one way only: web1: Bring" in refused.data["error"]["what"]
    source.write_text("new\n")
    assert fleet.say("abort").code == 4
    files = {f"file-{host}": 1 for host in NAMES}
    assert fleet.effects() == {**ALL, **files}


def test_a_secret_that_is_not_there_any_more_is_said_first(fleet: Yard) -> None:
    fleet.inventory(secrets={"token": {"env": "TOKEN_OF_TODAY"}})
    fleet.project.env["TOKEN_OF_TODAY"] = "t0k3n-0f-t0d4y"
    source, there = fleet.files.parent / "source", f"{fleet.files}/file-{{{{ host.name }}}}"
    source.write_text("token={{ secrets.token }}\n")
    bring = {"name": "Bring", "template": {"from": str(source), "to": there}, "on": "web"}
    two_releases(fleet, bring)
    del fleet.project.env["TOKEN_OF_TODAY"]
    mark(fleet)
    said = fleet.say("rollback")
    assert said.code == 5, show(said)
    assert "no way forward again: secret token" in show(said)
    files = {f"file-{host}": 1 for host in NAMES}
    assert fleet.effects().keys() == {**ALL, **files}.keys() - {"Two-web1", "file-web1"}
    fleet.project.env["TOKEN_OF_TODAY"] = "t0k3n-0f-t0d4y"
    assert fleet.say("abort").code == 4
    assert fleet.effects() == {**ALL, **files}


def test_what_was_done_here_may_be_why_hosts_do_not_settle_and_is_taken_back_too(
    fleet: Yard,
) -> None:
    files = fleet.files
    needs = f"[ -e {files}/Two-{{{{ host.name }}}} ] || [ ! -e {files}/Schema ]"
    start = {"name": "Start", "run": needs, "on": "web"}
    settle = [start, {"name": "Prove it", "verify": "all"}]
    fleet.runbook(fleet.step("One"), settle=settle)
    fleet.good_release()
    fleet.runbook(fleet.step("Schema", on=None), fleet.step("Two"), settle=settle)
    fleet.good_release()
    said = fleet.say("rollback")
    assert said.code == 0, show(said)
    assert fleet.effects() == BACK


def test_settling_from_this_machine_is_no_way_of_no_return(fleet: Yard) -> None:
    start, prove = settling(fleet)
    here = {"name": "Here", "run": f"echo x >> {fleet.files.parent}/here", "readonly": True}
    two_releases(fleet, settle=[here, start, prove])
    mark(fleet)
    said = fleet.say("rollback")
    assert said.code == 4, show(said)
    assert fleet.effects() == ALL
    assert len((fleet.files.parent / "here").read_text().splitlines()) == 6, "once a batch"


# --- interrupted ---------------------------------------------------------------------------


def killed(yard: Yard, *words: str, at: str) -> None:
    process = yard.start(*words)
    yard.busy(at)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_killed_on_its_way_forward_it_goes_on_forward(fleet: Yard, verb: str) -> None:
    two_releases(fleet)
    place = fleet.place("Slow")
    first = f"[ ! -e {fleet.files.parent}/broken ] || {{ mkdir {place}.busy; {fleet.hold()}; }}"
    slow = {"name": "Slow", "run": f"{first}; echo once >> {place}", "on": "web"}
    slow["undo"] = f"rm -rf {place}*"
    fleet.runbook(fleet.step("Three"), slow, settle=settling_three(fleet))
    fleet.good_release()
    mark(fleet)
    killed(fleet, "rollback", at="Slow-web1")
    fleet.let_go()
    said = fleet.say(verb)
    assert said.code == 4, show(said)
    there = {f"{step}-{host}": 1 for step in ("Three", "Slow") for host in NAMES}
    assert fleet.effects() == {**ALL, **there}


def settling_three(yard: Yard) -> list[dict[str, Any]]:
    files = yard.files
    start = f"[ -e {files}/Three-{{{{ host.name }}}} ] || [ ! -e {files.parent}/broken ]"
    return [{"name": "Start", "run": start, "on": "web"}, {"name": "Prove it", "verify": "all"}]


def test_a_rollback_that_is_under_way_is_aborted(fleet: Yard) -> None:
    place = fleet.place("Slow")
    undo = f"mkdir -p {place}.busy; {fleet.hold()}; rm -rf {place}*"
    slow = {"name": "Slow", "run": f"echo once >> {place}", "undo": undo, "on": "web"}
    two_releases(fleet, slow)
    killed(fleet, "rollback", at="Slow-web1")
    fleet.let_go()
    said = fleet.say("abort")
    assert said.code == 4, show(said)
    assert fleet.effects() == {**ALL, **{f"Slow-{host}": 1 for host in NAMES}}
    assert states(said) == {"web1": "backed out", "web2": "unchanged", "web3": "unchanged"}
    assert fleet.say("status").code == 0
    assert fleet.say("rollback").code == 0


def test_what_cannot_be_taken_back_to_its_end_is_not_done_again(fleet: Yard) -> None:
    place = fleet.place("Slow")
    undo = f"[ -e {fleet.files.parent}/can ] && rm -rf {place}*"
    slow = {"name": "Slow", "run": f"echo once >> {place}", "undo": undo, "on": "web"}
    two_releases(fleet, slow)
    there = fleet.effects()
    assert fleet.say("rollback").code == 5
    said = fleet.say("abort")
    assert said.code == 5, show(said)
    assert states(said)["web2"] == "NOT backed out: web2: Slow failed: exited 1"
    assert fleet.effects() == there
    mark(fleet, "can")
    assert fleet.say("abort").code == 4
    assert fleet.effects() == there


def test_one_that_had_changed_nothing_yet_is_aborted_as_such(fleet: Yard) -> None:
    two_releases(fleet)
    wait = f"mkdir {fleet.files}/Look.busy; {fleet.hold()}; rmdir {fleet.files}/Look.busy"
    look = {"command": f"[ -e {fleet.files.parent}/go ] || {{ {wait}; }}", "timeout": "60s"}
    fleet.inventory(checks={"there": {**look, "expect": ["exit_code == 0"]}})
    fleet.runbook(fleet.step("Three"), settle=settling(fleet))
    fleet.let_go()
    fleet.good_release()
    (fleet.files.parent / "go").unlink()
    killed(fleet, "rollback", at="Look")
    fleet.let_go()
    said = fleet.say("abort")
    assert said.code == 4, show(said)
    assert set(states(said).values()) == {"unchanged"}
    assert fleet.effects() == {**ALL, **{f"Three-{host}": 1 for host in NAMES}}
    assert fleet.say("status").code == 0


def test_once_it_takes_back_what_was_done_here_it_has_one_way(fleet: Yard) -> None:
    place = fleet.place("Here", on=None)
    undo = f"mkdir -p {place}.busy; {fleet.hold()}; rm -rf {place}*"
    here = {"name": "Here", "run": f"echo once >> {place}", "undo": undo}
    two_releases(fleet, here)
    killed(fleet, "rollback", at="Here")
    said = fleet.say("abort")
    assert said.code == 3, show(said)
    what = said.data["error"]["what"]
    assert what.endswith("one way only: what was done on this machine is being taken back")
    assert said.data["error"]["next"].startswith("invoke resume --target prod; or leave it")
    fleet.let_go()
    assert fleet.say("resume").code == 0
    assert fleet.effects() == BACK


def test_one_that_was_decided_is_not_aborted(fleet: Yard) -> None:
    two_releases(fleet)
    assert fleet.say("rollback").code == 0
    assert fleet.say("abort").code == 3, "there is nothing that is unfinished"
