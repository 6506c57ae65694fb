"""A run followed from another terminal or another machine: the same lines, the same end."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support import warm
from support.journals import empty_ledger
from support.postgres import Postgres
from support.terminal import Session
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

TYPED = """
sys.argv = ["backout", "follow", "--target", "prod"]
os.chdir({directory!r})
from backout.tasks import main
main()
"""


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with Yard(tmp_path, rollout={"batches": ["100%"], "soak": 0}) as yard:
        yield yard


def slow(yard: Yard, *, fails: bool = False) -> Started:
    """A deploy that is at its second step."""
    after = "false" if fails else ""
    yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold(), after=after))
    started = yard.start()
    yard.busy("Slow-here")
    return started


def lines(said: str) -> list[str]:
    """What happened, without what only whoever was there saw."""
    return [
        line
        for line in said.splitlines()
        if re.match(r"\d\d:\d\d:\d\dZ", line) and "still running" not in line
    ]


def follow(yard: Yard) -> tuple[Started, str]:
    """Somebody who follows, and the first line that they saw."""
    started = yard.start("follow")
    assert started.stderr is not None
    return started, started.stderr.readline()


def test_another_terminal_shows_the_same_lines_and_ends_as_the_run_does(yard: Yard) -> None:
    owner = slow(yard, fails=True)
    other, first = follow(yard)
    yard.let_go()
    (out, err), (followed, seen) = owner.communicate(60), other.communicate(60)
    assert (owner.returncode, other.returncode) == (4, 4), seen
    assert lines(first + seen) == lines(err)
    assert any("Slow … failed" in line for line in lines(seen))
    assert followed == out
    # It is all there afterwards, too, under the run's name.
    (run,) = yard.project.say("history", "--json").data["runs"]
    again = yard.project.say("follow", run["run"][:-3], "--json")
    assert (again.code, lines(again.err)) == (4, lines(err))


def test_without_a_run_there_is_nothing_to_follow_and_no_file_is_left(yard: Yard) -> None:
    said = yard.say("follow")
    assert (said.code, said.data["error"]["what"]) == (3, "prod has no open run")
    assert yard.project.say("follow", "20260101", "--json").code == 2
    assert not yard.project.state.exists()


def shows(at: Session, words: str) -> None:
    eventually(lambda: words in "\n".join(at.screen.shown), saying=words)


def test_ctrl_c_asks_and_leaves_it_running_or_stops_it_and_that_is_on_record(yard: Yard) -> None:
    owner = slow(yard)
    program = TYPED.format(directory=str(yard.project.directory))
    env = {**yard.project.env, "BACKOUT_PERSON": "bob", "PATH": os.environ["PATH"]}
    for answer, code in (("", 8), ("stop", 4)):
        at = Session(program, 100, env, echo=True)
        shows(at, "Slow")
        at.process.send_signal(signal.SIGINT)
        shows(at, "type stop")
        at.type(f"{answer}\n")
        if answer:
            eventually(
                lambda: any(kind == "stop" for kind, _, _ in yard.records()),
                saying="the wish",
            )
            yard.let_go()
        assert at.end() == code, at.screen.shown
    out, _ = owner.communicate(60)
    assert owner.returncode == 4, out
    assert "the deploy of prod goes on" not in out
    (why,) = [body["why"] for kind, _, body in yard.records() if kind == "stop"]
    assert why.startswith("stopped by bob (")
    assert yard.effects() == {}


def test_a_follower_without_a_terminal_leaves_it_running(yard: Yard) -> None:
    owner = slow(yard)
    other, _ = follow(yard)
    other.send_signal(signal.SIGINT)
    out, _ = other.communicate(60)
    assert other.returncode == 8
    assert "the deploy of prod goes on" in out
    yard.let_go()
    owner.communicate(60)
    assert owner.returncode == 0


def test_an_owner_that_was_killed_is_told_as_gone_with_what_to_type(yard: Yard) -> None:
    owner = slow(yard)
    known = sqlite3.connect(yard.project.state / "journal.db")
    with closing(known):
        told = "SELECT count(*) FROM told WHERE body LIKE '%First%'"
        eventually(lambda: known.execute(told).fetchone()[0] >= 2, saying="it is told")
    owner.kill()
    owner.communicate()
    said = yard.say("follow")
    yard.let_go()
    assert said.code == 8
    error = said.data["error"]
    assert "its process on this machine is gone" in error["what"]
    assert error["next"].startswith("invoke resume --target prod")
    assert any("First" in line for line in lines(said.err))


@pytest.fixture
def team(yard: Yard, postgres: Postgres) -> Yard:
    (yard.project.directory / "backout.yaml").write_text("ledger: {secret: TEAM_LEDGER}\n")
    yard.project.env["TEAM_LEDGER"] = empty_ledger(postgres)
    return yard


SOON = """
import sys
import backout.commands.follow
backout.commands.follow.STILL = 1.5
sys.argv[0] = "invoke"
from backout.tasks import main
main()
"""


def test_from_another_machine_it_is_followed_through_the_ledger_and_a_dead_owner_seems_dead(
    team: Yard,
) -> None:
    other = team.elsewhere()
    other.project.env.update(team.project.env)
    owner = slow(team)
    follower, first = follow(other)
    team.let_go()
    (_, err), (_, seen) = owner.communicate(60), follower.communicate(60)
    assert (owner.returncode, follower.returncode) == (0, 0), seen
    assert lines(first + seen) == lines(err)

    (team.files.parent / "go").unlink()
    owner = slow(team)
    owner.kill()
    owner.communicate()
    out = warm.run(
        ("follow", "--target", "prod", "--json"),
        other.project.directory,
        other.project.env,
        60,
        (sys.executable, "-c", SOON),
    )
    assert out[0] == 8, out
    assert "has given no sign of life" in out[1]
