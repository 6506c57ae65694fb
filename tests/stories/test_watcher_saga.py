"""The watcher's own saga: what it began it finishes, and tells of, once; whatever became of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backout.model import Bake, Release, Verdict
from backout.watch.bake import Deployed
from backout.watch.watched import TargetState
from support.measured import unmeasured
from support.project import Project
from support.watch import Simulation, check, target


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project on release 2, which was well when it was deployed and is not any more."""
    project = Project(tmp_path_factory.mktemp("saga") / "project")
    (project.directory / "version").write_text("0\n")
    switch = {
        "name": "Switch",
        "run": "echo {{ params.to }} > version",
        "undo": "echo 1 > version",
    }
    project.runbook(
        "deploy",
        {
            "params": {"to": {"required": True}},
            "steps": [switch],
            "settle": [{"name": "Prove it", "verify": "all"}],
        },
    )
    project.inventory(
        "shop",
        {
            "hosts": {"here": {"connection": "local"}},
            "checks": {
                "alive": {
                    "command": "test ! -e sick || grep -qx 1 version",
                    "expect": ["exit_code == 0"],
                    "every": "1h",
                    "alert": {"after": 1, "recover": 1},
                }
            },
            "bake": {"for": "10m", "every": "500ms"},
            "notify": ["json://127.0.0.1:1/"],
        },
    )
    for to in (1, 2):
        words = ("--runbook", "deploy", "--target", "shop", "--param", f"to={to}", "--yes")
        said = project.say("run", *words)
        assert said.code == 0, said.out + said.err
    (project.directory / "sick").touch()
    return project


def test_a_revert_that_is_killed_anywhere_is_finished_and_told_once(
    sick: Project, tmp_path: Path
) -> None:
    numbers = range(1, 17)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "support.revert_killed", str(sick.directory), str(tmp_path)),
            *map(str, numbers),
        ],
        env=unmeasured({**sick.env, "PYTHONPATH": str(Path(__file__).parents[1])}),
        capture_output=True,
        text=True,
        timeout=390,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    for number, trial in zip(numbers, trials, strict=True):
        assert trial["on"] == "1\n", (number, trial)
        told = [title for title in trial["told"] if "revert" in title]
        assert told == ["[shop] release 2 was reverted: back on release 1, and proved"], (
            number,
            trial,
        )
    killed = [trial["killed"] for trial in trials]
    assert killed == sorted(killed, reverse=True)
    assert killed[6], "there was something to kill"
    assert not killed[-1], "each commit was a trial"
    assert {trial["before"] for trial in trials if trial["killed"]} == {"1\n", "2\n"}


def test_what_went_bad_just_before_the_watcher_died_is_reverted_by_the_next_one(
    tmp_path: Path,
) -> None:
    watched = target(check("alive", every="1m"), bake=Bake(**{"for": 600.0}))
    sim = Simulation(tmp_path, [watched], {"alive": lambda _: Verdict.FAIL})
    now = sim.clock.stamp
    release = Deployed("run", Release(2), now - 60, now, frozenset({"alive"}))
    sim.news["prod"] = TargetState(deployed=release)
    sim.watcher.baking._reverts = None  # it dies before it acts on what it wrote
    sim.run(120)
    sim.clock.advance(900)
    sim.restart()
    with sim:
        sim.run(5)
        sim.watcher.baking.join()
        sim.run(5)
        assert [run for run, _ in sim.reverted] == ["run"]


def test_what_goes_bad_after_its_window_is_not_reverted(tmp_path: Path) -> None:
    watched = target(check("alive", every="1m"), bake=Bake(**{"for": 60.0}))
    bad_from = [0.0]
    says = {"alive": lambda now: Verdict.FAIL if now > bad_from[0] else Verdict.PASS}
    sim = Simulation(tmp_path, [watched], says)
    now = sim.clock.stamp
    bad_from[0] = now + 90
    release = Deployed("run", Release(2), now - 60, now, frozenset({"alive"}))
    sim.news["prod"] = TargetState(deployed=release)
    sim.run(600)
    sim.restart()
    with sim:
        sim.run(600)
        assert sim.titles == ["[prod] alive fails"]
        assert sim.reverted == []
