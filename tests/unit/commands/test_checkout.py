"""The checkout in which a worker drives a run is all of the commit, whatever was there before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from backout.commands.checkout import Checkout
from backout.errors import Refused
from backout.model import Source, Target
from backout.project.project import Workplace
from support.deployed import git
from support.git_origin import GitOrigin


def checkout(origin: GitOrigin, commit: str) -> Checkout:
    (origin.copy / "tasks.py").touch()
    target = Target(name="prod", hosts={}, source=Source(repository=str(origin.copy)))
    return Checkout(Workplace(origin.copy), target, "run", commit)


def files(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()} - {".git"}


def test_one_that_a_killed_worker_left_half_way_is_made_anew(git_origin: GitOrigin) -> None:
    """Its HEAD is there before its files are, and git holds it locked."""
    commit = git_origin.head()
    made = checkout(git_origin, commit)
    half = ("worktree", "add", "-q", "--no-checkout", "--lock", "--detach", str(made.place))
    git_origin.git(*half, commit)
    assert files(made.place) == set()

    assert files(made.made()) == {"RELEASE", "app.py"}

    (made.place / "left").touch()
    assert "left" in files(checkout(git_origin, commit).made()), "what is whole is used again"
    made.remove()
    assert list(made.place.parent.iterdir()) == []
    assert len(git_origin.git("worktree", "list").splitlines()) == 1


def test_a_commit_that_no_branch_has_any_more_is_asked_for_by_name(git_origin: GitOrigin) -> None:
    clone = git_origin.clone(git_origin.copy.with_name("worker"))
    before = git_origin.head()
    git_origin.good_change()
    commit = git_origin.commit("Pushed over")
    git_origin.push()
    git_origin.git("push", "-q", "--force", "origin", f"{before}:main")
    git_origin.copy = clone

    made = checkout(git_origin, commit).made()

    assert (made / "RELEASE").read_text() == "2\n"
    assert git(made, "rev-parse", "HEAD") == commit
    with pytest.raises(Refused, match="is not in the worker's repository"):
        checkout(git_origin, "0" * 40).made()


def test_worktrees_that_are_out_of_sight_stay_on_record(git_origin: GitOrigin) -> None:
    """On a disk that is not mounted just now, or on the host of this container."""
    away = git_origin.copy.with_name("away")
    git_origin.git("worktree", "add", "-q", "--detach", str(away))
    away.rename(aside := away.with_name("aside"))
    made = checkout(git_origin, git_origin.head())
    made.made()
    shutil.rmtree(made.place)

    assert files(made.made()) == {"RELEASE", "app.py"}

    aside.rename(away)
    assert git(away, "status", "--porcelain") == ""
