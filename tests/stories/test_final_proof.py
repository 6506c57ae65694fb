"""One proof at the very end, forward and back: over every host and check that a run concerns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.project import Said
from support.sshd import SshdBed
from support.yard import Yard

NAMES = ("web1", "web2", "web3")


def place(yard: Yard, name: str, host: str = "{{ host.name }}") -> str:
    """A file of a host, outside of the effects."""
    return f"{yard.files.parent}/{name}-{host}"


def write(yard: Yard, name: str, text: str, *hosts: str) -> None:
    for host in hosts or NAMES:
        (yard.files.parent / f"{name}-{host}").write_text(f"{text}\n")


def read(yard: Yard, name: str, *hosts: str) -> dict[str, str]:
    paths = {host: yard.files.parent / f"{name}-{host}" for host in hosts or NAMES}
    return {host: path.read_text().strip() for host, path in paths.items() if path.exists()}


def says(path: str, text: str, on: str | None = "all", **keys: Any) -> dict[str, Any]:
    """A check that a file says `text`."""
    command = f'test "$(cat {path})" = {text}'
    where = {"on": on} if on else {}
    return {"command": command, "expect": ["exit_code == 0"], **where, **keys}


def puts(yard: Yard, name: str, text: str, undo: str, **keys: Any) -> dict[str, Any]:
    """A step that writes `text` into a host's file; its undo writes `undo`."""
    path = place(yard, name)
    step = {"name": f"Write {name}", "run": f"echo {text} > {path}", "on": "all", **keys}
    return {**step, "undo": f"echo {undo} > {path}"}


def on_one(host: str, text: str, others: str) -> str:
    """Shell text that is `text` on that host, and something else on the others."""
    return f"$([ {{{{ host.name }}}} = {host} ] && echo {text} || echo {others})"


def ships(yard: Yard, text: str, undo: str) -> dict[str, Any]:
    """A step on this machine that brings code to every host."""
    paths = [place(yard, "code", host) for host in NAMES]
    here = {"name": "Ship", "run": "\n".join(f"echo {text} > {path}" for path in paths)}
    return {**here, "undo": "\n".join(f"echo {undo} > {path}" for path in paths)}


def starts(yard: Yard, before: str = "") -> list[dict[str, Any]]:
    """Settling: what runs is the code as it is at the moment."""
    run = f"{before}\ncat {place(yard, 'code')} > {place(yard, 'runs')}"
    return [
        {"name": "Restart", "run": run, "undo": "true", "on": "all"},
        {"name": "Prove", "verify": "all"},
    ]


def left(said: Said) -> tuple[int, str]:
    return said.code, said.out + said.err


# --- forward -------------------------------------------------------------------------------


def test_what_must_turn_green_is_green_on_every_host_and_not_only_in_the_last_batch(
    fleet: Yard,
) -> None:
    write(fleet, "f", "old")
    fleet.inventory(checks={"fixed": says(place(fleet, "f"), "fixed", baseline="fails")})
    fleet.runbook(puts(fleet, "f", on_one("web1", "worse", "fixed"), "old"))
    said = fleet.deploy()
    assert said.code == 4, left(said)
    assert "fixed@web1" in said.data["reason"]
    assert read(fleet, "f") == dict.fromkeys(NAMES, "old")
    fleet.runbook(puts(fleet, "f", "fixed", "old"))
    assert fleet.deploy().code == 0, "and the cure of every host is a success"


def test_a_host_that_only_the_last_proof_finds_red_goes_back_alone_within_the_budget(
    fleet: Yard,
) -> None:
    write(fleet, "f", "old")
    fleet.inventory(
        rollout={"batches": [1, "100%"], "max_failures": 1},
        checks={"fixed": says(place(fleet, "f"), "fixed", baseline="fails")},
    )
    fleet.runbook(puts(fleet, "f", on_one("web1", "worse", "fixed"), "old"))
    said = fleet.deploy()
    assert said.code == 0, left(said)
    assert said.data["hosts"]["web1"]["state"].startswith("withdrawn: check fixed@web1")
    assert read(fleet, "f") == {"web1": "old", "web2": "fixed", "web3": "fixed"}


