"""The first stories: good, bad, and still good, over real SSH and a real systemd."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.dockerd import DockerEngine
from support.fleet import NAMES, RUNBOOK, Fleet, clean, git_daemon
from support.systemd_host import UNIT, SystemdBed, SystemdHost
from support.wait import eventually
from support.warm import Started


@pytest.fixture(scope="module")
def bed(
    docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SystemdBed]:
    with SystemdBed(docker_engine, tmp_path_factory.mktemp("fleet"), NAMES) as bed:
        yield bed


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with git_daemon(tmp_path_factory.mktemp("git") / "daemon.log") as url:
        yield url


@pytest.fixture
def fleet(bed: SystemdBed, daemon: str, tmp_path: Path) -> Fleet:
    """Three clean hosts."""
    for host in bed:
        clean(host)
    return Fleet(bed, tmp_path, daemon)


@pytest.fixture
def gated(fleet: Fleet) -> Iterator[Fleet]:
    """One release is deployed; the next one is left on a host once the host is let go."""
    fleet.good_release()
    gate = {"name": "Gate", "wait": {"until": "test -e /run/go", "for": "2m"}, "on": "web"}
    fleet.project.runbook("deploy", {**RUNBOOK, "settle": [*RUNBOOK["settle"], gate]})
    fleet.origin.good_change()
    yield fleet
    for host in fleet.bed:
        host.run("rm", "-f", "/run/go")


def begun(fleet: Fleet) -> Started:
    """A deploy that has come to the first host, and stays there until it is let go."""
    process = fleet.project.start("deploy", "--target", "prod", "--json")
    release = fleet.bed["web1"].app_directory / "RELEASE"
    eventually(lambda: release.read_text().strip() == str(fleet.origin.version))
    return process


def let_go(fleet: Fleet) -> None:
    for host in fleet.bed:
        host.run("touch", "/run/go")


def undo_override(host: SystemdHost) -> None:
    host.run("sh", "-c", "rm -r /run/systemd/system/*.service.d; systemctl daemon-reload")


def test_a_good_deploy_reaches_every_host_and_is_proved(fleet: Fleet) -> None:
    said = fleet.deploy()
    assert said.code == 0, said.out + said.err
    assert said.data["outcome"] == "succeeded"
    assert fleet.releases() == dict.fromkeys(NAMES, "1")
    assert fleet.project.say("status", "--target", "prod").code == 0


def test_the_second_of_three_hosts_fails_to_restart_and_all_three_are_back_and_healthy(
    fleet: Fleet,
) -> None:
    version = fleet.good_release()
    fleet.origin.good_change()
    script = "mkdir -p /run/systemd/system/gigz-api.service.d && printf "
    script += "'[Service]\\nExecStartPre=/bin/sh -c \"! grep -q %s /app/RELEASE\"\\n' "
    script += "> /run/systemd/system/gigz-api.service.d/fail.conf && systemctl daemon-reload"
    fleet.bed["web2"].run("sh", "-c", script % fleet.origin.version)
    said = fleet.deploy()
    fleet.bed["web2"].run(
        "sh", "-c", "rm -r /run/systemd/system/*.service.d; systemctl daemon-reload"
    )
    assert said.code == 4, said.out + said.err
    assert said.data["outcome"] == "backed_out"
    assert "web2: Restart failed" in said.data["reason"]
    assert fleet.releases() == dict.fromkeys(NAMES, version)


def test_a_crash_looping_service_that_systemctl_called_fine_is_not_a_success(fleet: Fleet) -> None:
    version = fleet.good_release()
    fleet.origin.bad_change("crash-later")
    said = fleet.deploy()
    assert said.code == 4, said.out + said.err
    assert fleet.releases() == dict.fromkeys(NAMES, version)
    touched = {step["host"] for step in said.data["steps"] if step["host"]}
    assert touched == {"web1"}, "the first batch failed, so the second never started"


def test_the_old_process_that_still_answers_is_not_a_success(fleet: Fleet) -> None:
    """The unit is replaced by one that starts a program which binds nothing, while an orphan of
    the old release keeps the port and answers 200."""
    version = fleet.good_release()
    fleet.origin.bad_change("never-bind")
    host = fleet.bed["web1"]
    script = f"""mkdir -p /run/systemd/system/{UNIT}.service.d
