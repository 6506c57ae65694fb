"""What a long command says is seen while it runs, and what cannot be seen is left out."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.project import Project
from support.sshd import SshdBed
from support.terminal import on_a_terminal
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

SECRET = "hunter2-of-the-night"
TALKS = """printf 'first\\nsecond '
echo "loading $TOKEN" >&2
printf '10%%\\r60%%\\r'
{wait}
printf 'half\\nno line end'
seq {lines} | sed 's/^/n/' """


BELOW_EACH = re.compile(r"(?:.── web\d\n.{4}└── .*Build it .*\n.{8}└── 60%\n?){3}")
"""How a terminal shows the last whole line of that step, on three hosts at once."""


@pytest.fixture
def fleet(fleet: Yard) -> Yard:
    """Three hosts and a secret."""
    fleet.project.env["TOKEN"] = SECRET
    fleet.inventory(secrets={"token": {"env": "TOKEN"}}, rollout={"batches": ["100%"], "soak": 0})
    return fleet


def talks(yard: Yard, wait: str, on: str | None, lines: int = 300) -> None:
    """One step that says much, and stands still in the middle until it may go on."""
    text = TALKS.format(wait=wait, lines=lines)
    env = {"TOKEN": "{{ secrets.token }}"}
    step = {"name": "Build it", "run": text, "undo": "true", "env": env}
    yard.runbook({**step, "on": on} if on else step)


@contextmanager
def begun(fleet: Yard, verb: str, *words: str) -> Iterator[Started]:
    """A verb at work, whose progress is read as it comes; it has two minutes."""
    process = fleet.start(verb, "--follow", *words)
    late = threading.Timer(120, process.kill)
    late.start()
    try:
        yield process
    finally:
        late.cancel()
        process.kill()
        process.communicate()


def progress(process: Started) -> Iterator[str]:
    assert process.stderr is not None
    yield from process.stderr


@pytest.mark.parametrize("on", ["web1", None], ids=["over-ssh", "here"])
def test_follow_tells_every_line_while_the_command_runs(fleet: Yard, on: str | None) -> None:
    talks(fleet, fleet.hold(), on, lines=30000)
    told: list[str] = []
    with begun(fleet, "deploy") as process:
        for line in progress(process):
            told.append(line.rstrip("\n"))
            if "| loading" in line:
                fleet.let_go()  # it was seen before the command's end
        assert process.wait(60) == 0
    said = [line.partition("| ")[2] for line in told if "| " in line]
    assert SECRET not in "".join(told)
    assert "loading [secret token]" in said
    said.remove("loading [secret token]")
    assert said[:3] == ["first", "half", "no line endn1"]
    assert said[3:] == [f"n{n}" for n in range(2, 30001)]
    assert all(re.match(rf"\d\d:\d\d:\d\dZ {'web1  ' if on else ''}\| ", line)
               for line in told if "| n" in line)  # fmt: skip


A_DEPLOY = """
import sys
from backout.tasks import main
sys.argv = ["backout", "deploy", "--target", "prod", "--yes", *{words!r}]
main()
"""


def test_a_terminal_shows_the_last_whole_line_below_the_step(fleet: Yard) -> None:
    talks(fleet, fleet.hold(), "web")
    with seen(fleet.project) as session:
        eventually(  # a picture may be half drawn
            lambda: BELOW_EACH.search("\n".join(session.screen.shown)),
            saying="each host's last line",
        )
        fleet.let_go()
        assert session.end() == 0
    assert SECRET not in session.screen.seen
    assert "60%" not in "\n".join(session.screen.shown)  # what has ended says nothing more


def seen(project: Project, *words: str) -> Any:
    """A deploy on a terminal."""
    program = f"import os; os.chdir({str(project.directory)!r})\n" + A_DEPLOY.format(words=words)
    return on_a_terminal(program, 100, NO_COLOR="1", TOKEN=SECRET, HOME=project.env["HOME"])


def test_nothing_is_fetched_where_nobody_looks(fleet: Yard, bed: SshdBed) -> None:
    talks(fleet, "sleep 1.5", "web1")
    before = sessions(bed)
    said = fleet.deploy()
    assert said.code == 0, said.err
    quiet = sessions(bed) - before
    talks(fleet, fleet.hold(), "web1")
    with begun(fleet, "deploy") as process:
        eventually(lambda: sessions(bed) - before > 3 * quiet, saying="that it is looked at")
        fleet.let_go()
        for _ in progress(process):  # to its end
            pass
        assert process.wait(60) == 0


def sessions(bed: SshdBed) -> int:
    """How many sessions the host's server has started."""
    return bed["web1"].log.count("Starting session")


@pytest.mark.parametrize("fault", ["one-session", "no-notes-to-read"])
def test_what_cannot_be_followed_is_deployed_all_the_same(
    fleet: Yard, bed: SshdBed, fault: str
) -> None:
    lost = 'rm -f "$HOME"/.backout/notes/*/*.out "$HOME"/.backout/*/notes/*/*.out'
    talks(fleet, "sleep 1.2" if fault == "one-session" else f"{lost}; sleep 1.2", "web1")
    if fault == "one-session":
        bed["web1"].configure(MaxSessions=1)
    try:
        said = fleet.deploy("--follow")
    finally:
        bed["web1"].restore()
    assert said.code == 0, said.err


def test_a_resumed_run_shows_what_still_runs(fleet: Yard) -> None:
    talk = f"echo began; {fleet.hold()}; echo over"
    fleet.runbook({"name": "Build it", "run": talk, "undo": "true", "on": "web1"})
    with begun(fleet, "deploy") as first:
        next(line for line in progress(first) if "| began" in line)
    told = []
    with begun(fleet, "resume", "--yes") as again:
        for line in progress(again):
            told.append(line)
            if "| began" in line:
                fleet.let_go()
        assert again.wait(60) == 0
    assert any("| over" in line for line in told)
