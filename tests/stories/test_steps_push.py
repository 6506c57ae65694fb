"""`push` to a real remote, and its way back."""

from __future__ import annotations

import multiprocessing
import subprocess
from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Source, State
from backout.steps.git import AGAIN
from support.deployed import published
from support.git_origin import GitOrigin
from support.wait import eventually
from support.work import RUN, Bench


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path) -> Bench:
    return Bench(tmp_path, Source(repository=str(git_origin.copy)))


@pytest.fixture
def colleague(git_origin: GitOrigin, tmp_path: Path) -> GitOrigin:
    """Another clone of the same origin."""
    other = object.__new__(GitOrigin)
    other.branch, other.origin = git_origin.branch, git_origin.origin
    other.version, other.copy = 100, git_origin.clone(tmp_path / "colleague")
    other.git("config", "user.name", "Colleague")
    other.git("config", "user.email", "colleague@example.invalid")
    return other


def commit_file(origin: GitOrigin, name: str, text: str) -> str:
    (origin.copy / name).write_text(text)
    return origin.commit(f"Write {name}")


def file_at_origin(origin: GitOrigin, name: str) -> str:
    return origin._git_in(origin.origin, "show", f"{origin.branch}:{name}")


def log_at_origin(origin: GitOrigin) -> list[str]:
    return origin._git_in(origin.origin, "log", "--format=%s", origin.branch).splitlines()


def test_the_working_copys_commits_are_published(bench: Bench, git_origin: GitOrigin) -> None:
    head = commit_file(git_origin, "RELEASE", "2\n")

    result = bench.step("push").act()

    assert result.ok
    assert result.saved == {"commit": head}
    assert git_origin.published() == head


def test_the_way_back_is_a_published_revert_and_the_working_copy_follows(
    bench: Bench, git_origin: GitOrigin
) -> None:
    head = commit_file(git_origin, "RELEASE", "2\n")
    (git_origin.copy / "draft.txt").write_text("uncommitted")
    trial = bench.step("push")
    assert trial.act().ok

    for _ in range(2):
        assert trial.undo().ok
        assert log_at_origin(git_origin) == ['Revert "Write RELEASE"', "Write RELEASE", "Release 1"]
    assert file_at_origin(git_origin, "RELEASE") == "1\n"
    body = git_origin.git("log", "-1", "--format=%b").strip()
    assert body == f"This reverts commit {head}.\n\nBackout-Undo: {RUN}"
    assert git_origin.head() == git_origin.published()
    assert (git_origin.copy / "draft.txt").read_text() == "uncommitted"
    assert len(git_origin.git("worktree", "list").splitlines()) == 1


def test_several_commits_and_a_merge_are_taken_back_as_one(
    bench: Bench, git_origin: GitOrigin
) -> None:
    old = git_origin.head()
    git_origin.git("checkout", "-q", "-b", "side")
    commit_file(git_origin, "side.txt", "side")
    git_origin.git("checkout", "-q", "main")
    commit_file(git_origin, "RELEASE", "2\n")
    git_origin.git("merge", "-q", "--no-edit", "side")
    head = git_origin.head()
    trial = bench.step("push")
    assert trial.act().ok

    assert trial.undo().ok

    assert git_origin.git("diff", old, git_origin.published()) == ""
    assert git_origin.git("rev-parse", f"{git_origin.published()}^").strip() == head
    assert f"This reverts commit {old}..{head}." in git_origin.git("log", "-1", "--format=%b")


