"""The systemd backend on hosts whose first process is systemd."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from backout.model import Host, Identity, Service, State
from backout.restarters.systemd import Systemd, SystemdOptions
from support import sample_app
from support.dockerd import DockerEngine
from support.systemd_host import UNIT, SystemdBed, SystemdHost
from support.tools import program
from support.transports import Shell
from support.wait import eventually


class Bed(NamedTuple):
    host: SystemdHost
    restarter: Callable[..., Systemd]


@pytest.fixture
def bed(docker_engine: DockerEngine, systemd_bed: SystemdBed) -> Bed:
    host = systemd_bed["web1"]
    inside = [program("docker"), "exec", host.container]
    transport = Shell(
        inside=inside, env=docker_engine.environment, host=Host(name="web1", address=host.address)
    )

    def restarter(name: str = UNIT, port: int | None = host.app_port) -> Systemd:
        service = Service(name=name, backend="systemd", port=port, options=SystemdOptions())
        return Systemd(service, transport)

    sample_app.wait_healthy(host.address, host.app_port, release="1")
    return Bed(host, restarter)


def up(restarter: Systemd) -> Identity:
    identity = eventually(lambda: (seen := restarter.identity()).up and seen, saying="up")
    assert identity
    return identity


def test_a_restart_changes_the_identity_and_looking_does_not(bed: Bed) -> None:
    restarter = bed.restarter()
    before = up(restarter)
    assert restarter.identity().value == before.value
    assert before.restarts == 0
    assert before.uptime is not None
    assert 0 <= before.uptime < 600

    assert restarter.restart("run.restart").state is State.DONE

    after = up(restarter)
    assert after.value != before.value
    assert bed.host.show("InvocationID")["InvocationID"] in after.value


def test_a_crash_looper_restarts_fine_and_is_counted(bed: Bed) -> None:
    restarter = bed.restarter()
    bed.host.deploy("2", "crash-at-start")
    assert restarter.restart("run.restart").exit_code == 0

    counted = eventually(lambda: restarter.identity().restarts, saying="a restart by itself")
    assert counted
    eventually(lambda: "failed" in restarter.identity().detail, saying="giving up")
    identity = restarter.identity()
    assert (identity.up, identity.value, identity.known) == (False, "", True)
    assert "boom: release 2 cannot start" in restarter.logs(50)


def test_the_start_limit_does_not_stand_in_the_way_of_a_restart(bed: Bed) -> None:
    restarter = bed.restarter()
    bed.host.deploy("2", "crash-at-start")
    restarter.restart("run.restart")
    eventually(lambda: "failed" in restarter.identity().detail, saying="giving up")
    assert bed.host.run("systemctl", "restart", UNIT).returncode == 1
    bed.host.deploy("1")
    assert restarter.restart("run.again").state is State.DONE
    assert up(restarter).restarts == 0


def test_an_orphan_that_holds_the_port_is_not_the_service(bed: Bed) -> None:
    restarter = bed.restarter()
    restarter.stop("run.stop")
    variables = [f"--setenv=HOST={bed.host.address}", f"--setenv=PORT={bed.host.app_port}"]
    orphan = ["/usr/bin/python3", "-S", "/app/app.py"]
    assert bed.host.run("systemd-run", "--unit=orphan", *variables, *orphan).returncode == 0
    sample_app.wait_healthy(bed.host.address, bed.host.app_port, release="1")
    bed.host.deploy("2", "never-bind")

    assert restarter.restart("run.restart").state is State.DONE

    identity = restarter.identity()
    assert not identity.up
    assert identity.value
    assert f"port {bed.host.app_port} is held by process" in identity.detail
    assert bed.restarter(port=None).identity().up


def test_a_daemon_that_listened_before_it_had_its_main_process_is_the_service(bed: Bed) -> None:
    restarter, host = bed.restarter(), bed.host
    start = "/usr/bin/python3 -S /app/app.py & sleep 1; sleep 600 & echo $$! >/run/daemon.pid"
    service = f"""\
[Service]
Type=forking
PIDFile=/run/daemon.pid
ExecStart=
ExecStart=/bin/sh -c '{start}'
"""
    folder = f"/etc/systemd/system/{UNIT}.service.d"
    script = f'mkdir -p {folder}; printf %s "$1" >{folder}/a.conf; systemctl daemon-reload'
    assert host.run("sh", "-c", script, "sh", service).returncode == 0

    for key in ("run.setup", "run.restart"):
        assert restarter.restart(key).state is State.DONE
        assert host.show("MainPID")["MainPID"] != "0"
        up(restarter)


SHARING = """\
import os, socket
door = socket.socket(fileno=3)
while True: door.accept()[0].close()
"""


@pytest.mark.parametrize("shared", [False, True])
def test_what_outlives_a_restart_in_the_units_own_group_is_not_the_service(
    bed: Bed, *, shared: bool
) -> None:
    """`KillMode=process` ends the main process alone. What that had started serves on, in the same
    control group, and keeps the new one from the port, or shares its socket."""
    restarter, host = bed.restarter(), bed.host
    program = "-S -c '$code'" if shared else "-S /app/app.py"
    serve = f"while :; do /usr/bin/python3 {program}; sleep 0.1; done".replace("'$code'", '"$CODE"')
    code = SHARING.replace("\n", r"\n")
    service = f"""\