printf '[Service]\\nKillMode=none\\nTimeoutStopSec=1s\\nSendSIGKILL=no\\nExecStop=/bin/true\\n' \
> /run/systemd/system/{UNIT}.service.d/orphan.conf; systemctl daemon-reload"""
    host.run("sh", "-c", script)
    said = fleet.deploy()
    undo_override(host)
    assert said.code in (4, 5), said.out + said.err
    assert said.data["outcome"] != "succeeded"
    host.run("pkill", "-f", "/app/app.py")
    assert version


def test_a_host_unreachable_in_batch_two_means_that_batch_three_never_starts(gated: Fleet) -> None:
    fleet, version = gated, gated.release_on(gated.bed["web1"])
    fleet.project.inventory(
        "prod", fleet.inventory(rollout={"batches": [1, 1, 1], "soak": "600ms"})
    )
    process = begun(fleet)
    fleet.bed["web2"].run("systemctl", "kill", "--kill-whom=all", "-s", "KILL", "bed-sshd")
    fleet.bed["web2"].run("systemctl", "stop", "bed-sshd")
    let_go(fleet)
    out, err = process.communicate(timeout=120)
    fleet.bed["web2"].run("systemctl", "start", "bed-sshd")
    assert process.returncode in (4, 5), out + err
    assert fleet.release_on(fleet.bed["web3"]) == version
    stepped = {step["host"] for step in json.loads(out)["steps"]}
    assert "web3" not in stepped
    assert fleet.release_on(fleet.bed["web1"]) == version


def test_ctrl_c_in_the_middle_of_a_batch_backs_out(gated: Fleet) -> None:
    fleet, version = gated, gated.release_on(gated.bed["web1"])
    process = begun(fleet)
    process.send_signal(signal.SIGINT)
    let_go(fleet)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 4, out + err
    assert "interrupted by Ctrl-C" in out
    assert fleet.releases() == dict.fromkeys(NAMES, version)


def test_a_wrong_host_key_refuses_and_no_command_ran(fleet: Fleet, tmp_path: Path) -> None:
    fleet.good_release()
    known = tmp_path / "known_hosts"
    lines = fleet.bed.known_hosts.read_text().splitlines()
    other = lines[0].split(" ", 1)[1]
    lines[1] = f"{lines[1].split(' ', 1)[0]} {other}"
    known.write_text("\n".join(lines) + "\n")
    ssh = {**fleet.bed.inventory_ssh(), "known_hosts": str(known)}
    fleet.project.inventory("prod", fleet.inventory(ssh=ssh))
    fleet.origin.good_change()
    before = fleet.releases()
    said = fleet.deploy()
    assert said.code == 3, said.out + said.err
    assert "web2" in said.data["error"]["what"]
    assert fleet.releases() == before
    assert fleet.origin.git("status", "--porcelain"), "nothing was committed"


def test_two_deployers_at_once_and_one_of_them_gets_seven(gated: Fleet, tmp_path: Path) -> None:
    fleet = gated
    shutil.copytree(fleet.project.directory, tmp_path / "other")
    shutil.rmtree(tmp_path / "other" / ".backout")
    first = begun(fleet)
    fleet.project.directory = tmp_path / "other"
    second = fleet.project.say("deploy", "--target", "prod", "--json")
    let_go(fleet)
    out, err = first.communicate(timeout=120)
    assert (first.returncode, second.code) == (0, 7), out + err + second.out
    assert "web1" in second.data["error"]["what"]


def test_rollback_goes_back_to_the_last_known_good_release_on_every_host(fleet: Fleet) -> None:
    first = fleet.good_release()
    second = fleet.good_release()
    assert fleet.releases() == dict.fromkeys(NAMES, second)
    said = fleet.project.say("rollback", "--target", "prod", "--json")
    assert said.code == 0, said.out + said.err
    assert fleet.releases() == dict.fromkeys(NAMES, first)
    assert fleet.project.say("status", "--target", "prod").code == 0


def test_a_failing_undo_is_exit_five_and_says_which_host_is_in_which_state(fleet: Fleet) -> None:
    runbook = {
        "summary": "An undo that fails on one host.",
        "steps": [
            {
                "name": "Mark",
                "run": "touch /app/.backout/marked",
                "undo": "test {{ host.name }} != web2 && rm -f /app/.backout/marked",
                "on": "web",
            },
            {
                "name": "Fail at last",
                "run": "test {{ host.name }} != web3",
                "undo": "true",
                "on": "web",
            },
        ],
        "settle": [{"name": "Prove it", "verify": "all"}],
    }
    fleet.good_release()
    fleet.project.runbook("mark", runbook)
    said = fleet.project.say("run", "--runbook", "mark", "--target", "prod", "--json")
    assert said.code == 5, said.out + said.err
    hosts = said.data["hosts"]
    assert hosts["web1"]["state"] == "backed out"
    assert "NOT backed out" in hosts["web2"]["state"]
    assert "Mark" in hosts["web2"]["state"]
    assert "invoke resume --target prod" in said.data["next"]