@pytest.mark.parametrize("settle", [[{"name": "Prove", "verify": "all"}], []])
def test_a_step_here_after_the_hosts_steps_is_proved_too(
    fleet: Yard, settle: list[dict[str, Any]]
) -> None:
    balancer = place(fleet, "balancer", "here")
    write(fleet, "balancer", "good", "here")
    fleet.inventory(checks={"balanced": says(balancer, "good", on=None)})
    switch = {"name": "Switch", "run": f"echo bad > {balancer}", "undo": f"echo good > {balancer}"}
    fleet.runbook(fleet.step("A", on="all"), switch, settle=settle)
    said = fleet.deploy()
    assert said.code == 4, left(said)
    assert (read(fleet, "balancer", "here"), fleet.effects()) == ({"here": "good"}, {})
    cure = {**switch, "run": f"echo good > {balancer}"}
    fleet.inventory(checks={"balanced": says(balancer, "good", on=None, baseline="fails")})
    write(fleet, "balancer", "bad", "here")
    fleet.runbook(fleet.step("A", on="all"), cure, settle=settle)
    assert fleet.deploy().code == 0, "what only a last step here cures is not asked of the gates"


def test_a_gate_that_has_nothing_to_check_leaves_it_to_the_last_proof(
    fleet: Yard, bed: SshdBed
) -> None:
    hosts = bed.inventory_hosts()
    hosts["web1"]["groups"] = ["db"]
    fleet.inventory(hosts=hosts, checks={"up": says(place(fleet, "f"), "new", on="web")})
    write(fleet, "f", "old")
    fleet.runbook(fleet.step("Migrate", on="db"), puts(fleet, "f", "new", "old", on="web"))
    said = fleet.deploy()
    assert said.code == 0, left(said)
    assert "2 checks pass" in fleet.project.say("show", said.data["run"]).out


def test_nothing_is_known_good_that_nothing_proves(yard: Yard) -> None:
    yard.inventory(checks={})
    for name in ("One", "Two"):
        yard.runbook(yard.step(name), settle=[])
        said = yard.deploy()
        assert said.code == 0, left(said)
        assert "done; nothing proves it" in yard.project.say("show", said.data["run"]).out
    said = yard.say("rollback")
    assert said.code == 3, left(said)
    assert "no known-good release" in said.data["error"]["what"]


def test_checks_of_the_baseline_are_not_counted_as_proof(fleet: Yard) -> None:
    write(fleet, "f", "well")
    well = says(place(fleet, "f"), "well")
    fleet.inventory(checks={"each": well, "whole": {**well, "on": None, "command": "true"}})
    fleet.runbook(fleet.step("One"), settle=[])
    fleet.good_release()
    fleet.runbook(
        puts(fleet, "f", on_one("web2", "ill", "well"), "well"),
        settle=[],
    )
    said = fleet.deploy("--hosts", "web1,web3")
    assert said.code == 0, left(said)
    assert {check["host"] for check in said.data["checks"]} == {None, "web1", "web3"}
    said = fleet.deploy()
    assert said.code == 4, left(said)


# --- what applies to nothing ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "keys", "told"),
    [
        (("--hosts", "web2"), {"on": "db"}, "--hosts web2"),
        ((), {"when": "1 == 2"}, "nothing"),
        ((), {"when": "host.name == 'db1'"}, "nothing"),
        ((), None, "nothing"),
    ],
)
def test_a_run_in_which_nothing_applies_is_a_mistake_and_touches_nothing(
    fleet: Yard, bed: SshdBed, words: tuple[str, ...], keys: dict[str, Any] | None, told: str
) -> None:
    hosts = bed.inventory_hosts()
    hosts["web1"]["groups"] = ["db"]
    fleet.inventory(hosts=hosts)
    fleet.runbook(*([] if keys is None else [{**fleet.step("A"), **keys}]))
    for verb in ("deploy", "plan"):
        said = fleet.say(verb, *words)
        assert said.code == 2, left(said)
        assert told in said.data["error"]["what"]
    assert fleet.effects() == {}
    assert not any((host.home / ".backout").exists() for host in bed)
    assert fleet.project.say("history", "--json").data["runs"] == []


