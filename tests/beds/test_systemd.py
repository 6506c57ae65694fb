"""What systemd says about services, and what its exit codes hide."""

from __future__ import annotations

from support import sample_app
from support.systemd_host import UNIT, SystemdBed
from support.wait import eventually


def test_a_restart_loads_the_deployed_code_in_a_new_process(systemd_bed: SystemdBed) -> None:
    host = systemd_bed["web1"]
    before = sample_app.wait_healthy(host.address, host.app_port, release="1")
    identity = host.show("InvocationID", "MainPID")
    host.deploy("2")
    assert systemd_bed.ssh("web1", f"systemctl restart {UNIT}").returncode == 0
    after = sample_app.wait_healthy(host.address, host.app_port, release="2")
    seen = host.show("InvocationID", "MainPID")
    assert seen["InvocationID"] != identity["InvocationID"]
    assert seen["MainPID"] == str(after["pid"]) != str(before["pid"])


def test_restart_returns_0_for_a_service_that_dies_at_start(systemd_bed: SystemdBed) -> None:
    host = systemd_bed["web1"]
    host.deploy("2", "crash-at-start")
    assert host.run("systemctl", "restart", UNIT).returncode == 0
    eventually(lambda: host.show("ActiveState")["ActiveState"] == "failed", every=0.15)
    seen = host.show("SubState", "NRestarts", "MainPID")
    assert seen["MainPID"] == "0"
    assert int(seen["NRestarts"]) >= 4
    assert "boom" in host.run("journalctl", "-u", UNIT, "--no-pager").stdout
    refused = host.run("systemctl", "start", UNIT)
    assert refused.returncode == 1, "the start limit"
    host.deploy("3")
    assert host.run("systemctl", "reset-failed", UNIT).returncode == 0
    assert host.run("systemctl", "start", UNIT).returncode == 0
    sample_app.wait_healthy(host.address, host.app_port, release="3")


def test_unknown_and_inactive_units_have_exit_codes_of_their_own(systemd_bed: SystemdBed) -> None:
    host = systemd_bed["web1"]
    assert host.run("systemctl", "restart", "nobody.service").returncode == 5
    host.run("systemctl", "stop", UNIT)
    assert host.run("systemctl", "is-active", UNIT).returncode == 3


def test_a_transient_timer_fires(systemd_bed: SystemdBed) -> None:
    host = systemd_bed["web1"]
    timer = ["systemd-run", "--on-active=100ms", "--timer-property=AccuracySec=10ms"]
    assert host.run(*timer, "touch", "/root/fired").returncode == 0
    eventually(lambda: host.run("test", "-e", "/root/fired").returncode == 0)


def test_a_power_cut_host_boots_again_with_its_service(systemd_bed: SystemdBed) -> None:
    host = systemd_bed["web1"]
    sample_app.wait_healthy(host.address, host.app_port)
    host.power_cut()
    assert sample_app.health(host.address, host.app_port) is None
    host.power_on()
    sample_app.wait_healthy(host.address, host.app_port)
