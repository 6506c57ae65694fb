"""What goes wrong on a good day: hosts that fail, disks that are full, people who say no."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import termios
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.disk import small_disk
from support.project import BACKOUT
from support.proxy import Proxy
from support.sshd import SshdBed
from support.wait import eventually
from support.yard import Yard

NAMES = ("web1", "web2", "web3")
FAILS_ON_WEB2 = "test {{ host.name }} != web2"


def flag(yard: Yard, name: str = "flag", **keys: Any) -> dict[str, Any]:
    """A check that passes while a file is there."""
    return {"command": f"test -e {yard.files}/{name}", "expect": ["exit_code == 0"], **keys}


# --- a budget ------------------------------------------------------------------------------


def test_a_host_that_fails_within_the_budget_is_withdrawn_alone(fleet: Yard) -> None:
    fleet.inventory(rollout={"batches": [1, 1, 1], "max_failures": 1})
    fleet.runbook(fleet.step("First"), fleet.step("Second", before=FAILS_ON_WEB2))
    said = fleet.deploy()
    assert said.code == 0, said.out + said.err
    hosts = said.data["hosts"]
    assert {name: row["state"].partition(":")[0] for name, row in hosts.items()} == {
        "web1": "deployed",
        "web2": "withdrawn",
        "web3": "deployed",
    }
    assert fleet.effects() == {
        f"{step}-{host}": 1 for step in ("First", "Second") for host in ("web1", "web3")
    }


def test_a_release_that_not_every_host_has_is_not_known_good(fleet: Yard) -> None:
    fleet.runbook(fleet.step("First"))
    fleet.good_release()
    fleet.inventory(rollout={"batches": ["100%"], "max_failures": 1})
    fleet.runbook(fleet.step("Second", before=FAILS_ON_WEB2))
    assert fleet.deploy().code == 0
    back = fleet.say("rollback")
    assert back.code == 0, back.out + back.err
    assert back.releases["to"] == 1
    assert fleet.effects() == {f"First-{name}": 1 for name in NAMES}


def test_a_first_batch_that_is_withdrawn_whole_does_not_stop_the_others(fleet: Yard) -> None:
    fleet.inventory(
        rollout={"batches": [1, "100%"], "max_failures": 1},
        checks={"there": {"command": "true", "on": "web", "expect": ["exit_code == 0"]}},
    )
    fleet.runbook(fleet.step("First", before="test {{ host.name }} != web1"))
    said = fleet.deploy()
    assert said.code == 0, said.out + said.err
    assert fleet.effects() == {"First-web2": 1, "First-web3": 1}


def test_one_failure_more_than_the_budget_backs_every_host_out(fleet: Yard) -> None:
    fleet.inventory(rollout={"batches": [1, 1, 1], "max_failures": 1})
    fleet.runbook(fleet.step("First", before="test {{ host.name }} = web1"))
    said = fleet.deploy()
    assert said.code == 4, said.out + said.err
    assert "web2" in said.data["reason"]
    assert "web3" in said.data["reason"]
    assert fleet.effects() == {}


def test_a_rollout_that_reaches_no_host_at_all_is_not_a_success(yard: Yard) -> None:
    yard.inventory(rollout={"batches": ["100%"], "max_failures": 5})
    yard.runbook(yard.step("First", before="false"))
    said = yard.deploy()
    assert said.code == 4, said.out + said.err
    assert yard.effects() == {}


@pytest.mark.parametrize(("verb", "code"), [("resume", 0), ("abort", 4)])
def test_a_host_that_cannot_be_withdrawn_is_no_success_and_whoever_goes_on_takes_it_back(
    fleet: Yard, verb: str, code: int
) -> None:
    fleet.inventory(
        rollout={"batches": [1, "100%"], "max_failures": 1},
        checks={"each": {"command": "true", "on": "web", "expect": ["exit_code == 0"]}},
    )
    mended, first = fleet.files.parent / "mended", fleet.step("First")
    first["undo"] = f"test -e {mended} || {FAILS_ON_WEB2}\n{first['undo']}"
    settles = {"name": "Settle", "run": f"echo again >> {fleet.files.parent}/settled"}
    fleet.runbook(
        first,
        fleet.step("Second", before=FAILS_ON_WEB2),
        settle=[settles, {"name": "Prove", "verify": "all"}],
    )
    for each in ("deploy", "resume"):
        said = fleet.say(each)
        assert said.code == 5, said.out + said.err
        assert "NOT backed out" in said.data["hosts"]["web2"]["state"]
        assert said.data["reason"].startswith("web2: First failed")
        assert "web1, web3: deployed and proved" in said.data["reason"]
        assert said.data["next"].startswith("put right what is named above, then invoke resume")
    assert fleet.deploy().code == 7, "nobody deploys on top"
    mended.touch()
    settled = len((fleet.files.parent / "settled").read_text().splitlines())
    said = fleet.say(verb)
    assert said.code == code, said.out + said.err
    assert len((fleet.files.parent / "settled").read_text().splitlines()) > settled
    kept = ("web1", "web3") if code == 0 else ()
    assert fleet.effects() == {f"{step}-{h}": 1 for step in ("First", "Second") for h in kept}
    assert said.data["hosts"]["web2"]["state"].startswith("withdrawn" if kept else "backed out")


def test_a_red_check_of_one_host_is_that_hosts_failure_alone(fleet: Yard) -> None:
    well = f"! test -e {fleet.files}/First-web2 || {FAILS_ON_WEB2}"
    fleet.inventory(
        rollout={"batches": ["100%"], "max_failures": 1},
        checks={"each": {"command": well, "on": "web", "expect": ["exit_code == 0"]}},
    )
    fleet.runbook(fleet.step("First"))
    said = fleet.deploy()
    assert said.code == 0, said.out + said.err
    assert "check each@web2" in said.data["hosts"]["web2"]["state"]
    assert fleet.effects() == {"First-web1": 1, "First-web3": 1}


def test_what_was_irreversible_is_named_where_a_run_is_said_to_be_backed_out(yard: Yard) -> None:
    mail = {"name": "Mail", "run": "true", "irreversible": "they are read", "on": "web"}
    yard.runbook(yard.step("First"), mail, yard.step("Last", before="exit 1"))
    said = yard.deploy("--yes")
    assert said.code == 4, said.out + said.err
    assert "here: Mail stays as it is, irreversible: they are read" in said.data["reason"]
    assert yard.effects() == {}


# --- hosts ---------------------------------------------------------------------------------


def test_a_server_that_is_slow_to_greet_is_waited_for(yard: Yard, bed: SshdBed) -> None:
    with Proxy((bed["web1"].address, bed.port)) as proxy:
        key = bed.known_hosts.read_text().splitlines()[0].split(" ", 1)[1]
        known = yard.files.parent / "known_hosts"
        known.write_text(f"[127.0.0.1]:{proxy.port} {key}\n")
        yard.inventory(
            hosts={"web1": {"address": "127.0.0.1", "port": proxy.port, "groups": ["web"]}},
            ssh={**bed.inventory_ssh(), "known_hosts": str(known), "connect_timeout": "20s"},
        )
        yard.runbook(yard.step("First"))
        proxy.stall()
        process = yard.start()
        eventually(lambda: proxy.accepted > 0)
        proxy.flow()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert yard.effects() == {"First-web1": 1}


def test_a_step_that_fills_a_hosts_disk_is_backed_out(fleet: Yard, bed: SshdBed) -> None:
    big = "$HOME/.backout/big"
    fill = {"name": "Fill", "run": f"cat /dev/zero > {big}", "undo": f"rm -f {big}", "on": "web2"}
    fleet.runbook(fleet.step("First"), fill)
    host = bed["web2"]
    with small_disk(host.home / ".backout", host.machine, kilobytes=1024):
        said = fleet.deploy()
        left = host.machine.run("ls", f"{host.home}/.backout").stdout.split()
    assert said.code == 4, said.out + said.err
    assert "web2: Fill failed" in said.data["reason"]
    assert "big" not in left
    assert fleet.effects() == {}


@pytest.mark.parametrize("begun", [True, False])
def test_state_that_cannot_be_written_refuses_before_any_change(yard: Yard, begun: bool) -> None:
    """Whether the disk is full, or broken, or there to be read only."""
    yard.runbook(yard.step("First"))
    state = yard.project.state
    with small_disk(state, kilobytes=1024) as disk:
        if begun:
            yard.good_release()
            shutil.rmtree(state / "locks")
        faults = ((disk.fill, disk.empty, "full"), (disk.freeze, disk.thaw, "read-only"))
        for spoil, mend, what in faults:
            spoil()
            said = yard.deploy()
            mend()
            assert said.code == 3, said.out + said.err
            assert str(state) in said.data["error"]["what"] + said.data["error"]["where"], what
            assert said.data["error"]["next"], what
        assert yard.effects() == ({"First-here": 1} if begun else {})
        assert yard.deploy().code == 0


@pytest.mark.parametrize("full", ["stdout", "stderr"])
def test_a_log_that_takes_nothing_more_changes_nothing_of_the_run(yard: Yard, full: str) -> None:
    yard.runbook(yard.step("First"), yard.step("Second", after="false"))
    words = (*BACKOUT, "deploy", "--target", "prod")
    where, env = yard.project.directory, yard.project.env
    with Path("/dev/full").open("w") as sink:
        out, err = (sink, subprocess.PIPE) if full == "stdout" else (subprocess.PIPE, sink)
        process = subprocess.Popen(words, cwd=where, env=env, stdout=out, stderr=err)
        said = b"".join(stream or b"" for stream in process.communicate(timeout=60))
    assert process.returncode == 4, said
    assert yard.effects() == {}
    lost = b"stdout could not be written: No space left on device\n"
    assert (said == lost) == (full == "stdout")
    assert b"Traceback" not in said


def test_under_nohup_a_run_goes_on_without_its_terminal(yard: Yard) -> None:
    yard.runbook(yard.step("First", before=yard.hold()))
    words = ("nohup", *BACKOUT, "deploy", "--target", "prod")
    where, env = yard.project.directory, yard.project.env
    with Path("/dev/null").open("w") as null:
        process = subprocess.Popen(words, cwd=where, env=env, stdout=null, stderr=null)
    yard.busy("First-here")
    process.send_signal(signal.SIGHUP)
    yard.let_go()
    assert process.wait(60) == 0
    assert yard.effects() == {"First-here": 1}


def test_a_terminal_that_goes_away_backs_out_like_ctrl_c(yard: Yard) -> None:
    yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold()), yard.step("Last"))
    master, slave = pty.openpty()
    where, env = yard.project.directory, {**yard.project.env, "TERM": "xterm"}
    take = partial(fcntl.ioctl, slave, termios.TIOCSCTTY, 0)
    words = (*BACKOUT, "deploy", "--target", "prod")
    process = subprocess.Popen(
        words, cwd=where, env=env, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=take,
    )  # fmt: skip
    os.close(slave)
    yard.busy("Slow-here")
    os.close(master)
    yard.let_go()
    assert process.wait(60) == 4
    assert yard.effects() == {}
    assert yard.say("resume").code == 3, "it is over"


# --- what steps may say --------------------------------------------------------------------


def test_a_step_that_outlasts_its_timeout_is_told_so_with_its_limit(fleet: Yard) -> None:
    fleet.runbook(fleet.step("Slow", before=fleet.hold(), timeout="1s"))
    said = fleet.deploy()
    assert said.code == 4, said.out + said.err
    assert "timed out after 1 s; its process group was ended" in said.data["reason"]
    assert "its shell was stopped" not in said.out
    slow = [step for step in said.data["steps"] if step["name"] == "Slow"]
    assert slow[0]["state"] == "unknown"


def test_a_step_that_is_not_wanted_is_skipped_and_never_undone(yard: Yard) -> None:
    yard.runbook(
        yard.step("First", when="vars.colour == 'blue'"),
        yard.step("Second", when="vars.colour == 'red'", after="false"),
    )
    yard.inventory(vars={"colour": "red"})
    (yard.files / "First-here").write_text("mine\n")
    said = yard.deploy()
    assert said.code == 4, said.out + said.err
    assert yard.states(said)["First", "here"] == "skipped"
    assert yard.effects() == {"First-here": 1}


def test_a_condition_that_cannot_be_told_fails_the_step(yard: Yard) -> None:
    yard.inventory(vars={"count": "many"})
    yard.runbook(yard.step("First"), yard.step("Second", when="vars.count > 3"))
    said = yard.deploy()
    assert said.code == 4, said.out + said.err
    assert "vars.count > 3" in said.data["reason"]
    assert yard.effects() == {}


def test_a_value_that_cannot_be_saved_fails_the_step_and_it_is_undone(yard: Yard) -> None:
    yard.runbook(yard.step("First", after="echo many", save={"count": "int(stdout)"}))
    said = yard.deploy()
    assert said.code == 4, said.out + said.err
    assert "int(stdout)" in said.data["reason"]
    assert yard.effects() == {}


def test_what_a_step_saves_the_next_one_may_use(yard: Yard) -> None:
    yard.runbook(
        yard.step("First", after="echo 41", save={"number": "int(stdout) + 1"}),
        yard.step("Second", before="test {{ saved.number }} = 42", when="saved.number == 42"),
    )
    assert yard.deploy().code == 0
    assert yard.effects() == {"First-here": 1, "Second-here": 1}


def test_a_step_is_tried_again_while_its_retry_lasts(yard: Yard) -> None:
    tries = yard.files.parent / "tries"
    run = f"echo x >> {tries}; test $(wc -l < {tries}) -ge 3; echo once >> {yard.place('First')}"
    yard.runbook({**yard.step("First", retry={"for": "20s", "every": "100ms"}), "run": run})
    said = yard.deploy()
    assert said.code == 0, said.out + said.err
    assert tries.read_text() == "x\n" * 3
    assert yard.effects() == {"First-here": 1}


def test_what_its_check_calls_done_is_neither_done_nor_undone(yard: Yard) -> None:
    yard.runbook(
        yard.step("First", check=f"test -e {yard.place('First')}"), yard.step("Last", after="false")
    )
    (yard.files / "First-here").write_text("mine\n")
    said = yard.deploy()
    assert said.code == 4, said.out + said.err
    assert yard.effects() == {"First-here": 1}


# --- people --------------------------------------------------------------------------------


def test_a_point_of_no_return_is_refused_without_a_yes(yard: Yard) -> None:
    step = {k: v for k, v in yard.step("Drop").items() if k != "undo"}
    yard.runbook(yard.step("First"), {**step, "irreversible": "the rows are gone"})
    said = yard.deploy()
    assert said.code == 3, said.out + said.err
    assert yard.effects() == {}
    said = yard.deploy("--yes")
    assert said.code == 0, said.out + said.err
    assert yard.effects() == {"First-here": 1, "Drop-here": 1}


def test_a_protected_target_is_refused_without_a_yes(yard: Yard) -> None:
    yard.inventory(protected=True)
    yard.runbook(yard.step("First"))
    assert yard.deploy().code == 3
    assert yard.effects() == {}
    assert yard.deploy("--yes").code == 0


# --- before the first change ---------------------------------------------------------------


def test_a_preflight_that_fails_refuses_and_leaves_nothing_open(yard: Yard) -> None:
    look = {"name": "Room", "run": "test -e ready", "readonly": True}
    yard.runbook(yard.step("First"), preflight=[{**look, "cwd": str(yard.files.parent)}])
    said = yard.deploy()
    assert said.code == 3, said.out + said.err
    assert said.data["outcome"] == "refused"
    assert yard.effects() == {}
    (yard.files.parent / "ready").touch()
    said = yard.deploy()
    assert said.code == 0, said.out + said.err


def test_an_interrupted_preflight_looks_again(yard: Yard) -> None:
    """What an earlier process saw is no proof of what is true now."""
    ready = yard.files.parent / "ready"
    looks = [
        {"name": "Ready", "run": f"test -e {ready}", "readonly": True},
        {"name": "Hold", "run": yard.hold(), "readonly": True, "on": "web"},
    ]
    ready.touch()
    yard.runbook(yard.step("First"), preflight=looks)
    process = yard.start()
    eventually(lambda: any(k == "end" for k, *_ in yard.records()), ignoring=(sqlite3.Error,))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ready.unlink()
    yard.let_go()
    said = yard.say("resume")
    assert said.code == 3, said.out + said.err
    assert yard.effects() == {}
    assert yard.say("resume").code == 3, "it was refused, and is closed"
    assert "no unfinished run" in yard.say("resume").data["error"]["what"]


def test_a_red_baseline_refuses(yard: Yard) -> None:
    yard.inventory(checks={"flag": flag(yard)})
    (yard.files / "flag").touch()
    yard.runbook(yard.step("First"))
    yard.good_release()
    (yard.files / "flag").unlink()
    said = yard.deploy()
    assert said.code == 3, said.out + said.err
    assert "flag" in said.data["error"]["what"]
    assert yard.effects() == {"First-here": 1}


def test_a_red_check_that_was_accepted_does_not_refuse_and_need_not_turn_green(yard: Yard) -> None:
    there = {"command": "true", "expect": ["exit_code == 0"]}
    yard.inventory(checks={"flag": flag(yard), "there": there})
    (yard.files / "flag").touch()
    yard.runbook(yard.step("First"))
    yard.good_release()
    (yard.files / "flag").unlink()
    yard.runbook(yard.step("Second"))
    assert yard.deploy("--accept-red", "flag").code == 0
    assert yard.effects() == {"First-here": 1, "Second-here": 1}


def test_a_check_that_fails_before_must_pass_after(yard: Yard) -> None:
    there = {"command": "true", "expect": ["exit_code == 0"]}
    yard.inventory(checks={"there": there})
    yard.runbook(yard.step("First"))
    yard.good_release()
    yard.inventory(checks={"there": there, "cured": flag(yard, "Cure-here", baseline="fails")})
    yard.runbook(yard.step("Placebo"))
    said = yard.deploy()
    assert said.code == 4, said.out + said.err
    assert "cured" in said.data["reason"]
    assert yard.effects() == {"First-here": 1}
    yard.runbook(yard.step("Cure"))
    said = yard.deploy()
    assert said.code == 0, said.out + said.err
    said = yard.deploy()
    assert said.code == 3, "it passes already: there is nothing to fix"
    assert yard.effects() == {"First-here": 1, "Cure-here": 1}


def test_a_first_deploy_records_a_red_baseline_and_requires_it_green_after(yard: Yard) -> None:
    yard.inventory(checks={"flag": flag(yard, "First-here")})
    yard.runbook(yard.step("First"))
    assert yard.deploy().code == 0
    assert yard.effects() == {"First-here": 1}


def test_a_first_deploy_that_fails_is_backed_out(yard: Yard) -> None:
    yard.inventory(checks={"flag": flag(yard, "never")})
    yard.runbook(yard.step("First"))
    said = yard.deploy()
    assert said.code == 4, said.out + said.err
    assert yard.effects() == {}