def test_what_is_reverted_is_taken_up_again_by_the_command_that_is_said(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    commit, push = published(bench)
    edited = (git_origin.copy / "RELEASE").read_text()
    for _ in range(2):
        undone = push.undo()
        assert undone.ok
        assert bench.said[-1] == f"{AGAIN} {undone.saved['again']}"
    assert commit.undo().ok
    assert (git_origin.copy / "RELEASE").read_text() == "1\n"

    subprocess.run(["sh", "-c", undone.saved["again"]], check=True, cwd="/")

    assert (git_origin.copy / "RELEASE").read_text() == edited
    assert git_origin.git("diff", "HEAD", "--name-only").split() == ["RELEASE", "app.py"]
    assert bench.step("commit").act().ok, "no revert is left unfinished"


def test_two_pushes_of_one_run_are_both_taken_back(bench: Bench, git_origin: GitOrigin) -> None:
    commit_file(git_origin, "RELEASE", "2\n")
    first = bench.step("push")
    assert first.act().ok
    commit_file(git_origin, "RELEASE", "3\n")
    second = bench.step("push")
    assert second.act().ok

    assert second.undo().ok
    assert first.undo().ok

    assert file_at_origin(git_origin, "RELEASE") == "1\n"


def test_days_later_the_work_of_others_stays(
    bench: Bench, git_origin: GitOrigin, colleague: GitOrigin
) -> None:
    commit_file(git_origin, "RELEASE", "2\n")
    trial = bench.step("push")
    assert trial.act().ok
    colleague.git("pull", "-q")
    commit_file(colleague, "theirs.txt", "theirs")
    colleague.git("push", "-q")

    assert trial.undo().ok

    assert file_at_origin(git_origin, "theirs.txt") == "theirs"
    assert file_at_origin(git_origin, "RELEASE") == "1\n"
    assert git_origin.head() == git_origin.published()


def test_a_file_that_others_renamed_since_is_still_taken_back(
    bench: Bench, git_origin: GitOrigin, colleague: GitOrigin
) -> None:
    text = "".join(f"line {n}\n" for n in range(20))
    commit_file(git_origin, "long.txt", text)
    git_origin.push()
    commit_file(git_origin, "long.txt", text.replace("line 7\n", "line seven\n"))
    trial = bench.step("push")
    assert trial.act().ok
    colleague.git("pull", "-q")
    colleague.git("mv", "long.txt", "renamed.txt")
    colleague.commit("Rename")
    colleague.git("push", "-q")

    assert trial.undo().ok

    assert file_at_origin(git_origin, "renamed.txt") == text


def test_a_conflict_fails_by_file_name_and_leaves_all_as_it_was(
    bench: Bench, git_origin: GitOrigin, colleague: GitOrigin
) -> None:
    commit_file(git_origin, "RELEASE", "2\n")
    trial = bench.step("push")
    assert trial.act().ok
    colleague.git("pull", "-q")
    theirs = commit_file(colleague, "RELEASE", "2 and theirs\n")
    colleague.git("push", "-q")
    head = git_origin.head()

    result = trial.undo()

    assert result.state is State.FAILED
    assert "later commits changed the same lines: RELEASE" in result.reason
    assert (git_origin.published(), git_origin.head()) == (theirs, head)
    assert git_origin.git("status", "--porcelain") == ""
    assert len(git_origin.git("worktree", "list").splitlines()) == 1


def test_a_revert_that_a_person_made_by_hand_is_not_made_again(
    bench: Bench, git_origin: GitOrigin
) -> None:
    commit_file(git_origin, "RELEASE", "2\n")
    trial = bench.step("push")
    assert trial.act().ok
    git_origin.git("revert", "--no-edit", "HEAD")
    git_origin.push()
    head = git_origin.head()

    assert trial.undo().ok
    assert git_origin.published() == head


def test_somebody_who_pushes_during_the_undo_is_not_overrun(
    bench: Bench, git_origin: GitOrigin, colleague: GitOrigin
) -> None:
    commit_file(git_origin, "RELEASE", "2\n")
    trial = bench.step("push")
    assert trial.act().ok
    colleague.git("pull", "-q")
    commit_file(colleague, "theirs.txt", "theirs")
    meanwhile = git_origin.copy.parent / "meanwhile"
    meanwhile.write_text(
        "#!/bin/sh\nunset $(git rev-parse --local-env-vars)\n"
        f'git -C {colleague.copy} push -q >&2\nexec git-receive-pack "$@"\n'
    )
    meanwhile.chmod(0o755)
    git_origin.git("config", "remote.origin.receivepack", str(meanwhile))

    assert trial.undo().ok

    assert log_at_origin(git_origin)[:2] == ['Revert "Write RELEASE"', "Write theirs.txt"]
    assert file_at_origin(git_origin, "theirs.txt") == "theirs"
    assert file_at_origin(git_origin, "RELEASE") == "1\n"


def test_a_working_copy_that_cannot_follow_is_told_to_pull(
    bench: Bench, git_origin: GitOrigin
) -> None:
    commit_file(git_origin, "RELEASE", "2\n")
    trial = bench.step("push")
    assert trial.act().ok
    (git_origin.copy / "RELEASE").write_text("uncommitted\n")

    assert trial.undo().ok

    assert file_at_origin(git_origin, "RELEASE") == "1\n"
    assert (git_origin.copy / "RELEASE").read_text() == "uncommitted\n"
    assert bench.said == ["origin/main is reverted; here, git pull is needed"]


def test_the_undo_changes_nothing_where_the_push_never_happened(
    bench: Bench, git_origin: GitOrigin
) -> None:
    head, published = commit_file(git_origin, "RELEASE", "2\n"), git_origin.published()
    trial = bench.step("push")
    trial.before()

    assert trial.undo().ok

    assert (git_origin.head(), git_origin.published()) == (head, published)
    assert bench.said == [f"{head[:7]} is not on origin/main: nothing to revert there"]


def test_the_commits_undo_after_the_pushs_undo_changes_nothing_more(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    commit, push = published(bench)
    assert push.undo().ok
    reverted = git_origin.head()

    assert commit.undo().ok

    assert (git_origin.head(), git_origin.published()) == (reverted, reverted)
    assert (git_origin.copy / "RELEASE").read_text() == "1\n"


def test_a_push_that_lost_the_race_says_so_and_is_nothing_to_take_back(
    bench: Bench, git_origin: GitOrigin, colleague: GitOrigin
) -> None:
    commit_file(git_origin, "RELEASE", "2\n")
    trial = bench.step("push")
    trial.before()
    theirs = commit_file(colleague, "theirs.txt", "theirs")
    colleague.git("push", "-q")

    result = trial.kind.act(trial.work)

    assert result.state is State.FAILED
    assert "somebody pushed to origin/main meanwhile" in result.reason
    assert trial.undo().ok
    assert git_origin.published() == theirs


def test_what_the_way_back_does_not_know_is_not_pushed_by_another_attempt(
    bench: Bench, git_origin: GitOrigin
) -> None:
    first, published = commit_file(git_origin, "RELEASE", "2\n"), git_origin.published()
    trial = bench.step("push")
    trial.before()
    git_origin.git("commit", "-q", "--amend", "-m", "Mended by hand after the first attempt")

    result = trial.again()

    assert result.state is State.FAILED
    assert f"HEAD no longer holds {first[:7]}" in result.reason
    assert trial.undo().ok
    assert git_origin.published() == published


def test_another_attempt_pushes_what_the_way_back_knows_and_no_commit_made_since(
    bench: Bench, git_origin: GitOrigin
) -> None:
    first = commit_file(git_origin, "RELEASE", "2\n")
    trial = bench.step("push")
    trial.before()
    commit_file(git_origin, "later.txt", "made by hand since")

    result = trial.again()

    assert result.saved == {"commit": first}
    assert git_origin.published() == first
    assert trial.undo().ok
    assert file_at_origin(git_origin, "RELEASE") == "1\n"


def test_nothing_to_push_is_fine(bench: Bench, git_origin: GitOrigin) -> None:
    trial = bench.step("push")

    assert trial.act().ok
    assert trial.undo().ok
    assert log_at_origin(git_origin) == ["Release 1"]


def test_a_push_that_is_no_fast_forward_is_refused(
    bench: Bench, git_origin: GitOrigin, colleague: GitOrigin
) -> None:
    commit_file(colleague, "theirs.txt", "theirs")
    colleague.git("push", "-q")
    commit_file(git_origin, "RELEASE", "2\n")

    with pytest.raises(Refused, match=r"origin/main has commits that .* lacks"):
        bench.step("push").before()


def test_an_unreachable_remote_is_refused_in_gits_words(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path
) -> None:
    git_origin.git("remote", "set-url", "origin", str(tmp_path / "gone.git"))

    with pytest.raises(Refused, match=r"origin cannot be read .*gone.git"):
        bench.step("push").before()


def test_a_new_remote_branch_stays_and_is_said(bench: Bench, git_origin: GitOrigin) -> None:
    git_origin.git("checkout", "-q", "-b", "fresh")
    head = commit_file(git_origin, "RELEASE", "2\n")
    bench.source = Source(repository=str(git_origin.copy), branch="fresh")
    trial = bench.step("push")
    assert trial.act().ok

    assert trial.undo().ok

    assert git_origin._git_in(git_origin.origin, "rev-parse", "fresh").strip() == head
    assert bench.said == ["the branch fresh is new on origin and stays there"]


def test_a_crash_after_the_push_is_recalled(bench: Bench, git_origin: GitOrigin) -> None:
    head = commit_file(git_origin, "RELEASE", "2\n")
    trial = bench.step("push")
    trial.before()
    trial.act()

    recalled = trial.recall()

    assert recalled is not None
    assert recalled.saved == {"commit": head}


def test_a_push_outlives_a_killed_deployer_and_is_recalled(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path
) -> None:
    head = commit_file(git_origin, "RELEASE", "2\n")
    started, go = tmp_path / "started", tmp_path / "go"
    hook = git_origin.copy / ".git/hooks/pre-push"
    hook.write_text(f"#!/bin/sh\ntouch {started}\nuntil [ -e {go} ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    trial = bench.step("push")
    trial.before()
    deployer = multiprocessing.get_context("fork").Process(
        target=trial.kind.act, args=(trial.work,)
    )
    deployer.start()
    eventually(started.exists)
    deployer.kill()
    deployer.join()
    assert git_origin.published() != head
    go.touch()

    recalled = trial.recall()

    assert recalled is not None
    assert recalled.saved == {"commit": head}
    assert git_origin.published() == head
