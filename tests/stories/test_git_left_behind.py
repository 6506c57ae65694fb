"""What a git that was killed left behind, and files that git calls changed though nobody changed
them."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Release, Result, State
from backout.steps.script import words
from support.deployed import git, over, release
from support.git_origin import GitOrigin
from support.work import RUN, Bench, Trial

CRLF = b"one\r\ntwo\r\n"


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    return tmp_path / "srv"


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path, srv: Path) -> Bench:
    return over(git_origin, tmp_path, srv)


def test_a_locked_index_on_the_host_is_refused_by_its_name_before_anything_changes(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    assert bench.step("update").act().ok
    lock = srv / ".git/index.lock"
    lock.touch()
    trial = release(bench, git_origin)

    with pytest.raises(Refused) as refused:
        trial.before()

    assert f"{lock} is there on here" in refused.value.what
    assert f"rm {lock}" in refused.value.next
    lock.unlink()
    assert trial.act().ok


def test_a_rollback_is_told_of_a_lock_before_it_acts(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    assert bench.step("update").act().ok
    trial = release(bench, git_origin)
    assert trial.act().ok
    (lock := srv / ".git/index.lock").touch()

    assert f"rm {lock}" in trial.kind.unready(trial.work, trial.way_back)

    lock.unlink()
    assert trial.kind.unready(trial.work, trial.way_back) == ""


LOCKS = ("index.lock", "HEAD.lock", "refs/heads/main.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_of_the_working_copy_is_refused_by_its_name(
    bench: Bench, git_origin: GitOrigin, name: str
) -> None:
    lock = git_origin.copy / ".git" / name
    lock.touch()

    with pytest.raises(Refused, match=f"{lock} is there on here"):
        bench.step("commit").before()


def test_a_linked_working_copy_has_the_branchs_lock_in_its_repository(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path
) -> None:
    git_origin.git("checkout", "-q", "--detach")
    git_origin.git("worktree", "add", "-q", str(tmp_path / "linked"), "main")
    assert bench.source is not None
    bench.source = bench.source.model_copy(update={"repository": str(tmp_path / "linked")})
    lock = git_origin.copy / ".git/refs/heads/main.lock"
    lock.touch()

    with pytest.raises(Refused, match=r"refs/heads/main\.lock is there on here"):
        bench.step("commit").before()

    lock.unlink()
    bench.step("commit").before()


@pytest.mark.parametrize("name", LOCKS)
def test_what_was_published_is_taken_back_beside_a_lock_and_the_working_copy_stays_as_it_is(
    bench: Bench, git_origin: GitOrigin, name: str
) -> None:
    git_origin.good_change()
    shipped = git_origin.commit("Release 2")
    trial = bench.step("push")
    assert trial.act().ok
    (git_origin.copy / ".git" / name).touch()

    assert trial.undo().ok

    assert git_origin.git("show", f"{git_origin.published()}:RELEASE") == "1\n"
    assert (git_origin.head(), git_origin.git("status", "--porcelain")) == (shipped, "")
    assert bench.said == ["origin/main is reverted; here, git pull is needed"]


def test_a_lock_that_comes_later_is_named_too(bench: Bench, git_origin: GitOrigin) -> None:
    """git's advice below it is longer than what is shown."""
    git_origin.good_change()
    trial = bench.step("commit")
    trial.before()
    (git_origin.copy / ".git/index.lock").touch()

    result = trial.kind.act(trial.work)

    assert "index.lock': File exists" in result.reason


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("fatal: a\n1\n2\n3\n4", "fatal: a; 1; 2; 3; 4"),
        ("denied\nfatal: a\n1\nfatal: b\n2\n3", "1; fatal: b; 2; 3"),
        ("one\n\nhint: no\ntwo", "one; two"),
    ],
)
def test_of_what_git_says_the_fault_is_told_above_its_advice(said: str, told: str) -> None:
    assert words(Result(State.FAILED, stderr=said)) == told


