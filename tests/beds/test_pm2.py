"""What PM2 says about applications, and what its exit codes hide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import sample_app
from support.pm2 import Pm2
from support.ports import free_port


@pytest.fixture(scope="module")
def pm2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pm2]:
    with Pm2(tmp_path_factory.mktemp("pm2")) as bed:
        yield bed


def test_a_restart_loads_new_code_in_a_new_process(pm2: Pm2, tmp_path: Path) -> None:
    port = free_port()
    script = sample_app.write(tmp_path)
    assert pm2.start_app("api", script, env={"PORT": str(port)}).returncode == 0
    before = sample_app.wait_healthy("127.0.0.1", port)
    sample_app.write(tmp_path, "2")
    assert pm2.run("restart", "api").returncode == 0
    after = sample_app.wait_healthy("127.0.0.1", port, release="2")
    seen = pm2.process("api")
    assert seen["pid"] == after["pid"] != before["pid"]
    assert seen["pm2_env"]["restart_time"] == 1


def test_a_crash_looper_starts_with_exit_code_0_and_ends_errored(pm2: Pm2, tmp_path: Path) -> None:
    script = sample_app.write(tmp_path, behaviour="crash-later", after=0.3)
    often = {"max_restarts": 3, "min_uptime": "1m"}  # however slowly it comes to its end
    port = {"PORT": str(free_port())}
    place = tmp_path / "looper.config.js"
    config = pm2.ecosystem(place, name="looper", script=str(script), env=port, **often)
    started = pm2.run("start", str(config))
    assert started.returncode == 0
    assert "online" in started.stdout
    pm2.wait_status("looper", "errored")
    assert pm2.process("looper")["pid"] == 0
    assert pm2.run("restart", "looper").returncode == 0


def test_an_application_that_never_binds_is_online(pm2: Pm2, tmp_path: Path) -> None:
    script = sample_app.write(tmp_path, behaviour="never-bind")
    config = pm2.ecosystem(
        tmp_path / "silent.config.js",
        name="silent",
        script=str(script),
        wait_ready=True,
        listen_timeout=300,
    )
    assert pm2.run("start", str(config)).returncode == 0
    assert pm2.status("silent") == "online"


def test_the_pid_of_an_unknown_application_is_empty_with_exit_code_0(pm2: Pm2) -> None:
    done = pm2.run("pid", "nobody")
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_restart_of_an_unknown_application_exits_1(pm2: Pm2) -> None:
    assert pm2.run("restart", "nobody").returncode == 1


def test_a_restart_keeps_the_old_environment_unless_told_and_jlist_shows_it_in_clear(
    pm2: Pm2, tmp_path: Path
) -> None:
    script = sample_app.write(tmp_path)
    pm2.start_app("env", script, env={"PORT": str(free_port()), "COLOUR": "old-value"})
    pm2.run("restart", "env", env={"COLOUR": "new-value"})
    assert pm2.process("env")["pm2_env"]["COLOUR"] == "old-value"
    pm2.run("restart", "env", "--update-env", env={"COLOUR": "new-value"})
    assert pm2.process("env")["pm2_env"]["COLOUR"] == "new-value"


def test_a_dead_daemon_greets_before_the_json_of_jlist(pm2: Pm2) -> None:
    pm2.run("kill")
    greeted = pm2.run("jlist").stdout
    assert not greeted.startswith("[")
    assert pm2.run("jlist").stdout.startswith("[")