WAITS = {"name": "Wait", "wait": {"for": "1ms"}, "on": "all"}
LOOKS = {"name": "Look", "run": "uptime", "readonly": True, "on": "all"}


@pytest.mark.parametrize("step", [WAITS, LOOKS], ids=["waits", "looks"])
def test_hosts_on_which_a_runbook_only_waits_or_looks_are_not_deployed(
    fleet: Yard, bed: SshdBed, step: dict[str, Any]
) -> None:
    hosts = bed.inventory_hosts()
    hosts["web1"]["groups"] = ["db"]
    fleet.inventory(hosts=hosts)
    fleet.runbook(fleet.step("A", on="db"), step)
    said = fleet.deploy("--hosts", "web2")
    assert said.code == 2, left(said)
    assert "--hosts web2: no step" in said.data["error"]["what"]
    assert fleet.deploy("--hosts", "web1,web2").code == 0
    fleet.runbook(step)
    assert fleet.deploy("--hosts", "web2").code == 0, "it changes nothing anywhere, and says so"


def asks(answer: str) -> dict[str, Any]:
    """A step that saves an answer which only the run knows."""
    look = {"name": "Ask", "run": f"echo {answer}", "readonly": True}
    return {**look, "save": {"answer": "stdout"}}


@pytest.mark.parametrize("words", [(), ("--hosts", "web2")])
def test_a_run_that_finds_nothing_to_do_has_deployed_nothing(
    fleet: Yard, words: tuple[str, ...]
) -> None:
    fleet.runbook(fleet.step("One"))
    fleet.good_release()
    only_if = {"when": "saved.answer == 'yes'"}
    fleet.runbook(asks("no"), {**fleet.step("Two"), **only_if})
    said = fleet.deploy(*words)
    assert said.code == 4, left(said)
    assert said.data["reason"].startswith("nothing was done: `when` of every step")
    assert {end["state"] for end in said.data["hosts"].values()} == {"unchanged"}
    status = fleet.say("status")
    assert (status.code, status.data["release"]["number"]) == (0, 1)
    fleet.runbook(asks("yes"), {**fleet.step("Two"), **only_if})
    assert fleet.deploy(*words).code == 0
    fleet.runbook(asks("no"), {**fleet.step("Three"), **only_if, "on": "web2"}, fleet.step("Four"))
    assert fleet.deploy(*words).code == 0, "some of it was wanted"


def test_what_is_so_already_is_deployed(fleet: Yard) -> None:
    fleet.runbook(fleet.step("One", check="true"))
    said = fleet.deploy()
    assert (said.code, fleet.effects()) == (0, {}), left(said)


def test_a_runbook_that_only_restarts_applies(fleet: Yard) -> None:
    write(fleet, "code", "old")
    fleet.runbook(settle=starts(fleet))
    said = fleet.deploy("--hosts", "web2")
    assert said.code == 0, left(said)
    assert read(fleet, "runs") == {"web2": "old"}


# --- withdrawn -----------------------------------------------------------------------------


def test_a_host_that_was_withdrawn_is_as_healthy_as_it_was_or_the_run_is_no_success(
    fleet: Yard,
) -> None:
    write(fleet, "f", "well")
    fleet.inventory(
        rollout={"batches": ["100%"], "max_failures": 1},
        checks={"well": says(place(fleet, "f"), "well")},
    )
    fleet.runbook(fleet.step("One"))
    fleet.good_release()
    breaks = puts(fleet, "f", "well", "broken", on="web2")
    fleet.runbook(breaks, fleet.step("Two", before="test {{ host.name }} != web2"))
    said = fleet.deploy()
    assert said.code == 5, left(said)
    assert "well@web2 is red" in said.data["reason"]
    assert fleet.effects() == {f"One-{name}": 1 for name in NAMES}
    write(fleet, "f", "well")
    said = fleet.say("resume")
    assert said.code == 4, left(said)


# --- back ----------------------------------------------------------------------------------


def shipped(fleet: Yard, text: str, undo: str, before: str = "") -> Said:
    fleet.runbook(ships(fleet, text, undo), settle=starts(fleet, before))
    return fleet.deploy()


