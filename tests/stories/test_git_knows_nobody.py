"""A machine of a pipeline, on which git knows no name and no address: nothing can be committed
there, and what was pushed can be taken back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Source
from support.deployed import git
from support.git_origin import GitOrigin
from support.work import Bench, Trial

OURS = ("-c", "user.name=T", "-c", "user.email=t@example.invalid")


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path) -> Bench:
    return Bench(tmp_path, Source(repository=str(git_origin.copy)))


@pytest.fixture
def nobody(git_origin: GitOrigin, monkeypatch: pytest.MonkeyPatch) -> GitOrigin:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for name in [*os.environ]:
        if name.endswith("EMAIL") or name.startswith(("GIT_AUTHOR", "GIT_COMMITTER")):
            monkeypatch.delenv(name)
    git_origin.git("config", "--remove-section", "user")
    git_origin.git("config", "user.useConfigOnly", "true")
    return git_origin


def pushed(bench: Bench, origin: GitOrigin) -> Trial:
    origin.good_change()
    origin.git("add", "-A")
    origin.git(*OURS, "commit", "-q", "-m", "Release 2")
    trial = bench.step("push")
    assert trial.act().ok
    return trial


def test_a_machine_on_which_git_knows_nobody_takes_a_push_back(
    bench: Bench, nobody: GitOrigin
) -> None:
    trial = pushed(bench, nobody)

    result = trial.undo()

    assert result.ok, result.reason
    assert git(nobody.origin, "show", "main:RELEASE") == "1"
    assert git(nobody.origin, "log", "-1", "--format=%an", "main") == "Backout"


def test_there_too_a_rewritten_branch_is_no_proof_that_nothing_was_pushed(
    bench: Bench, nobody: GitOrigin
) -> None:
    trial = pushed(bench, nobody)
    nobody.git(*OURS, "commit", "-q", "--amend", "-m", "In better words")
    nobody.git("push", "-q", "--force", "origin", "main")

    assert "origin/main was rewritten" in trial.undo().reason


@pytest.mark.parametrize("paths", [[], ["RELEASE"], ["new"]])
def test_a_commit_that_nobody_could_make_is_refused_before_anything_changes(
    bench: Bench, nobody: GitOrigin, paths: list[str]
) -> None:
    nobody.good_change()
    (nobody.copy / "new").touch()

    with pytest.raises(Refused, match="git does not know who commits in"):
        bench.step("commit", {"paths": paths}).before()


@pytest.mark.parametrize("paths", [[], ["RELEASE"]])
def test_where_there_is_nothing_to_commit_nobody_need_be_known(
    bench: Bench, nobody: GitOrigin, paths: list[str]
) -> None:
    """A pipeline runs the runbook of a laptop."""
    (nobody.copy / "new").touch()

    result = bench.step("commit", {"paths": paths}).act()

    assert (result.ok, result.reason) == (True, "nothing to commit")
