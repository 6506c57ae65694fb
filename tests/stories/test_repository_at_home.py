"""A working copy that the inventory names by `~/`: whatever acts on it begins at home."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.git_origin import GitOrigin
from support.project import Project

STEPS = [
    {"name": "Commit", "commit": {"message": "Next", "paths": ["RELEASE", "app.py"]}},
    {"name": "Push", "push": {}},
    {"name": "Update", "update": {}, "on": "all"},
]
FAIL = {"name": "Fail", "run": "exit 3", "undo": "true"}


@pytest.fixture
def project(tmp_path: Path, git_origin: GitOrigin) -> Project:
    made = Project(tmp_path / "project", {"HOME": str(git_origin.copy.parent)})
    made.inventory(
        "prod",
        {
            "hosts": {"here": {"connection": "local"}},
            "source": {
                "repository": f"~/{git_origin.copy.name}",
                "strategy": "releases",
                "directory": str(tmp_path / "srv"),
            },
            "checks": {"there": {"command": "true", "expect": ["exit_code == 0"]}},
        },
    )
    return made


def deploy(project: Project, *more: dict[str, str]) -> int:
    project.runbook("deploy", {"summary": "Ship.", "steps": [*STEPS, *more]})
    said = project.say("deploy", "--target", "prod", "--yes")
    assert "Traceback" not in said.err
    return said.code


def test_a_working_copy_at_home_is_shipped_and_taken_back(
    project: Project, git_origin: GitOrigin, tmp_path: Path
) -> None:
    live = tmp_path / "srv/current/RELEASE"
    release = git_origin.good_change()
    assert deploy(project) == 0
    assert git_origin.published() == git_origin.head()
    assert live.read_text().strip() == release

    git_origin.good_change()
    assert deploy(project, FAIL) == 4
    assert live.read_text().strip() == release
    assert git_origin.git("show", f"{git_origin.published()}:RELEASE").strip() == release