@pytest.mark.parametrize("honest", [True, False], ids=["runs is checked", "code is checked"])
def test_what_an_undo_here_changed_on_the_hosts_is_settled_after_it(
    fleet: Yard, honest: bool
) -> None:
    write(fleet, "code", "v0")
    same = f'"$(cat {place(fleet, "runs")})" = "$(cat {place(fleet, "code")})"'
    check = (
        f"test {same} && ! grep -q bad {place(fleet, 'code')}"
        if honest
        else (f"! grep -q bad {place(fleet, 'code')}")
    )
    fleet.inventory(checks={"well": {"command": check, "on": "all", "expect": ["exit_code == 0"]}})
    for text, undo in (("v1", "v0"), ("v2", "v1")):
        said = shipped(fleet, text, undo)
        assert said.code == 0, left(said)
    said = shipped(fleet, "bad", "v2")
    assert said.code == 4, left(said)
    assert read(fleet, "runs") == read(fleet, "code") == dict.fromkeys(NAMES, "v2")
    said = fleet.say("rollback")
    assert said.code == 0, left(said)
    assert read(fleet, "runs") == read(fleet, "code") == dict.fromkeys(NAMES, "v1")


def test_after_a_red_proof_of_the_old_release_resume_settles_anew(fleet: Yard) -> None:
    write(fleet, "code", "v1")
    ill = fleet.files.parent / "ill"
    starting = f"if [ -e {ill} ]; then echo ill > {place(fleet, 'code')}; fi"
    fleet.inventory(checks={"well": says(place(fleet, "runs"), "v1")})
    write(fleet, "runs", "v1")
    assert shipped(fleet, "v1", "v1").code == 0
    ill.touch()
    said = shipped(fleet, "v2", "v1", starting)
    assert said.code == 5, left(said)
    ill.unlink()
    write(fleet, "code", "v1")
    said = fleet.say("resume")
    assert said.code == 4, left(said)
    assert read(fleet, "runs", "web1") == {"web1": "v1"}


@pytest.mark.parametrize("back", ["broken", "well"])
def test_a_rollback_over_runs_with_other_hosts_proves_all_of_them(fleet: Yard, back: str) -> None:
    write(fleet, "f", "well")
    fleet.inventory(checks={"well": says(place(fleet, "f"), "well")})
    fleet.runbook(fleet.step("One"))
    fleet.good_release()
    fleet.runbook(fleet.step("Two"))
    assert fleet.deploy("--hosts", "web1").code == 0
    fleet.runbook(puts(fleet, "f", "well", on_one("web2", back, "well")))
    fleet.good_release()
    said = fleet.say("rollback")
    assert {check["host"] for check in said.data["checks"]} == set(NAMES)
    if back == "broken":
        assert said.code == 4, left(said)
        assert "well@web2 is red" in said.data["reason"]
        assert set(said.on.values()) == {3}
        assert fleet.effects() == {**{f"One-{name}": 1 for name in NAMES}, "Two-web1": 1}
    else:
        assert said.code == 0, left(said)
        assert set(said.on.values()) == {1}
        assert fleet.effects() == {f"One-{name}": 1 for name in NAMES}


def test_a_rollback_proves_checks_and_hosts_that_only_the_older_runs_knew(
    fleet: Yard, bed: SshdBed
) -> None:
    write(fleet, "f", "well")
    well, hosts = says(place(fleet, "f"), "well"), bed.inventory_hosts()
    fleet.inventory(checks={"older": well, "both": well})
    fleet.runbook(fleet.step("One"))
    fleet.good_release()
    fleet.runbook(fleet.step("Two"))
    fleet.good_release()
    fleet.inventory(checks={"both": well}, hosts={name: hosts[name] for name in ("web1", "web2")})
    fleet.runbook(fleet.step("Three"))
    fleet.good_release()
    said = fleet.say("rollback", "--to", "1")
    assert said.code == 0, left(said)
    assert len(said.data["checks"]) == 2 * len(NAMES)
    assert fleet.effects() == {f"One-{name}": 1 for name in NAMES}


# --- what is said of a host ----------------------------------------------------------------


