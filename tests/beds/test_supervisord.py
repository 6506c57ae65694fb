"""What supervisor says about programs, and what its exit codes hide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import sample_app
from support.ports import free_port
from support.sshd import SshdBed
from support.supervisord import Program, Supervisord


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def supervisord(bed_directory: Path, port: int) -> Iterator[Supervisord]:
    app = sample_app.write(bed_directory / "app")
    programs = [
        Program("gigz-api", sample_app.command(app), {"PORT": str(port)}),
        Program("crashy", ["/bin/sh", "-c", "exit 3"], options={"autostart": "false"}),
    ]
    with Supervisord(bed_directory / "supervisor", programs) as bed:
        yield bed


def test_a_restart_changes_the_process_and_loads_the_new_code(
    supervisord: Supervisord, bed_directory: Path, port: int
) -> None:
    supervisord.wait_state("gigz-api", "RUNNING")
    before = sample_app.wait_healthy("127.0.0.1", port)
    sample_app.write(bed_directory / "app", "2")
    assert supervisord.ctl("restart", "gigz-api").returncode == 0
    after = sample_app.wait_healthy("127.0.0.1", port, release="2")
    assert after["pid"] == supervisord.info("gigz-api")["pid"] != before["pid"]


def test_starting_a_program_that_dies_at_start_exits_7(supervisord: Supervisord) -> None:
    done = supervisord.ctl("start", "crashy")
    assert (done.returncode, done.stdout.strip()) == (7, "crashy: ERROR (spawn error)")


def test_an_unknown_name_exits_1_for_start(supervisord: Supervisord) -> None:
    assert supervisord.ctl("start", "nobody").returncode == 1


def test_status_of_one_unknown_program_exits_4(supervisord: Supervisord) -> None:
    assert supervisord.ctl("status", "nobody").returncode == 4


def test_a_program_in_backoff_is_seen_in_its_state(supervisord: Supervisord) -> None:
    supervisord.ctl("stop", "gigz-api")
    supervisord.directory.parent.joinpath("app", "app.py").write_text("raise SystemExit(3)\n")
    assert supervisord.ctl("start", "gigz-api").returncode == 7
    supervisord.wait_state("gigz-api", "FATAL")


def test_it_also_runs_inside_a_test_machine(sshd_bed: SshdBed) -> None:
    host = sshd_bed["web1"]
    port = free_port([host.address])
    app = sample_app.write(host.home / "app")
    service = Program("api", sample_app.command(app), {"HOST": host.address, "PORT": str(port)})
    with Supervisord(host.home / "supervisor", [service], machine=host.machine) as bed:
        assert sample_app.wait_healthy(host.address, port)["release"] == "1"
        restart = f"{bed.supervisorctl} -c {bed.config} restart api"
        assert sshd_bed.ssh("web1", restart).returncode == 0
