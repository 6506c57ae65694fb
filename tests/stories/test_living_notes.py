"""A lease is not a clock: what is alive under its note on a host holds that host, and a run that is
half done holds all that it had."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from pathlib import Path

from backout.adapters.lease import LeaseLock
from backout.adapters.standings import standings
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.transports.ssh import connect
from backout.adapters.vault import Vault
from backout.model import Command, Host, Ssh
from support.sshd import SshdBed
from support.wait import eventually, throughout
from support.yard import Yard


def lock(bed: SshdBed, name: str) -> Path:
    return bed[name].home / ".backout" / "prod" / "lock"


def expire(bed: SshdBed) -> None:
    for name in ("web1", "web2"):
        (lock(bed, name) / "expires").write_text("1\n")


def test_a_dead_deployers_command_holds_its_host_until_it_is_ended_by_force(
    two: Yard, bed: SshdBed
) -> None:
    two.runbook(two.step("Slow", before=two.hold()))
    process = two.start()
    two.busy("Slow-web1")
    two.busy("Slow-web2")
    process.kill()
    process.communicate()
    run = (lock(bed, "web1") / "run").read_text().strip()
    other = two.elsewhere()
    other.runbook(other.step("New"))
    expire(bed)
    for said in (other.deploy(), other.say("unlock", "--yes")):
        assert said.code == 7, said.out + said.err
        for word in ("Slow", run, "process", "since 20", "web1"):
            assert word in said.out
    status = other.say("status")
    (row,) = status.data["hosts"]["web1"]["at_work"]
    assert (row["run"], row["step"]) == (run, "Slow")
    assert row["pid"] in bed["web1"].machine.processes()
    for name in ("web1", "web2"):
        shutil.rmtree(lock(bed, name))
    said = other.deploy()
    assert said.code == 7, "without a lease the command is alive all the same"
    assert run in said.data["error"]["what"]
    freed = other.say("unlock", "--force", "--yes")
    assert (freed.code, freed.data["freed"]) == (0, True), freed.out + freed.err
    assert {(each["host"], each["run"]) for each in freed.data["ended"]} == {
        ("web1", run),
        ("web2", run),
    }
    assert other.deploy().code == 0
    two.let_go()
    assert throughout(lambda: two.effects() == {"New-web1": 1, "New-web2": 1}, seconds=0.5)


def test_a_stopped_deployers_command_holds_its_host_and_the_run_goes_on_when_it_wakes(
    two: Yard, bed: SshdBed
) -> None:
    two.runbook(two.step("Slow", before=two.hold()), two.step("Last"))
    process = two.start()
    two.busy("Slow-web1")
    two.busy("Slow-web2")
    process.send_signal(signal.SIGSTOP)
    expire(bed)
    other = two.elsewhere()
    assert other.say("unlock", "--yes").code == 7
    assert other.deploy().code == 7
    two.let_go()
    eventually(lambda: two.exists("Slow-web1") and two.exists("Slow-web2"))
    eventually(lambda: not two.exists("Slow-web1.busy"))
    refused = other.say("unlock", "--yes")
    assert refused.code == 7, "the command renewed the lease when it ended"
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert two.effects() == {f"{s}-{h}": 1 for s in ("Slow", "Last") for h in ("web1", "web2")}


def half_done(two: Yard) -> None:
    """A deploy that was killed in the middle; what it was at has come to its end."""
    two.runbook(two.step("First"), two.step("Slow", before=two.hold()))
    process = two.start()
    two.busy("Slow-web1")
    two.busy("Slow-web2")
    process.kill()
    process.communicate()
    two.let_go()
    eventually(lambda: two.exists("Slow-web1") and two.exists("Slow-web2"))


def test_a_run_that_cannot_go_on_leaves_its_hosts_to_nobody(two: Yard, bed: SshdBed) -> None:
    half_done(two)
    other = two.elsewhere()
    other.runbook(other.step("Theirs"))
    theirs = lock(bed, "web2")
    run = (theirs / "run").read_text()
    (theirs / "run").write_text("theirs\n")
    assert two.say("resume").code == 7
    expire(bed)
    said = other.deploy()
    assert said.code == 7, said.out + said.err
    assert f"web1 for run {run.strip()}" in said.data["error"]["what"]
    (theirs / "run").write_text(run)
    assert two.say("abort").code == 4
    assert two.effects() == {}
    assert other.deploy().code == 0


def test_who_was_refused_before_any_change_stands_in_nobodys_way(two: Yard, bed: SshdBed) -> None:
    half_done(two)
    other = two.elsewhere()
    other.runbook(
        other.step("Theirs"), preflight=[{"name": "Never", "run": "false", "readonly": True}]
    )
    assert other.say("unlock", "--yes", "--force").code == 0
    assert other.deploy().code == 3
    assert two.say("abort").code == 4
    assert two.effects() == {}


def test_runs_on_different_hosts_of_one_target_meet(two: Yard, bed: SshdBed) -> None:
    two.runbook(two.step("Once", on=None, before=two.hold()), two.step("Each"))
    process = two.start("deploy", "--hosts", "web1")
    two.busy("Once")
    other = two.elsewhere()
    said = other.deploy("--hosts", "web2")
    assert said.code == 7, said.out + said.err
    two.let_go()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    bed["web2"].stop()
    try:
        said = two.deploy("--hosts", "web1")
    finally:
        bed["web2"].start()
    assert said.code == 0, said.out + said.err
    assert "web2 is not locked" in said.err
    assert not lock(bed, "web1").exists()


def test_a_host_without_a_channel_to_spare_is_held_by_the_command_and_nothing_is_missed(
    bed: SshdBed,
) -> None:
    bed["web1"].configure(MaxSessions=1)
    said: list[str] = []
    try:
        web1, seen = transports(bed, 2)
        with LeaseLock("prod", ttl=2, warn=said.append).hold([web1], "run-7"):
            go = bed["web1"].home / "go"
            command = Command(f"until [ -e {go} ]; do sleep 0.1; done", key="run-7/Slow")
            worker = threading.Thread(target=web1.run, args=(command,))
            worker.start()
            time.sleep(3.5)  # longer than the lease, and than two renewals
            (standing,) = standings([seen])
            assert [each.step for each in standing.living] == ["Slow"]
            go.touch()
            worker.join()
            eventually(lambda: not standings([seen])[0].expired, saying="a renewal")
            assert not standings([seen])[0].living
        assert said == []
    finally:
        for transport in (web1, seen):
            transport.close()
        bed["web1"].restore()


def transports(bed: SshdBed, count: int) -> list[ShellTransport]:
    given = Ssh.model_validate(
        {**bed.inventory_ssh(), "config": "/dev/null", "connect_timeout": 30}
    )
    host = Host.model_validate({"name": "web1", **bed.inventory_hosts()["web1"]})
    return [
        transport
        for _ in range(count)
        for transport in connect([host], given, lambda _: ".backout/one", Vault({}))
    ]
