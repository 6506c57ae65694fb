"""A remote that is pushed to another address than it is fetched from, or to several; and what else
of somebody's settings goes along with a push, or with a fetch."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Source
from support.deployed import git, published
from support.git_origin import GitOrigin
from support.work import Bench


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path) -> Bench:
    return Bench(tmp_path, Source(repository=str(git_origin.copy)))


@pytest.fixture
def mirror(git_origin: GitOrigin, tmp_path: Path) -> Path:
    """A second place that has the origin's branch, in a directory with a blank."""
    place = tmp_path / "the mirror.git"
    git(tmp_path, "clone", "-q", "--bare", str(git_origin.origin), str(place))
    return place


def pushed_to(origin: GitOrigin, *places: Path) -> None:
    for place in places:
        origin.git("config", "--add", "remote.origin.pushurl", str(place))


def release(place: Path) -> str:
    return git(place, "show", "main:RELEASE")


def test_a_push_to_another_address_than_fetches_ask_is_taken_back_there(
    bench: Bench, git_origin: GitOrigin, mirror: Path
) -> None:
    pushed_to(git_origin, mirror)
    git_origin.good_change()
    commit, push = published(bench)
    assert release(mirror) == "2"

    assert push.undo().ok
    assert commit.undo().ok

    assert release(mirror) == "1"
    assert "is published and stays" in bench.said[-1]
    assert git(git_origin.origin, "log", "--format=%s", "main") == "Release 1"


def test_a_push_to_two_places_is_taken_back_in_both_by_one_commit(
    bench: Bench, git_origin: GitOrigin, mirror: Path
) -> None:
    pushed_to(git_origin, mirror, git_origin.origin)
    git_origin.good_change()
    git_origin.commit("Release 2")
    push = bench.step("push")
    assert push.act().ok
    assert release(mirror) == release(git_origin.origin) == "2"

    for _ in range(2):
        assert push.undo().ok

    assert release(mirror) == release(git_origin.origin) == "1"
    assert git(mirror, "rev-parse", "main") == git_origin.published()


@pytest.mark.parametrize("refusing", ["mirror", "origin"])
def test_a_push_that_one_of_two_places_took_is_taken_back_there(
    bench: Bench, git_origin: GitOrigin, mirror: Path, refusing: str
) -> None:
    pushed_to(git_origin, mirror, git_origin.origin)
    git_origin.good_change()
    git_origin.commit("Release 2")
    push = bench.step("push")
    hook = (mirror if refusing == "mirror" else git_origin.origin) / "hooks/update"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    assert not push.act().ok

    assert {release(mirror), release(git_origin.origin)} == {"1", "2"}
    assert push.undo().ok
    assert release(mirror) == release(git_origin.origin) == "1"


def test_two_places_that_are_not_alike_are_refused(
    bench: Bench, git_origin: GitOrigin, mirror: Path
) -> None:
    git_origin.good_change()
    git_origin.commit("Release 2")
    git_origin.push()
    pushed_to(git_origin, mirror, git_origin.origin)

    with pytest.raises(Refused, match="main is not the same commit in each"):
        bench.step("push").before()


def test_tags_do_not_go_along_with_a_push_for_no_way_back_takes_them(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.git("config", "push.followTags", "true")
    git_origin.good_change()
    git_origin.commit("Release 2")
    git_origin.git("tag", "-a", "-m", "2", "v2")

    assert bench.step("push").act().ok

    assert git(git_origin.origin, "tag") == ""


def test_a_tag_that_moved_in_the_remote_holds_up_no_way_back(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.git("config", "remote.origin.tagOpt", "--tags")
    git_origin.git("tag", "latest")
    git_origin.git("push", "-q", "origin", "latest")
    git_origin.good_change()
    git_origin.commit("Release 2")
    push = bench.step("push")
    assert push.act().ok
    git(git_origin.origin, "tag", "-f", "latest", "main")

    assert push.undo().ok

    assert release(git_origin.origin) == "1"


def test_a_remote_that_is_gone_is_no_proof_that_nothing_was_pushed(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    git_origin.commit("Release 2")
    push = bench.step("push")
    assert push.act().ok
    git_origin.git("remote", "remove", "origin")

    assert not push.undo().ok


def test_a_branch_that_cannot_be_followed_here_is_taken_back_all_the_same(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path
) -> None:
    """`origin/main` is of no use to a way back: it asks the remote itself."""
    git_origin.good_change()
    git_origin.commit("Release 2")
    push = bench.step("push")
    assert push.act().ok
    git_origin.git("update-ref", "-d", "refs/remotes/origin/main")
    git_origin.git("update-ref", "refs/remotes/origin/main/old", "HEAD")
    theirs = git_origin.clone(tmp_path / "theirs")
    ours = ("-c", "user.name=T", "-c", "user.email=t@example.invalid")
    git(theirs, *ours, "commit", "-q", "--allow-empty", "-m", "Theirs")
    git(theirs, "push", "-q", "origin", "main")

    assert push.undo().ok

    assert release(git_origin.origin) == "1"


def test_a_way_back_forgets_no_worktree_that_is_out_of_sight(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path
) -> None:
    """On a disk that is not mounted just now, or on the host of this container."""
    away = tmp_path / "away"
    git_origin.git("worktree", "add", "-q", "--detach", str(away))
    (away / "RELEASE").write_text("theirs")
    git(away, "add", "RELEASE")
    away.rename(tmp_path / "aside")
    git_origin.good_change()
    git_origin.commit("Release 2")
    push = bench.step("push")
    assert push.act().ok

    assert push.undo().ok

    (tmp_path / "aside").rename(away)
    assert git(away, "status", "--porcelain") == "M  RELEASE"


def test_a_branch_that_got_another_name_there_is_told_and_its_commit_stays(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    commit, push = published(bench)
    head = git_origin.head()
    git(git_origin.origin, "branch", "-m", "main", "trunk")

    assert push.undo().ok
    assert commit.undo().ok

    assert any("origin has no branch main any more" in line for line in bench.said)
    assert "is published and stays" in bench.said[-1]
    assert git_origin.head() == head
