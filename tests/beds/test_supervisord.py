"""What supervisor says about programs, and what its exit codes hide."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import sample_app
from support.ports import free_port
from support.sshd import SshdBed
from support.supervisord import Program, Supervisord


@dataclass(frozen=True)
class Bed:
    """A supervisord that runs the sample service, and the service's place."""

    supervisord: Supervisord
    code: Path
    port: int


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bed-", dir="/tmp") as name:
        app = sample_app.write(Path(name) / "app")
        dies = ["/bin/sh", "-c", "exit 3"]
        options = {"autostart": "false", "startretries": "1", "startsecs": "10"}
        programs = [
            Program("gigz-api", sample_app.command(app), {"PORT": str(port)}),
            Program("crashy", dies, options=options),
            Program("looper", dies, options={**options, "startretries": "3"}),
        ]
        with Supervisord(Path(name) / "supervisor", programs) as supervisord:
            yield Bed(supervisord, app.parent, port)


def test_a_restart_changes_the_process_and_loads_the_new_code(bed: Bed) -> None:
    bed.supervisord.wait_state("gigz-api", "RUNNING")
    before = sample_app.wait_healthy("127.0.0.1", bed.port)
    sample_app.write(bed.code, "2")
    assert bed.supervisord.ctl("restart", "gigz-api").returncode == 0
    after = sample_app.wait_healthy("127.0.0.1", bed.port, release="2")
    assert after["pid"] == bed.supervisord.info("gigz-api")["pid"] != before["pid"]


def test_starting_a_program_that_dies_at_start_exits_7(bed: Bed) -> None:
    done = bed.supervisord.ctl("start", "crashy")
    assert (done.returncode, done.stdout.strip()) == (7, "crashy: ERROR (spawn error)")


def test_status_exits_0_while_a_program_is_in_backoff(bed: Bed) -> None:
    bed.supervisord.begin("looper")
    bed.supervisord.wait_state("looper", "BACKOFF")
    assert bed.supervisord.ctl("status", "looper").returncode == 0
    bed.supervisord.wait_state("looper", "FATAL")
    assert bed.supervisord.ctl("status", "looper").returncode == 3


def test_an_unknown_name_has_exit_codes_of_its_own(bed: Bed) -> None:
    assert bed.supervisord.ctl("start", "nobody").returncode == 1
    assert bed.supervisord.ctl("status", "nobody").returncode == 4


def test_it_also_runs_inside_a_test_machine(sshd_bed: SshdBed) -> None:
    host = sshd_bed["web1"]
    port = free_port([host.address])
    app = sample_app.write(host.home / "app")
    service = Program("api", sample_app.command(app), {"HOST": host.address, "PORT": str(port)})
    with Supervisord(host.home / "supervisor", [service], machine=host.machine) as inner:
        assert sample_app.wait_healthy(host.address, port)["release"] == "1"
        restart = f"{inner.supervisorctl} -c {inner.config} restart api"
        assert sshd_bed.ssh("web1", restart).returncode == 0