def test_patches_that_are_being_applied_are_called_that(
    bench: Bench, git_origin: GitOrigin
) -> None:
    (git_origin.copy / ".git/rebase-apply").mkdir()
    (git_origin.copy / ".git/rebase-apply/applying").touch()

    with pytest.raises(Refused, match="a git am is unfinished"):
        bench.step("commit").before()


def filtered(bench: Bench, origin: GitOrigin, text: bytes, attributes: str = "") -> Trial:
    """The next release, with a file that was committed before its attributes were."""
    (origin.copy / "a.txt").write_bytes(text)
    origin.git("add", "a.txt")
    origin.git("commit", "-q", "-m", "Text")
    if attributes:
        (origin.copy / ".gitattributes").write_text(attributes)
        origin.git("add", ".gitattributes")
        origin.git("commit", "-q", "-m", "Attributes")
    origin.push()
    origin.version += 1
    bench.release = Release(origin.version, origin.head())
    bench.run = f"{RUN}-{origin.version}"
    return bench.step("update")


def lines_of(srv: Path) -> int:
    return (srv / "a.txt").read_bytes().count(b"\n")


@pytest.mark.parametrize("attributes", ["*.txt text\n", "*.txt text eol=crlf\n"])
def test_a_file_that_a_filter_makes_git_call_changed_holds_up_no_way_on_and_none_back(
    bench: Bench, git_origin: GitOrigin, srv: Path, attributes: str
) -> None:
    assert filtered(bench, git_origin, CRLF).act().ok
    second = filtered(bench, git_origin, CRLF * 2, attributes)
    assert second.act().ok
    (srv / "a.txt").touch()
    assert git(srv, "status", "--porcelain", "--untracked-files=no") == "M a.txt"
    third = filtered(bench, git_origin, CRLF * 3)

    assert third.act().ok

    assert lines_of(srv) == 6
    for trial, lines in ((third, 4), (second, 2)):
        result = trial.undo()
        assert result.ok, result.reason
        assert lines_of(srv) == lines
    assert git(srv, "stash", "list") == ""


def test_such_a_file_that_somebody_did_change_is_refused_and_kept(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    assert filtered(bench, git_origin, CRLF).act().ok
    second = filtered(bench, git_origin, CRLF * 2, "*.txt text\n")
    assert second.act().ok
    (srv / "a.txt").write_bytes(b"theirs\r\n")

    with pytest.raises(Refused, match=r"changed by hand in .* on here: a\.txt"):
        filtered(bench, git_origin, CRLF * 3).before()

    assert second.undo().ok
    assert git(srv, "show", "stash@{0}:a.txt") == "theirs"
    assert (srv / "a.txt").read_bytes() == CRLF


def test_a_mode_that_somebody_changed_is_a_change(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    assert filtered(bench, git_origin, CRLF, "*.txt text\n").act().ok
    (srv / "a.txt").chmod(0o755)

    with pytest.raises(Refused, match=r"changed by hand in .* on here: a\.txt"):
        filtered(bench, git_origin, CRLF * 2).before()


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (("bisect", "start", "HEAD", "HEAD~2"), "bisect reset"),
        (("-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "-i", "HEAD~2"), "rebase --abort"),
    ],
    ids=["bisect", "rebase"],
)
def test_a_commit_that_git_checked_out_on_its_way_is_not_what_ships(
    bench: Bench, git_origin: GitOrigin, begin: tuple[str, ...], end: str
) -> None:
    for number in (2, 3):
        (git_origin.copy / f"file{number}").touch()
        main = git_origin.commit(f"Release {number}")
    git_origin.git(*begin)
    bench.release = Release(2, git_origin.head())

    with pytest.raises(Refused) as refused:
        bench.step("update").before()

    assert end in refused.value.next
    bench.release = Release(2, main)
    bench.step("update").before()
    git_origin.git(*end.split())
    git_origin.git("checkout", "-q", "--detach", "HEAD~1")
    bench.release = Release(2, git_origin.head())
    bench.step("update").before()