def test_what_is_said_of_a_host_is_asked_of_that_host(fleet: Yard, bed: SshdBed) -> None:
    fleet.runbook(fleet.step("One"))
    fleet.good_release()
    record = bed["web2"].home / ".backout" / "prod" / "release.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "number": 9}))
    (bed["web3"].home / ".backout" / "prod" / "release.json").unlink()
    fleet.runbook(fleet.step("Two", before="false"))
    said = fleet.deploy()
    assert said.code == 4, left(said)
    assert said.on == {"web1": 1, "web2": 9, "web3": None}
    shown = fleet.project.say("show", said.data["run"]).out
    assert "web1: release 1, web2: release 9, web3: no known release" in shown


@pytest.mark.parametrize("words", [("--hosts", ""), ("--hosts", ",")])
def test_a_word_that_is_said_and_empty_is_a_mistake_and_does_not_mean_all(
    yard: Yard, words: tuple[str, str]
) -> None:
    yard.runbook(yard.step("A"))
    said = yard.deploy(*words)
    assert said.code == 2, left(said)
    assert f"{words[0]} is empty" in said.data["error"]["what"]
    assert yard.effects() == {}


def test_until_a_release_is_known_good_the_baseline_is_recorded_and_not_required(
    fleet: Yard,
) -> None:
    fleet.inventory(checks={"f": says(place(fleet, "f"), "new")})
    fleet.runbook(puts(fleet, "f", "new", "old"))
    said = fleet.deploy("--hosts", "web1")
    assert said.code == 0, left(said)
    said = fleet.deploy()
    assert said.code == 0, left(said)


def test_a_plan_says_what_will_prove_it(yard: Yard) -> None:
    yard.runbook(yard.step("A"), settle=[])
    assert yard.say("plan").data["notes"] == ["at the end every check is proved once more: there"]
    yard.inventory(checks={})
    (note,) = yard.say("plan").data["notes"]
    assert "nothing will prove it" in note


# --- hosts that only settling names ----------------------------------------------------------


def with_database(fleet: Yard, bed: SshdBed, **keys: Any) -> None:
    """web1 is the database's host; what the others run is the code that they have."""
    hosts = bed.inventory_hosts()
    hosts["web1"]["groups"] = ["db"]
    write(fleet, "code", "v1")
    write(fleet, "runs", "v1", "web2", "web3")
    ill = f"! grep -q ill {place(fleet, 'runs')}"
    well = {"command": ill, "on": "web", "expect": ["exit_code == 0"]}
    fleet.inventory(hosts=hosts, checks={"well": well}, **keys)


def restarts(fleet: Yard) -> list[dict[str, Any]]:
    start, prove = starts(fleet)
    return [{**start, "on": "web"}, prove]


def test_hosts_that_only_settling_names_are_settled_there_and_back(
    fleet: Yard, bed: SshdBed
) -> None:
    with_database(fleet, bed)
    migrate = fleet.step("Migrate", on="db")
    for text, undo, code in (("v2", "v1", 0), ("ill", "v2", 4), ("v3", "v2", 0)):
        fleet.runbook(ships(fleet, text, undo), migrate, settle=restarts(fleet))
        said = fleet.deploy()
        assert said.code == code, left(said)
        stands = text if code == 0 else undo
        assert read(fleet, "runs") == {"web2": stands, "web3": stands}, said.data["steps"]
        assert read(fleet, "code") == dict.fromkeys(NAMES, stands)
    said = fleet.say("rollback")
    assert said.code == 0, left(said)
    assert read(fleet, "runs") == {"web2": "v2", "web3": "v2"}


def test_hosts_that_only_settling_names_stay_as_they_are_when_nothing_moved(
    fleet: Yard, bed: SshdBed
) -> None:
    with_database(fleet, bed)
    ship = {**ships(fleet, "v2", "v1"), "when": "params.ship == 'yes'"}
    look = {"name": "ProbeRequest", "run": "true", "readonly": True, "on": "db"}
    fleet.runbook(
        ship, look, settle=restarts(fleet), params={"ship": {"default": "no", "help": "or yes"}}
    )
    write(fleet, "code", "v2")
    assert fleet.deploy().code == 0
    assert read(fleet, "runs") == {"web2": "v1", "web3": "v1"}
    said = fleet.deploy("--param", "ship=yes", "--hosts", "web3")
    assert said.code == 0, left(said)
    assert read(fleet, "runs") == {"web2": "v1", "web3": "v2"}, "and a part settles its part"