[Service]
KillMode=process
Environment="CODE={code}"
ExecStart=
ExecStart=/bin/sh -c '{serve}'
"""
    door = f"[Socket]\nListenStream={host.address}:{host.app_port}\n"
    units = "/etc/systemd/system"
    script = f"""\
mkdir -p {units}/{UNIT}.service.d; printf %s "$1" >{units}/{UNIT}.service.d/a.conf
systemctl stop {UNIT}
if [ {shared} = True ]; then printf %s "$2" >{units}/{UNIT}.socket; fi
systemctl daemon-reload
if [ {shared} = True ]; then systemctl start {UNIT}.socket; fi
"""
    assert host.run("sh", "-c", script, "sh", service, door).returncode == 0
    assert restarter.restart("run.setup").state is State.DONE
    before = up(restarter)

    assert restarter.restart("run.restart").state is State.DONE

    seen = restarter.identity()
    assert seen.value
    assert seen.value != before.value
    assert not seen.up
    assert "which was left over from before its start" in seen.detail
    left = seen.obstacle.partition("kill ")[2].partition(";")[0]
    host.run("kill", left)
    up(restarter)


def test_an_unknown_unit_is_not_known(bed: Bed) -> None:
    restarter = bed.restarter("nobody")
    identity = restarter.identity()
    assert (identity.up, identity.known) == (False, False)
    assert identity.detail == "no unit nobody.service"
    assert restarter.restart("run.restart").exit_code == 5
    assert restarter.find() == ()


UNITS = {
    "job": "Type=oneshot\nExecStart=/bin/true",
    "setup": "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true",
    "spoiled": "ExecStart=/bin/sleep 600",
    "hidden": "ExecStart=/bin/sleep 600",
    "worker@": "ExecStart=/bin/sleep 600",
}


def test_what_keeps_a_unit_from_a_restart_is_said_beforehand(bed: Bed) -> None:
    """Also of one that runs on: systemd would refuse to start it again."""
    files = "/etc/systemd/system"
    text = "".join(f"printf '[Service]\n{u}\n' >{files}/{n}.service\n" for n, u in UNITS.items())
    lame = f"echo Nonsense >>{files}/spoiled.service; echo 'ExecStart=x' >>{files}/spoiled.service"
    mask = f"ln -sf /dev/null {files}/hidden.service"
    for script in (
        f"{text}systemctl daemon-reload; systemctl start setup spoiled hidden worker@1",
        f"{lame}; {mask}; systemctl daemon-reload",
    ):
        assert bed.host.run("sh", "-c", script).returncode == 0

    def seen(name: str) -> Identity:
        return bed.restarter(name, None).identity()

    assert "it is a oneshot, which ends by itself" in seen("job").obstacle
    for name, words in (("spoiled", "(bad-setting)"), ("hidden", "systemctl unmask hidden")):
        assert seen(name).runs
        assert words in seen(name).obstacle
        assert bed.restarter(name, None).restart("run.restart").state is State.FAILED
        assert seen(name).runs
    for name in ("setup", "worker@1"):
        before = seen(name)
        assert before.up
        assert not before.obstacle
        assert bed.restarter(name, None).restart("run.restart").state is State.DONE
        assert seen(name).value != before.value
    assert seen("worker@").runs is None, "a template is no unit"


def test_a_stopped_unit_is_known_and_stopping_again_is_fine(bed: Bed) -> None:
    restarter = bed.restarter()
    assert restarter.stop("run.stop").state is State.DONE
    assert restarter.stop("run.stop").state is State.DONE
    identity = restarter.identity()
    assert (identity.up, identity.value, identity.known) == (False, "", True)
    assert identity.detail == "inactive (dead)"


def test_it_is_found_by_name(bed: Bed) -> None:
    assert bed.restarter().find() == ({"backend": "systemd", "name": UNIT},)


def test_a_machine_without_systemd_knows_nothing() -> None:
    service = Service(name=UNIT, backend="systemd", options=SystemdOptions())
    identity = Systemd(service, Shell(env={"PATH": "/nowhere"})).identity()
    assert (identity.up, identity.known) == (False, False)
    assert "systemctl" in identity.detail


def test_a_drop_in_changes_the_definition_and_no_unit_has_none(bed: Bed) -> None:
    restarter = bed.restarter()
    before = restarter.definition()["unit"] or ""
    assert f"{UNIT}" in before
    folder = f"/etc/systemd/system/{UNIT.removesuffix('.service')}.service.d"
    drop_in = f"printf '[Service]\\nNice=5\\n' > {folder}/a.conf"
    bed.host.run("sh", "-c", f"mkdir -p {folder} && {drop_in}")
    try:
        bed.host.run("systemctl", "daemon-reload")
        assert "Nice=5" in (restarter.definition()["unit"] or "").splitlines()
    finally:
        bed.host.run("rm", "-r", folder)
        bed.host.run("systemctl", "daemon-reload")
    assert restarter.definition()["unit"] == before
    assert bed.restarter("nobody.service").definition() == {"unit": None}
