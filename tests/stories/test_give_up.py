"""A run whose undo can never succeed, and a person who put things right by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.project import Project

HOPELESS = {
    "summary": "A step whose way back leads nowhere.",
    "steps": [
        {"name": "Mark", "run": "true", "undo": "false", "on": "all"},
        {"name": "Fail", "run": "false", "undo": "true", "on": "all"},
    ],
    "settle": [{"name": "Prove it", "verify": "all"}],
}


def project(directory: Path) -> Project:
    made = Project(directory)
    made.inventory(
        "prod",
        {
            "hosts": {"here": {"connection": "local"}},
            "checks": {"there": {"command": "true", "expect": ["exit_code == 0"]}},
        },
    )
    made.runbook("hopeless", HOPELESS)
    return made


def test_unlock_with_force_gives_the_run_up_and_the_target_is_free_again(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    words = ("run", "--runbook", "hopeless", "--target", "prod")
    assert made.say(*words).code == 5
    assert made.say("resume", "--target", "prod").code == 5
    assert made.say(*words).code == 7
    assert made.say("unlock", "--target", "prod", "--yes").code == 7
    freed = made.say("unlock", "--target", "prod", "--force", "--yes", "--json")
    assert (freed.code, freed.data["freed"]) == (0, True)
    past = made.say("history", "--json").data["runs"][0]
    assert (past["run"], past["outcome"]) == (freed.data["given_up"], "backout_incomplete")
    assert made.say("resume", "--target", "prod").code == 3
    made.runbook("fine", {**HOPELESS, "steps": [{"name": "Fine", "run": "true", "undo": "true"}]})
    assert made.say("run", "--runbook", "fine", "--target", "prod").code == 0


def test_what_a_power_cut_left_of_the_lease_is_removed_and_the_run_goes_on(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    assert made.say("run", "--runbook", "hopeless", "--target", "prod").code == 5
    (lease,) = made.state.rglob("lock")
    shutil.rmtree(lease)
    lease.mkdir()
    (lease / "since").write_text("1700000000\n")
    refused = made.say("resume", "--target", "prod")
    assert (refused.code, "invoke unlock --target prod" in refused.err) == (7, True), refused.err
    freed = made.say("unlock", "--target", "prod", "--yes")
    assert freed.code == 0, freed.out + freed.err
    assert "prod was held by a run that a power cut left no name of, and is free now." in freed.out
    assert "invoke resume --target prod" in freed.out, "the run has its way back still"
    assert made.say("resume", "--target", "prod").code == 5
    refused = made.say("unlock", "--target", "prod", "--yes")
    assert refused.code == 7, "now it is the run's own again"


def test_without_a_yes_nothing_is_given_up(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    made.say("run", "--runbook", "hopeless", "--target", "prod")
    assert made.say("unlock", "--target", "prod", "--force").code == 3
    assert made.say("status", "--target", "prod", "--json").data["unfinished"]