# --- what settles on this machine, and what only settles after an undo here ---------------


def starts_from_here(yard: Yard, before: str = "", **keys: Any) -> list[dict[str, Any]]:
    """Settling from this machine: what runs on every host is the code that it has now."""
    lines = [f"cat {place(yard, 'code', host)} > {place(yard, 'runs', host)}" for host in NAMES]
    restart = {"name": "Restart", "run": "\n".join((before, *lines)), "undo": "true", **keys}
    return [restart, {"name": "Prove", "verify": "all"}]


def test_what_settles_from_here_settles_again_after_an_undo_here(fleet: Yard) -> None:
    write(fleet, "code", "v1")
    good = {"command": f"! grep -q bad {place(fleet, 'code')}", "expect": ["exit_code == 0"]}
    fleet.inventory(checks={"well": {**good, "on": "all"}})
    for text, undo, code in (("v2", "v1", 0), ("bad", "v2", 4), ("v3", "v2", 0)):
        fleet.runbook(ships(fleet, text, undo), settle=starts_from_here(fleet))
        said = fleet.deploy()
        assert said.code == code, left(said)
        assert read(fleet, "runs") == read(fleet, "code")
    said = fleet.say("rollback")
    assert said.code == 0, left(said)
    assert read(fleet, "runs") == read(fleet, "code") == dict.fromkeys(NAMES, "v2")


@pytest.mark.parametrize("settle", [starts, starts_from_here], ids=["on the hosts", "from here"])
def test_what_cannot_start_with_the_code_shipped_from_here_is_no_reason_to_leave_that_code(
    fleet: Yard, settle: Any
) -> None:
    write(fleet, "code", "v1")
    write(fleet, "runs", "v1")
    fleet.inventory(checks={"well": says(place(fleet, "runs"), "v1")})
    refuses = f"! grep -q bad {place(fleet, 'code', 'web1')} || exit 3"
    for text, code in (("v1", 0), ("bad", 4)):
        fleet.runbook(ships(fleet, text, "v1"), settle=settle(fleet, refuses))
        said = fleet.deploy()
        assert said.code == code, left(said)
    assert read(fleet, "runs") == read(fleet, "code") == dict.fromkeys(NAMES, "v1")


def test_hosts_of_one_batch_that_go_back_one_after_another_are_each_settled_from_here(
    fleet: Yard,
) -> None:
    write(fleet, "code", "v1")
    fleet.inventory(
        rollout={"batches": ["100%"], "max_failures": 2},
        checks={"f": {**says(place(fleet, "f"), "bad"), "expect": ["exit_code != 0"]}},
    )
    fleet.runbook(
        puts(fleet, "code", "v2", "v1"),
        puts(fleet, "f", on_one("web3", "bad", "well"), "well"),
        {**fleet.step("Fail", on="all"), "run": "test {{ host.name }} != web2"},
        settle=starts_from_here(fleet),
    )
    said = fleet.deploy()
    assert said.code == 0, left(said)
    assert {name: host["state"][:9] for name, host in said.data["hosts"].items()} == {
        "web1": "deployed",
        "web2": "withdrawn",
        "web3": "withdrawn",
    }
    assert read(fleet, "runs") == read(fleet, "code") == {"web1": "v2", "web2": "v1", "web3": "v1"}


@pytest.mark.parametrize("key", ["when", "run"])
def test_settling_that_names_what_a_failed_step_would_have_saved_never_ran_and_is_left_out(
    fleet: Yard, key: str
) -> None:
    write(fleet, "code", "v1")
    settle = starts(fleet)
    text = {"when": "saved.changed == 'yes'", "run": "echo {{ saved.changed }}"}[key]
    settle[0] |= {key: text}
    fails = {"name": "Tell", "run": "exit 1", "undo": "true", "save": {"changed": "stdout"}}
    fleet.runbook(puts(fleet, "code", "v2", "v1"), fails, settle=settle)
    said = fleet.deploy()
    assert said.code == 4, left(said)
    assert read(fleet, "code") == dict.fromkeys(NAMES, "v1")
