"""`commit` on a real working copy, and its way back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Source, State
from support.git_origin import GitOrigin
from support.work import RUN, Bench

AWKWARD = ("two words.txt", 'it\'s "quoted".txt', "übung-✓.txt", "-leading.txt", "a*b.txt", "$HOME")


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path) -> Bench:
    return Bench(tmp_path, Source(repository=str(git_origin.copy)))


def status(origin: GitOrigin) -> str:
    return origin.git("-c", "core.quotePath=false", "status", "--porcelain")


def test_every_change_to_tracked_files_is_committed_and_names_its_run(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    trial = bench.step("commit", {"message": 'It\'s "release" $2'})

    result = trial.act()

    assert result.ok
    assert result.saved == {"commit": git_origin.head()}
    body = git_origin.git("log", "-1", "--format=%B").strip()
    assert body == f'It\'s "release" $2\n\nBackout-Run: {RUN}'
    assert git_origin.git("log", "-1", "--format=%(trailers:only)").strip() == f"Backout-Run: {RUN}"
    assert status(git_origin) == ""


def test_untracked_files_are_left_alone_and_said(bench: Bench, git_origin: GitOrigin) -> None:
    git_origin.good_change()
    (git_origin.copy / "my notes.txt").write_text("mine")

    assert bench.step("commit").act().ok

    assert status(git_origin) == '?? "my notes.txt"\n'
    assert bench.said == ["not committed, git does not know them: my notes.txt"]


@pytest.mark.parametrize("name", AWKWARD)
def test_exactly_the_named_file_is_committed_whatever_its_name(
    bench: Bench, git_origin: GitOrigin, name: str
) -> None:
    (git_origin.copy / name).write_text("new")
    (git_origin.copy / "axb.txt").write_text("matches a*b.txt as a pattern")
    (git_origin.copy / "RELEASE").write_text("staged by hand")
    git_origin.git("add", "RELEASE")
    trial = bench.step("commit", {"paths": [name]})

    assert trial.act().ok

    assert git_origin.git("show", "-z", "--format=", "--name-only", "HEAD").strip("\0\n") == name
    assert "M  RELEASE" in status(git_origin)

    assert trial.undo().ok
    assert (git_origin.copy / name).read_text() == "new"
    assert "M  RELEASE" in status(git_origin), "what was staged stays staged"
    assert git_origin.git("ls-files", "--", f":(literal){name}") == ""


def test_a_deleted_file_can_be_named(bench: Bench, git_origin: GitOrigin) -> None:
    (git_origin.copy / "RELEASE").unlink()

    assert bench.step("commit", {"paths": "RELEASE"}).act().ok
    assert "RELEASE" not in git_origin.git("ls-tree", "--name-only", "HEAD")


def test_a_deletion_that_is_staged_can_be_named(bench: Bench, git_origin: GitOrigin) -> None:
    git_origin.git("rm", "-q", "RELEASE")

    assert bench.step("commit", {"paths": "RELEASE"}).act().ok
    assert "RELEASE" not in git_origin.git("ls-tree", "--name-only", "HEAD")


@pytest.mark.parametrize("paths", [(), ("RELEASE",)])
def test_nothing_to_commit_is_fine(
    bench: Bench, git_origin: GitOrigin, paths: tuple[str, ...]
) -> None:
    head = git_origin.head()
    trial = bench.step("commit", {"paths": paths})

    result = trial.act()

    assert (result.state, result.reason) == (State.DONE, "nothing to commit")
    assert result.saved == {"commit": head}
    assert trial.undo().ok
    assert git_origin.head() == head


def test_an_unpublished_commit_is_taken_off_and_its_changes_are_back(
    bench: Bench, git_origin: GitOrigin
) -> None:
    head = git_origin.head()
    git_origin.good_change()
    dirty = status(git_origin)
    trial = bench.step("commit")
    assert trial.act().ok

    for _ in range(2):
        assert trial.undo().ok
        assert git_origin.head() == head
        assert status(git_origin) == dirty
        assert (git_origin.copy / "RELEASE").read_text() == "2\n"


def test_the_undo_changes_nothing_where_the_step_never_acted(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    trial = bench.step("commit")
    trial.before()
    head, dirty = git_origin.head(), status(git_origin)

    assert trial.undo().ok

    assert (git_origin.head(), status(git_origin)) == (head, dirty)


def test_the_undo_of_one_of_two_commits_of_a_run_takes_only_its_own(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    first = bench.step("commit", {"paths": "RELEASE"})
    assert first.act().ok
    between = git_origin.head()
    second = bench.step("commit")
    assert second.act().ok

    assert second.undo().ok
    assert second.undo().ok
    assert git_origin.head() == between
    assert first.undo().ok
    assert git_origin.head() == git_origin.published()


def test_a_published_commit_stays_in_the_history(bench: Bench, git_origin: GitOrigin) -> None:
    git_origin.good_change()
    trial = bench.step("commit")
    assert trial.act().ok
    git_origin.push()
    head = git_origin.head()

    assert trial.undo().ok

    assert git_origin.head() == head
    assert bench.said == [f"{head} is published and stays in the history"]


def test_an_unpublished_commit_under_others_is_reverted(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    trial = bench.step("commit", {"message": "Ship it"})
    assert trial.act().ok
    commit = git_origin.head()
    (git_origin.copy / "later.txt").write_text("somebody's later work")
    git_origin.commit("Later")
    (git_origin.copy / "later.txt").write_text("uncommitted work")

    for _ in range(2):
        assert trial.undo().ok
        assert (git_origin.copy / "RELEASE").read_text() == "1\n"
        assert git_origin.git("log", "--format=%s", "-3").splitlines() == [
            'Revert "Ship it"', "Later", "Ship it",
        ]  # fmt: skip
    body = git_origin.git("log", "-1", "--format=%b").strip()
    assert body == f"This reverts commit {commit}.\n\nBackout-Undo: {RUN}"
    assert (git_origin.copy / "later.txt").read_text() == "uncommitted work"
    assert len(git_origin.git("worktree", "list").splitlines()) == 1


def test_a_crash_after_the_commit_is_recalled_with_the_commit(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    trial = bench.step("commit")
    trial.act()

    recalled = trial.recall()

    assert recalled is not None
    assert recalled.ok
    assert recalled.saved == {"commit": git_origin.head()}


def test_a_commit_that_never_began_is_recalled_as_such(bench: Bench) -> None:
    trial = bench.step("commit")
    trial.before()

    assert trial.recall() is None


def test_a_refusing_hook_is_heard_and_leaves_nothing_staged(
    bench: Bench, git_origin: GitOrigin
) -> None:
    hook = git_origin.copy / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho 'lint: no semicolons' >&2\nexit 1\n")
    hook.chmod(0o755)
    (git_origin.copy / "new.txt").write_text("new;")

    result = bench.step("commit", {"paths": "new.txt"}).act()

    assert (result.state, result.reason) == (State.FAILED, "lint: no semicolons")
    assert status(git_origin) == "?? new.txt\n"


@pytest.mark.parametrize("paths", [(), "app.py"])
def test_a_hook_that_takes_the_runs_name_out_is_refused_and_nothing_is_committed(
    bench: Bench, git_origin: GitOrigin, paths: object
) -> None:
    """The way back finds the commit by it."""
    git_origin.good_change()
    changed, head = status(git_origin), git_origin.head()
    hook = git_origin.copy / ".git/hooks/commit-msg"
    hook.write_text("#!/bin/sh\necho 'TICKET-1 deploy' >\"$1\"\n")
    hook.chmod(0o755)

    result = bench.step("commit", {"paths": paths} if paths else {}).act()

    assert result.state is State.FAILED
    assert result.reason == "a hook of the repository took the line Backout-Run out of the message"
    assert (git_origin.head(), status(git_origin)) == (head, changed)


def test_a_hook_that_commits_something_more_is_no_reason_to_fail(
    bench: Bench, git_origin: GitOrigin
) -> None:
    git_origin.good_change()
    hook = git_origin.copy / ".git/hooks/post-commit"
    hook.write_text(
        '#!/bin/sh\n[ -z "$MORE" ] || exit 0\nexport MORE=1\ngit commit -q --allow-empty -m More\n'
    )
    hook.chmod(0o755)

    result = bench.step("commit").act()

    assert result.ok
    assert git_origin.git("log", "-1", "--format=%s") == "More\n"


@pytest.mark.parametrize("adds", [True, False])
def test_a_hook_that_changes_files_is_taken_back_with_the_commit(
    bench: Bench, git_origin: GitOrigin, adds: bool
) -> None:
    git_origin.good_change()
    hook = git_origin.copy / ".git/hooks/pre-commit"
    hook.write_text(f"#!/bin/sh\necho formatted >>RELEASE\n{'git add RELEASE' if adds else ''}\n")
    hook.chmod(0o755)
    head, trial = git_origin.head(), bench.step("commit")

    assert trial.act().ok
    assert trial.undo().ok

    assert git_origin.head() == head
    assert (git_origin.copy / "RELEASE").read_text().endswith("formatted\n"), "nothing is lost"


def merge_in_progress(origin: GitOrigin) -> None:
    origin.git("checkout", "-q", "-b", "side")
    origin.git("commit", "-q", "--allow-empty", "-m", "Side")
    origin.git("checkout", "-q", "main")
    origin.git("merge", "-q", "--no-ff", "--no-commit", "side")


def another_branch(origin: GitOrigin) -> None:
    origin.git("checkout", "-q", "-b", "feature")


def detached(origin: GitOrigin) -> None:
    origin.git("checkout", "-q", "--detach")


def conflict_of_a_stash(origin: GitOrigin) -> None:
    """No merge is in progress, and `git commit -a` would take the marks of the conflict along."""
    origin.git("checkout", "-q", "main")
    (origin.copy / "RELEASE").write_text("mine\n")
    origin.git("stash", "-q")
    (origin.copy / "RELEASE").write_text("theirs\n")
    origin.git("commit", "-q", "-a", "-m", "Theirs")
    with pytest.raises(AssertionError, match="stash pop"):
        origin.git("stash", "pop")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (merge_in_progress, "a merge is unfinished"),
        (conflict_of_a_stash, "RELEASE in .*: both sides of a conflict would be committed"),
        (another_branch, "is on branch feature, and the target's branch is main"),
        (detached, "is on no branch"),
    ],
)
def test_a_working_copy_in_another_state_is_refused(
    bench: Bench, git_origin: GitOrigin, state: object, words: str
) -> None:
    assert callable(state)
    state(git_origin)

    with pytest.raises(Refused, match=words):
        bench.step("commit").before()


def test_a_missing_repository_is_refused_in_gits_words(bench: Bench, tmp_path: Path) -> None:
    bench.source = Source(repository=str(tmp_path / "nowhere"))

    with pytest.raises(Refused, match=r"nowhere.*No such file"):
        bench.step("commit").before()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no-such.txt", "no such file"),
        ("ignored.log", "ignored"),
        ("../outside", "outside|no such"),
    ],
)
def test_a_path_that_cannot_be_committed_is_refused_by_name(
    bench: Bench, git_origin: GitOrigin, path: str, words: str
) -> None:
    (git_origin.copy / ".gitignore").write_text("*.log\n")
    (git_origin.copy / "ignored.log").write_text("x")
    (git_origin.copy.parent / "outside").write_text("x")

    with pytest.raises(Refused, match=f"(?s){path} cannot be committed: .*({words})"):
        bench.step("commit", {"paths": [path]}).before()


def test_the_undo_can_be_typed_by_a_person(bench: Bench, git_origin: GitOrigin) -> None:
    head = git_origin.head()
    git_origin.good_change()
    trial = bench.step("commit")
    trial.act()

    subprocess.run(["sh", "-c", trial.way_back.text], check=True)

    assert git_origin.head() == head


@pytest.mark.parametrize("published", [True, False])
def test_on_another_machine_without_the_branch_there_is_nothing_to_take_off(
    bench: Bench, git_origin: GitOrigin, published: bool
) -> None:
    """A pipeline checks out a commit, and no branch."""
    git_origin.good_change()
    trial = bench.step("commit")
    assert trial.act().ok
    if published:
        git_origin.push()
    shutil.rmtree(git_origin.copy)
    git_origin.clone(git_origin.copy)
    git_origin.git("checkout", "-q", "--detach")
    git_origin.git("branch", "-D", "main")

    result = trial.undo()

    assert result.ok, result.reason
    assert "what was committed is not here" in bench.said
