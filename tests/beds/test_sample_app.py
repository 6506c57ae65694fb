"""The sample service behaves, and misbehaves, as it was deployed to."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support import sample_app
from support.ports import accepts, free_port
from support.process import Process
from support.sample_app import Behaviour
from support.wait import eventually, throughout

Start = Callable[[Behaviour], Process]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start(tmp_path: Path, port: int) -> Iterator[Start]:
    with ExitStack() as stack:

        def started(behaviour: Behaviour) -> Process:
            path = sample_app.write(tmp_path / "app", "2", behaviour, after=3.0)
            return stack.enter_context(sample_app.run(path, "127.0.0.1", port))

        yield started


def test_it_tells_its_release_and_process(start: Start, port: int) -> None:
    process = start("healthy")
    seen = sample_app.wait_healthy("127.0.0.1", port)
    assert seen == {"status": "ok", "release": "2", "pid": process.pid}


def test_a_release_file_beside_the_code_wins_over_the_codes_version(
    start: Start, port: int, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "RELEASE").write_text("42\n")
    start("healthy")
    assert sample_app.wait_healthy("127.0.0.1", port)["release"] == "42"


def test_a_running_process_keeps_telling_the_release_it_was_started_from(
    start: Start, port: int, tmp_path: Path
) -> None:
    start("healthy")
    sample_app.wait_healthy("127.0.0.1", port)
    sample_app.write(tmp_path / "app", "3")
    seen = sample_app.health("127.0.0.1", port)
    assert seen is not None
    assert seen["release"] == "2"


def test_a_crash_at_start_says_why(start: Start) -> None:
    process = start("crash-at-start")
    assert process.wait() == 1
    assert "boom: release 2 cannot start" in process.output()


def test_a_late_crash_comes_after_a_healthy_answer(start: Start, port: int) -> None:
    process = start("crash-later")
    assert sample_app.wait_healthy("127.0.0.1", port)
    assert process.wait() == 3


def test_a_broken_release_answers_500(start: Start, port: int) -> None:
    healthy = start("healthy")
    sample_app.wait_healthy("127.0.0.1", port)
    healthy.stop()
    start("error-500")
    status = _eventual_status(port)
    assert status == 500
    assert sample_app.health("127.0.0.1", port) is None


def test_a_hanging_release_accepts_and_never_answers(start: Start, port: int) -> None:
    start("hang")
    _wait_listening(port)
    with pytest.raises(TimeoutError):
        sample_app.ask("127.0.0.1", port, timeout=0.3)


def test_a_stubborn_release_survives_sigterm(start: Start, port: int) -> None:
    process = start("ignore-sigterm")
    sample_app.wait_healthy("127.0.0.1", port)
    os.kill(process.pid, signal.SIGTERM)
    assert throughout(lambda: process.running, seconds=0.3)
    process.stop(grace=0.1)
    assert process.exit_code == -signal.SIGKILL


def test_a_release_that_never_binds_runs_without_listening(start: Start, port: int) -> None:
    process = start("never-bind")
    assert throughout(lambda: process.running and not accepts("127.0.0.1", port), seconds=0.3)


def _wait_listening(port: int) -> None:
    eventually(lambda: accepts("127.0.0.1", port))


def _eventual_status(port: int) -> int:
    _wait_listening(port)
    return sample_app.ask("127.0.0.1", port)[0]
