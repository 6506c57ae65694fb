"""Deploys of systemd units, on a host whose first process is systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.model import Host, Identity, Service
from backout.restarters.systemd import Systemd, SystemdOptions
from support import sample_app
from support.systemd_host import UNIT, SystemdBed, SystemdHost
from support.transports import Shell
from support.yard import Yard

FILE = f"/etc/systemd/system/{UNIT}.service"


@pytest.fixture
def host(systemd_bed: SystemdBed, yard: Yard) -> SystemdHost:
    """The host, as the target of a project."""
    yard.inventory(hosts=systemd_bed.inventory_hosts(), ssh=systemd_bed.inventory_ssh())
    host = systemd_bed["web1"]
    sample_app.wait_healthy(host.address, host.app_port, release="1")
    return host


def deploys(yard: Yard, host: SystemdHost, mark: str, name: str = UNIT) -> None:
    """A runbook that changes the unit's file."""
    service = {"name": name, "backend": "systemd", "port": host.app_port}
    yard.inventory(service=service)
    yard.runbook(
        {
            "name": "Change the unit",
            "run": f"cp {FILE} {FILE}.old; echo 'Environment=MARK={mark}' >> {FILE}",
            "undo": f"[ ! -e {FILE}.old ] || mv {FILE}.old {FILE}",
            "on": "all",
        },
        settle=[
            {"name": "Restart", "restart": {"within": "60s"}, "on": "all"},
            {"name": "Prove it", "verify": "all"},
        ],
    )


def mark(host: SystemdHost) -> str:
    """What the unit's process was started with."""
    pid = host.show("MainPID")["MainPID"]
    words = host.run("cat", f"/proc/{pid}/environ").stdout.split("\0")
    return next((word for word in words if word.startswith("MARK=")), "")


def test_a_changed_unit_file_is_loaded_and_so_is_the_old_one_again(
    host: SystemdHost, yard: Yard
) -> None:
    deploys(yard, host, "2")
    said = yard.deploy()
    assert said.code == 0, said.out
    assert mark(host) == "MARK=2"

    deploys(yard, host, "3")
    red = {"command": f"! grep -q MARK=3 {FILE}", "on": "all", "expect": ["exit_code == 0"]}
    yard.inventory(checks={"red": red})
    said = yard.deploy()
    assert said.code == 4, said.out
    assert mark(host) == "MARK=2"
    assert host.show("NeedDaemonReload")["NeedDaemonReload"] == "no"


def test_a_pattern_and_a_unit_that_nothing_brings_are_refused(
    host: SystemdHost, yard: Yard
) -> None:
    for name, kind in (("worker@*", "pattern"), ("gigz.target", "target")):
        deploys(yard, host, "2", name=name)
        said = yard.deploy()
        assert said.code == 2, said.out
        assert f"{name} is a {kind}: name one unit" in said.out

    deploys(yard, host, "2", name="nobody")
    yard.runbook(
        settle=[{"name": "Restart", "restart": {}, "on": "all"}, {"name": "Prove", "verify": "all"}]
    )
    said = yard.deploy()
    assert said.code == 3, said.out
    assert "no unit nobody.service" in said.out


@pytest.mark.parametrize(
    ("linger", "connection", "stands_in_the_way"),
    [("no", "ssh", True), ("yes", "ssh", False), ("no", "local", False), ("", "ssh", False)],
)
def test_a_users_unit_that_ends_with_our_session_is_no_service(
    linger: str, connection: str, stands_in_the_way: bool, tmp_path: Path
) -> None:
    seen = lingering(linger, connection, tmp_path)
    assert seen.up
    assert bool(seen.obstacle) is stands_in_the_way
    assert ("loginctl enable-linger" in seen.obstacle) is stands_in_the_way


def lingering(linger: str, connection: str, directory: Path) -> Identity:
    """What the backend says where loginctl says so; nothing where there is no logind."""
    answers = {
        "systemctl": "echo Id=api.service; echo LoadState=loaded; echo ActiveState=active;"
        " echo SubState=running; echo InvocationID=1; echo MainPID=1",
        "loginctl": f"[ -n '{linger}' ] || exit 1; echo '{linger}'",
    }
    for name, text in answers.items():
        (directory / name).write_text(f"#!/bin/sh\n{text}\n")
        (directory / name).chmod(0o755)
    options = SystemdOptions(scope="user")
    service = Service(name="api", backend="systemd", options=options)
    host = Host(name="web1", connection=connection)
    return Systemd(service, Shell(env={"PATH": f"{directory}:/usr/bin:/bin"}, host=host)).identity()
