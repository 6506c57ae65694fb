"""Going on means going on: a run that was killed ends as it would have ended."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from support.project import Said
from support.wait import eventually, throughout
from support.yard import Yard

NAMES = ("web1", "web2", "web3")


def killed(yard: Yard, *words: str, at: str, first: signal.Signals | None = None) -> None:
    """Begin, and be killed while that is at work; a gentler signal may come before."""
    process = yard.start(*words)
    yard.busy(at)
    if first is not None:
        process.send_signal(first)
        assert process.stderr is not None
        while "Once more leaves at once" not in process.stderr.readline():
            pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    yard.let_go()


def left(said: Said) -> tuple[int, str]:
    return said.code, said.out + said.err


def well(yard: Yard, name: str, **keys: Any) -> dict[str, Any]:
    """A check that passes while that file is there."""
    return {"command": f"test -e {yard.files.parent}/{name}", "expect": ["exit_code == 0"], **keys}


def slow(yard: Yard, step: dict[str, Any], host: str) -> dict[str, Any]:
    """The step, with an undo that waits on that host until it is let go."""
    busy = f"{yard.place(step['name'])}-undo.busy"
    wait = f"if [ {{{{ host.name }}}} = {host} ]; then mkdir -p {busy}; {yard.hold()}; fi"
    return {**step, "undo": f"{wait}\n{step['undo']}; rm -rf {busy}"}


def stopping(yard: Yard) -> list[dict[str, Any]]:
    """Settling that stops the service, waits, and starts it: its check is red meanwhile."""
    up, busy = f"{yard.files.parent}/up", f"{yard.files}/Restart.busy"
    first = f"{yard.files}/Second-{{{{ host.name }}}}"
    wait = f"if [ -e {first} ]; then mkdir -p {busy}; {yard.hold()}; rm -rf {busy}; fi"
    restart = {"name": "Restart", "run": f"rm -f {up}\n{wait}\ntouch {up}", "undo": "true"}
    return [{**restart, "on": "web"}, {"name": "Prove", "verify": "all"}]


# --- what was decided stays decided --------------------------------------------------------


@pytest.mark.parametrize(
    "at", ["Second-web2-undo", "Third-web3"], ids=["between its undos", "after it went back"]
)
def test_a_host_that_was_lost_stays_lost(fleet: Yard, at: str) -> None:
    red = f"! test -e {fleet.files}/Second-web2 || test {{{{ host.name }}}} != web2"
    fleet.inventory(
        rollout={"batches": [1, 1, 1], "max_failures": 1},
        checks={"each": {"command": red, "on": "web", "expect": ["exit_code == 0"]}},
    )
    fleet.runbook(fleet.step("First"))
    fleet.good_release()
    second = fleet.step("Second")
    third = fleet.step("Third", before=f"[ {{{{ host.name }}}} != web3 ] || {fleet.hold('third')}")
    if at.startswith("Second"):
        second = slow(fleet, second, "web2")
        fleet.let_go("third")
    fleet.runbook(second, third)
    killed(fleet, "deploy", at=at)
    fleet.let_go("third")
    said = fleet.say("resume")
    assert said.code == 0, left(said)
    hosts = said.data["hosts"]
    assert hosts["web2"]["state"].startswith("withdrawn: check each@web2 fail")
    assert said.on == {"web1": 2, "web2": 1, "web3": 2}
    kept = {f"{step}-{host}": 1 for step in ("Second", "Third") for host in ("web1", "web3")}
    assert fleet.effects() == {**{f"First-{name}": 1 for name in NAMES}, **kept}
    back = fleet.say("rollback")
    assert (back.code, back.releases["to"]) == (0, 1), "it was not known good"


def test_who_pressed_ctrl_c_before_the_kill_wanted_to_go_back(yard: Yard) -> None:
    yard.runbook(yard.step("First"))
    yard.good_release()
    yard.runbook(yard.step("Slow", before=yard.hold()), yard.step("Last"))
    killed(yard, "deploy", at="Slow-here", first=signal.SIGINT)
    said = yard.say("resume")
    assert said.code == 4, left(said)
    assert "interrupted by Ctrl-C" in said.data["reason"]
    assert yard.effects() == {"First-here": 1}


# --- what was looked at is not looked at again ---------------------------------------------


@pytest.mark.parametrize(("verb", "code"), [("resume", 0), ("abort", 4)])
def test_a_check_that_is_red_while_a_service_restarts_is_no_baseline(
    yard: Yard, verb: str, code: int
) -> None:
    yard.inventory(checks={"up": well(yard, "up")})
    yard.runbook(yard.step("First"), settle=stopping(yard))
    yard.good_release()
    yard.runbook(yard.step("Second"), settle=stopping(yard))
    killed(yard, "deploy", at="Restart")
    said = yard.say(verb)
    assert said.code == code, left(said)
    assert (yard.files.parent / "up").exists()
    assert "healthy" in yard.project.say("show", said.data["run"]).out or code == 0
    assert [check["verdict"] for check in said.data["checks"]] == ["pass"]


def test_a_check_that_was_green_before_is_asked_for_whatever_resume_found(yard: Yard) -> None:
    (yard.files.parent / "up").touch()
    yard.inventory(checks={"up": well(yard, "up")})
    yard.runbook(yard.step("First"))
    yard.good_release()
    yard.runbook(yard.step("Slow", before=yard.hold()))
    killed(yard, "deploy", at="Slow-here")
    (yard.files.parent / "up").unlink()
    for verb in ("resume", "abort"):
        said = yard.say(verb)
        assert said.code == 5, left(said)
        assert "check up is red" in said.data["reason"]
    (yard.files.parent / "up").touch()
    assert yard.say("resume").code == 4
    assert yard.effects() == {"First-here": 1}


def test_a_gate_on_the_way_that_was_passed_is_not_asked_again(yard: Yard) -> None:
    """What it looked at is meant to be gone by then."""
    (yard.files.parent / "old").touch()
    yard.inventory(checks={"old": well(yard, "old", baseline="any")})
    gone = {"name": "Retire", "run": f"rm {yard.files.parent}/old", "undo": "true", "on": "web"}
    again = {"name": "Bring", "run": f"touch {yard.files.parent}/old", "undo": "true", "on": "web"}
    gate = {"name": "Old is there", "verify": ["old"]}
    yard.runbook(gate, gone, yard.step("Slow", before=yard.hold()), again)
    killed(yard, "deploy", at="Slow-here")
    said = yard.say("resume")
    assert said.code == 0, left(said)


def test_what_the_preflight_saved_is_known_after_a_kill(yard: Yard) -> None:
    look = {"name": "ProbeRequest", "run": "echo 7", "readonly": True, "save": {"found": "stdout"}}
    use = {"name": "Use", "run": f"echo {{{{ saved.found }}}} > {yard.files.parent}/used"}
    yard.runbook(
        yard.step("Slow", before=yard.hold()),
        {**use, "undo": "true", "on": "web"},
        preflight=[look],
    )
    killed(yard, "deploy", at="Slow-here")
    said = yard.say("resume")
    assert said.code == 0, left(said)
    assert (yard.files.parent / "used").read_text() == "7\n"


def test_a_rollback_that_was_confirmed_is_not_asked_about_again(yard: Yard) -> None:
    yard.inventory(protected=True)
    yard.runbook(yard.step("First"))
    assert yard.deploy("--yes").code == 0
    second = yard.step("Second")
    busy = f"{yard.place('Second')}-undo.busy"
    undo = f"mkdir -p {busy}; {yard.hold()}; {second['undo']} {busy}"
    yard.runbook({**second, "undo": undo})
    assert yard.deploy("--yes").code == 0
    killed(yard, "rollback", "--yes", at="Second-here-undo")
    said = yard.say("resume")
    assert said.code == 0, left(said)
    assert yard.effects() == {"First-here": 1}


def test_what_had_succeeded_is_finished_by_abort_and_it_is_said(yard: Yard) -> None:
    closing = yard.step("Close", on=None, before=yard.hold(), retry_safe=True)
    at_the_end: dict[str, Any] = {"finally": [{**closing, "undo": None}]}
    yard.runbook(yard.step("One"), **at_the_end)
    killed(yard, at="Close")
    said = yard.say("abort")
    assert said.code == 0, left(said)
    assert "it had succeeded, and is not backed out: invoke rollback --target prod" in said.err
    assert yard.effects() == {"One-here": 1, "Close": 1}


def test_nothing_is_undone_beside_a_restart_that_was_interrupted(tmp_path: Path) -> None:
    """It lives on when whoever began it is killed, and ends when it likes."""
    with Yard(tmp_path) as yard:
        beside = f"[ ! -d {yard.files}/Restart-here.busy ] || echo undo >> {yard.files}/beside"
        step = yard.step("Good")
        step["undo"] = f"{beside}\n{step['undo']}"
        yard.runbook(step, settle=[yard.step("Restart", before=yard.hold())])
        process = yard.start()
        yard.busy("Restart-here")
        process.kill()
        process.communicate()
        abort = yard.start("abort")
        eventually(lambda: any(kind == "back_out" for kind, _, _ in yard.records()))
        assert throughout(lambda: "Good-here" in yard.effects(), seconds=0.5)
        yard.let_go()
        abort.communicate()
        assert (abort.returncode, yard.exists("beside")) == (4, False)
        assert "Good-here" not in yard.effects()


def test_nothing_is_restarted_beside_the_restart_of_a_host_that_went_back_alone(
    fleet: Yard,
) -> None:
    """Whoever goes back as a whole then has another name for it."""
    fleet.inventory(rollout={"batches": [1, 1, 1], "max_failures": 1})
    only = "[ {{ host.name }} != web2 ]"
    ill = fleet.step("Ill", after=only)
    fleet.runbook(ill, settle=[fleet.step("Restart", before=f"{only} || {fleet.hold()}")])
    process = fleet.start()
    fleet.busy("Restart-web2")
    process.kill()
    process.communicate()
    abort = fleet.start("abort")
    eventually(lambda: any(kind == "back_out" for kind, _, _ in fleet.records()))
    assert throughout(lambda: not fleet.exists("beside"), seconds=0.5)
    fleet.let_go()
    out, err = abort.communicate()
    assert (abort.returncode, fleet.exists("beside")) == (4, False), out + err
