"""A pushed commit is to be taken back, and the branch is not what the push left: others wrote to
it, rewrote it, took the commit away, or guard it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from backout.model import Source, State
from support.deployed import git
from support.git_origin import GitOrigin
from support.work import Bench, Trial


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path) -> Bench:
    return Bench(tmp_path, Source(repository=str(git_origin.copy)))


def pushed(bench: Bench, origin: GitOrigin, commits: int = 1) -> Trial:
    """The step that published release 2, in so many commits."""
    for number in range(commits):
        origin.good_change()
        origin.commit(f"Part {number}")
    trial = bench.step("push")
    assert trial.act().ok
    return trial


def release(origin: GitOrigin) -> str:
    return git(origin.origin, "show", "main:RELEASE")


@pytest.mark.parametrize("later", [False, True])
def test_a_shallow_clone_that_does_not_show_what_was_there_takes_back_what_was_pushed(
    bench: Bench, git_origin: GitOrigin, later: bool
) -> None:
    """As where a pipeline's next job goes back, and somebody may have pushed since."""
    trial = pushed(bench, git_origin)
    if later:
        (git_origin.copy / "later.txt").write_text("later")
        git_origin.commit("Later")
        git_origin.push()
    shutil.rmtree(git_origin.copy)
    shallow = ("clone", "-q", "--depth=1", f"file://{git_origin.origin}", str(git_origin.copy))
    git(git_origin.origin, *shallow)

    assert trial.undo().ok

    assert release(git_origin) == "1"
    names = git(git_origin.origin, "ls-tree", "--name-only", "main").split()
    assert ("later.txt" in names) == later


@pytest.mark.parametrize("commits", [1, 2])
def test_what_somebody_rewrote_since_is_no_proof_that_nothing_was_published(
    bench: Bench, git_origin: GitOrigin, commits: int
) -> None:
    """Amended, or squashed, and pushed by force. Whether they want it there they must say: the
    revert is made, and the command that publishes it is said."""
    trial = pushed(bench, git_origin, commits)
    git_origin.git("reset", "-q", "--soft", f"HEAD~{commits}")
    theirs = git_origin.commit("In better words")
    git_origin.git("push", "-q", "--force", "origin", "main")

    result = trial.undo()

    assert result.state is State.FAILED
    assert "origin/main was rewritten, and has" in result.reason
    assert git_origin.published() == theirs
    published_by_hand(result.reason)
    assert release(git_origin) == "1"
    assert trial.undo().ok


def test_what_somebody_took_away_by_force_is_nothing_to_revert(
    bench: Bench, git_origin: GitOrigin
) -> None:
    before = git_origin.head()
    trial = pushed(bench, git_origin)
    git_origin.git("push", "-q", "--force", "origin", f"{before}:main")

    assert trial.undo().ok
    assert git_origin.published() == before


def test_a_branch_that_takes_no_revert_is_told_with_the_command_that_publishes_it(
    bench: Bench, git_origin: GitOrigin
) -> None:
    trial = pushed(bench, git_origin)
    hook = git_origin.origin / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'GH006: Protected branch' >&2\nexit 1\n")
    hook.chmod(0o755)

    result = trial.undo()

    assert result.state is State.FAILED
    assert "GH006: Protected branch" in result.reason
    assert "the revert could not be pushed to origin/main" in result.reason
    hook.unlink()
    published_by_hand(result.reason)
    assert release(git_origin) == "1"
    assert trial.undo().ok
    assert git(git_origin.origin, "log", "-1", "--format=%s", "main") == 'Revert "Part 0"'


def test_a_remote_that_answers_only_when_it_is_asked_twice_holds_up_no_way_back(
    bench: Bench, git_origin: GitOrigin
) -> None:
    trial = pushed(bench, git_origin)
    busy, asked = git_origin.copy.parent / "busy", git_origin.copy.parent / "asked"
    busy.write_text(
        f'#!/bin/sh\nif ! mkdir {asked}; then rmdir {asked}; exec git-upload-pack "$@"; fi\n'
        "echo busy >&2; exit 1\n"
    )
    busy.chmod(0o755)
    git_origin.git("config", "remote.origin.uploadpack", str(busy))

    assert trial.undo().ok
    assert release(git_origin) == "1"


def published_by_hand(said: str) -> None:
    """Type the command that stands at the end of what was said."""
    subprocess.run(["sh", "-c", said.rpartition("its revert is kept: ")[2]], check=True, cwd="/")
