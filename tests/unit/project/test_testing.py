"""What ships for whoever tests a runbook or a plug-in: a sandbox in one process."""

from __future__ import annotations

import doctest
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from backout import ExitCode, Outcome, testing
from backout.commands.typed import program
from backout.testing import Sandbox

pytestmark = pytest.mark.usefixtures("unhurried")  # whole runs, if small ones
HOSTS = {"here": {"connection": "local"}}


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A flag that a check asks for, and a runbook that raises it."""
    sandbox = Sandbox(tmp_path, {"FLAG": "up"})
    well = {"command": "grep -qx up flag", "expect": ["exit_code == 0"], "baseline": "fails"}
    sandbox.inventory("prod", {"hosts": HOSTS, "checks": {"well": well}})
    step = {"name": "Raise it", "run": 'echo "$FLAG" >flag', "undo": "rm -f flag"}
    sandbox.runbook("deploy", {"summary": "A flag.", "steps": [step]})
    return sandbox


def test_the_example_in_its_docstring_runs() -> None:
    results = doctest.testmod(testing)
    assert (results.failed, results.attempted > 0) == (0, True)


def test_the_example_in_its_document_runs(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "testing.md").read_text()
    names: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)  # noqa: S102 - our own document
    names["test_a_red_check_takes_the_flag_away_again"](tmp_path)


def test_a_runbook_is_tested_from_its_proof_to_its_way_back(sandbox: Sandbox) -> None:
    flag = sandbox.directory / "flag"
    bad = sandbox.say("deploy", "--target", "prod", "--json", env={"FLAG": "down"})
    assert (bad.code, bad.outcome) == (ExitCode.BACKED_OUT, Outcome.BACKED_OUT), bad
    assert not flag.exists()
    good = sandbox.say("deploy", "--target", "prod", "--json")
    assert (good.code, good.outcome) == (ExitCode.DONE, Outcome.SUCCEEDED), good
    assert flag.read_text() == "up\n"
    assert "Raise it" in sandbox.say("plan", "--target", "prod").out


def test_what_to_type_next_is_as_that_call_was_typed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the process began that it is made in, and was called before."""
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python3/pytest/__main__.py"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "pytest"])
    program.cache_clear()
    assert program().invoke == "python -m pytest"
    said = sandbox.say("resume", "--target", "prod")
    assert "pytest" not in said.err
    assert "next:  backout " in said.err


def test_a_mistake_is_said_as_on_the_command_line(sandbox: Sandbox) -> None:
    sandbox.runbook("deploy", {"summary": "A flag.", "steps": [{"name": "Raise it", "rum": "x"}]})
    said = sandbox.say("lint")
    assert said.code is ExitCode.MISTAKE
    assert (
        "deploy.yaml:4 steps[0].rum: unknown key 'rum'; did you mean 'run'?" in said.out + said.err
    )


def test_the_process_is_as_before_afterwards(sandbox: Sandbox) -> None:
    def state() -> tuple[object, ...]:
        minded = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        streams = sys.stdin, sys.stdout, sys.stderr
        return Path.cwd(), dict(os.environ), sys.argv, streams, minded, threading.active_count()

    before = state()
    assert sandbox.say("deploy", "--target", "nowhere").code is ExitCode.MISTAKE
    assert sandbox.say("deploy", "--target", "prod").code is ExitCode.DONE
    assert state() == before
