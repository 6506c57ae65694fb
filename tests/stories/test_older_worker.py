"""An older Backout beside newer ones: what it does not understand it leaves to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.postgres import Postgres
from support.team import Team
from support.wait import eventually
from support.yard import Yard

Plan = dict[str, Any]


@pytest.fixture
def team(tmp_path: Path, postgres: Postgres) -> Iterator[Team]:
    with Yard(tmp_path, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        yield Team(yard, postgres)


def a_key(plan: Plan) -> None:
    plan["runbook"]["of_tomorrow"] = 1


def a_kind(plan: Plan) -> None:
    plan["runbook"]["steps"][0]["kind"] = "of-tomorrow"


@pytest.mark.parametrize("tomorrow", [a_key, a_kind])
def test_a_run_that_an_older_worker_does_not_understand_is_left_as_it_is(
    team: Team, tomorrow: Callable[[Plan], None]
) -> None:
    team.yard.runbook(team.yard.step("First"))
    run = team.deploy()
    ((written,),) = team.sql(f"SELECT plan FROM backout.run WHERE id = '{run}'")
    plan = json.loads(written)
    tomorrow(plan)
    write(team, run, json.dumps(plan))
    before = hands(team, run)
    worker = team.worker()
    jobs = "SELECT id FROM backout_queue.procrastinate_jobs"
    eventually(lambda: not team.sql(jobs), within=120, saying="the bell was heard")
    worker.terminate()
    out, err = worker.communicate(timeout=120)
    assert worker.returncode == 0, out + err
    assert f"run {run} was planned by another version of Backout" in out + err
    assert hands(team, run) == before
    for verb in ("resume", "abort"):
        said = team.yard.say(verb, "--yes")
        assert said.code == 3, said.out + said.err
        assert "was planned by another version of Backout" in said.data["error"]["what"]
        assert said.data["error"]["next"].startswith("pip install --upgrade backout, then: ")
    assert (hands(team, run), team.yard.effects()) == (before, {})
    write(team, run, written)  # whoever understands it
    said = team.yard.say("resume", "--yes")
    assert (said.code, team.yard.effects()) == (0, {"First-here": 1}), said.out + said.err


def test_a_worker_beside_whom_a_newer_backout_has_brought_the_tables_up_takes_no_more(
    team: Team,
) -> None:
    team.rule(grace="10m")
    team.yard.runbook(team.yard.step("Slow", before=team.yard.hold()))
    run = team.deploy()
    worker = team.worker()
    team.yard.busy("Slow-here")
    team.sql("INSERT INTO backout.version (number, by) VALUES (9999, 'tomorrow')")
    stopping = "SELECT id FROM backout_queue.worker WHERE stopping"
    eventually(lambda: team.sql(stopping), within=120, saying="it takes no more")
    team.yard.let_go()
    out, err = worker.communicate(timeout=240)
    assert worker.returncode == 3, out + err
    assert "the ledger was written by a newer Backout" in out + err
    assert team.ended(run) == ("succeeded", 0)  # what it had begun


def write(team: Team, run: str, plan: str) -> None:
    team.sql(f"UPDATE backout.run SET plan = $plan${plan}$plan$ WHERE id = '{run}'")


def hands(team: Team, run: str) -> list[list[str]]:
    """In whose hands it is, and what is on record of it."""
    whose = f"SELECT epoch, driver, coalesce(outcome, '') FROM backout.run WHERE id = '{run}'"
    return [*team.sql(whose), team.kinds(run)]
