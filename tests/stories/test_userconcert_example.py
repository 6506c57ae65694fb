"""The example as a newcomer sees it, with one command."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from support.gigz import EXAMPLE as GIGZ
from support.gigz import ROOT
from support.project import Project
from support.tools import node_modules


@pytest.mark.timeout(900)
def test_the_story_is_told_with_one_command(tmp_path: Path) -> None:
    project = Project(tmp_path, {"BACKOUT_EXAMPLE_MODULES": str(node_modules())})

    said = project.say("example.gigz")

    assert said.code == 0, said.out + said.err
    acts = said.out.split("\n== ")[1:]
    assert len(acts) == 5
    assert "428C9: UserConcert.user is a generated column" in said.out
    assert "Ran userconcert-fix on story" in said.out
    assert re.search(r"Rolled story back to release 1 \(\w{7}\)", said.out)
    assert list(project.state.rglob("*")) == [], "all of it is in a directory of its own"


def test_its_inventories_and_runbooks_are_free_of_mistakes(tmp_path: Path) -> None:
    shutil.copytree(GIGZ / "inventories", tmp_path / "inventories")
    shutil.copytree(ROOT / "runbooks", tmp_path / "runbooks")
    said = Project(tmp_path).say("lint")
    assert said.code == 0, said.out + said.err


@pytest.mark.parametrize("target", ["pm2", "systemd", "docker-compose"])
def test_the_plan_shows_the_heal_and_its_way_back(tmp_path: Path, target: str) -> None:
    shutil.copytree(GIGZ / "inventories", tmp_path / "inventories")
    shutil.copytree(ROOT / "runbooks", tmp_path / "runbooks")
    words = ("plan", "--offline", "--runbook", "userconcert-fix", "--target", target)
    said = Project(tmp_path).say(*words)
    assert said.code == 0, said.out + said.err
    assert "Heal the table, for the old code and the new" in said.out
    assert "migrations/back/" in said.out
