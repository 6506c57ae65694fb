"""`update` of a real directory by both strategies that use git, and its way back."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Release, Source, State
from backout.runs.once import Asked
from support.git_origin import GitOrigin, every_file, served
from support.work import RUN, Bench, Trial


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """Where the code goes; the name is awkward on purpose."""
    return tmp_path / "srv's own/my app"


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path, srv: Path) -> Bench:
    source = Source(repository=str(git_origin.copy), directory=str(srv))
    return Bench(tmp_path, source, release=Release(1, git_origin.head()))


def by_releases(bench: Bench, **options: object) -> None:
    assert bench.source is not None
    bench.source = bench.source.model_copy(update={"strategy": "releases", **options})


def release(bench: Bench, origin: GitOrigin, number: int) -> Trial:
    """Publish a release and update to it, as a run of its own."""
    if origin.version < number:
        origin.good_change()
        (origin.copy / f"only-in-{number}.txt").write_text("x")
        bench.release = Release(number, origin.commit(f"Release {number}"))
        origin.push()
    bench.run = f"{RUN}-{number}"
    trial = bench.step("update")
    assert trial.act().ok
    return trial


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def test_every_host_gets_a_release_from_where_the_first_one_got_it(
    bench: Bench, git_origin: GitOrigin
) -> None:
    """What the working copy says is asked once for all of them."""
    trial = bench.step("update")
    trial.work = replace(trial.work, once=Asked())
    trial.before()
    git(git_origin.copy, "remote", "remove", "origin")
    assert trial.act().ok
    with pytest.raises(Refused, match="remote origin of"):
        bench.step("update").before()


# --- checkout ----------------------------------------------------------------------------


def test_a_first_deploy_checks_the_commit_out_and_its_undo_removes_it(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    srv.mkdir(parents=True)
    (srv / "data.db").write_text("precious")
    trial = release(bench, git_origin, 1)
    assert git(srv, "rev-parse", "HEAD") == git_origin.head()
    assert (srv / "RELEASE").read_text() == "1\n"

    for _ in range(2):
        assert trial.undo().ok
        assert [path.name for path in srv.iterdir()] == ["data.db"]


def test_the_undo_of_a_first_deploy_keeps_what_was_changed_by_hand_since(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    name = "it's -odd ü.conf"
    (git_origin.copy / name).write_text("as released")
    git_origin.git("add", name)
    bench.release = Release(1, git_origin.commit("Release 1"))
    git_origin.push()
    trial = release(bench, git_origin, 1)
    (srv / name).write_text("changed by hand")
    (srv / "staged").write_text("added by hand")
    git(srv, "add", "staged")
    (srv / "RELEASE").write_text("hidden from git")
    git(srv, "update-index", "--assume-unchanged", "RELEASE")
    git(srv, "update-index", "--skip-worktree", "RELEASE")

    for _ in range(2):
        assert trial.undo().ok
        left = {path.name: path.read_text() for path in srv.iterdir()}
        assert left == {
            f"{name}.{RUN}-1": "changed by hand",
            f"RELEASE.{RUN}-1": "hidden from git",
            "staged": "added by hand",
        }
    assert f"{name} is kept as {name}.{RUN}-1" in bench.said


@pytest.mark.parametrize("by_hand", ["stash", "commit", "branch"])
def test_the_undo_of_a_first_deploy_keeps_the_history_that_others_wrote_there(
    bench: Bench, git_origin: GitOrigin, srv: Path, by_hand: str
) -> None:
    first, second = release(bench, git_origin, 1), release(bench, git_origin, 2)
    (srv / "RELEASE").write_text("precious")
    if by_hand == "branch":
        git(srv, "checkout", "-q", "-b", "hotfix")
    if by_hand != "stash":
        me = ("-c", "user.name=Me", "-c", "user.email=me@example.invalid")
        git(srv, *me, "commit", "-q", "-a", "-m", "By hand")
    wrote = "" if by_hand == "stash" else git(srv, "rev-parse", "HEAD")
    assert second.undo().ok

    for _ in range(2):
        assert first.undo().ok
        assert [path.name for path in srv.iterdir()] == [f".git.{RUN}-1"]
    kept = f"--git-dir={srv}/.git.{RUN}-1"
    assert git(srv, kept, "show", f"{wrote or 'stash'}:RELEASE") == "precious"
    assert any(f".git.{RUN}-1" in line for line in bench.said)


def test_the_way_back_is_the_commit_before(bench: Bench, git_origin: GitOrigin, srv: Path) -> None:
    release(bench, git_origin, 1)
    first = git_origin.head()
    (srv / "data.db").write_text("precious")
    trial = release(bench, git_origin, 2)
    assert (srv / "RELEASE").read_text() == "2\n"

    for _ in range(2):
        assert trial.undo().ok
        assert git(srv, "rev-parse", "HEAD") == first
        assert (srv / "RELEASE").read_text() == "1\n"
    assert not (srv / "only-in-2.txt").exists()
    assert (srv / "data.db").read_text() == "precious"


def test_a_branch_that_was_checked_out_by_hand_is_attached_again(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    srv.parent.mkdir()
    git_origin.clone(srv)
    trial = release(bench, git_origin, 2)
    assert git(srv, "symbolic-ref", "-q", "HEAD") == ""

    assert trial.undo().ok

    assert git(srv, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert (srv / "RELEASE").read_text() == "1\n"
    assert git(srv, "status", "--porcelain") == ""


def test_the_undo_of_an_update_that_never_ran_changes_nothing(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    srv.parent.mkdir()
    git_origin.clone(srv)
    trial = bench.step("update")
    trial.before()

    assert trial.undo().ok

    assert git(srv, "symbolic-ref", "HEAD") == "refs/heads/main"


def test_the_undo_of_a_first_deploy_that_never_ran_spares_a_clone_made_meanwhile(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    trial = bench.step("update")
    trial.before()
    assert trial.undo().ok
    srv.parent.mkdir()
    git_origin.clone(srv)

    assert trial.undo().ok

    assert (srv / "RELEASE").read_text() == "1\n"


def test_files_changed_on_the_host_are_refused_by_name(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    release(bench, git_origin, 1)
    (srv / "RELEASE").write_text("hotfix")

    with pytest.raises(Refused, match=r"changed by hand in .*: RELEASE"):
        bench.step("update").before()


def test_a_first_deploy_over_existing_files_is_refused_by_name(bench: Bench, srv: Path) -> None:
    srv.mkdir(parents=True)
    (srv / "RELEASE").write_text("by hand")

    with pytest.raises(Refused, match=r"is no repository, .* would overwrite: RELEASE"):
        bench.step("update").before()


def test_an_untracked_file_is_not_overwritten_by_a_release_that_brings_one(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    release(bench, git_origin, 1)
    (srv / ".gitignore").write_text("*.env\n")
    (srv / "prod.env").write_text("the host's")
    (git_origin.copy / "prod.env").write_text("the release's")
    bench.release = Release(2, git_origin.commit("Release 2"))
    git_origin.push()

    with pytest.raises(Refused, match=r"does not know there: prod\.env"):
        bench.step("update").act()

    assert (srv / "prod.env").read_text() == "the host's"
    assert (srv / "RELEASE").read_text() == "1\n"


def test_a_file_that_git_knows_again_on_the_way_back_is_moved_aside(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    name = "it's -odd $(x).json"
    (git_origin.copy / name).write_text("tracked")
    (git_origin.copy / ".gitignore").write_text("*.json\n")
    git_origin.git("add", "-f", name)
    bench.release = Release(1, git_origin.commit("Release 1"))
    git_origin.push()
    release(bench, git_origin, 1)
    git_origin.git("rm", "-q", "--cached", name)
    trial = release(bench, git_origin, 2)
    (srv / name).write_text("written by the application")

    for _ in range(2):
        assert trial.undo().ok
        assert (srv / name).read_text() == "tracked"
        assert (srv / f"{name}.{RUN}-2").read_text() == "written by the application"
    assert f"{name} is kept as {name}.{RUN}-2" in bench.said


def test_what_was_changed_since_is_kept_in_the_stash(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    release(bench, git_origin, 1)
    trial = release(bench, git_origin, 2)
    (srv / "RELEASE").write_text("written by a build step")

    assert trial.undo().ok

    assert (srv / "RELEASE").read_text() == "1\n"
    assert git(srv, "stash", "list") == f"stash@{{0}}: On (no branch): {RUN}-2"
    assert "is kept" in bench.said[-1]


def test_a_commit_that_was_not_pushed_fails_in_words(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    release(bench, git_origin, 1)
    git_origin.good_change()
    commit = git_origin.commit("Not pushed")
    bench.release = Release(2, commit)
    trial = bench.step("update")

    result = trial.act()

    assert result.state is State.FAILED
    assert f"{commit[:7]} is not on origin/main: push it first" in result.reason
    assert trial.undo().ok
    assert (srv / "RELEASE").read_text() == "1\n"


def test_an_update_killed_half_way_is_taken_back_whole(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    """A filter that kills git in the middle of the checkout stands for a power cut."""
    release(bench, git_origin, 1)
    (git_origin.copy / ".gitattributes").write_text("zz* filter=boom\n")
    for name in ("aa.txt", "zz.txt"):
        (git_origin.copy / name).write_text(name)
    git_origin.good_change()
    bench.release = Release(2, git_origin.commit("Release 2"))
    git_origin.push()
    (git_origin.copy.parent / "boom").write_text("#!/bin/sh\nkill -KILL $PPID\n")
    git(srv, "config", "filter.boom.smudge", f"exec sh {git_origin.copy.parent}/boom")
    trial = bench.step("update")
    result = trial.act()
    assert result.exit_code == 128 + signal.SIGKILL
    assert (srv / "aa.txt").exists(), "the checkout stopped half way"
    assert (srv / ".git/index.lock").exists()
    git(srv, "config", "--unset", "filter.boom.smudge")

    assert trial.undo().ok

    assert git(srv, "status", "--porcelain") == ""
    assert (srv / "RELEASE").read_text() == "1\n"
    assert not (srv / "aa.txt").exists()


def test_a_crash_after_the_update_is_recalled(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    trial = bench.step("update")
    trial.before()
    trial.act()

    recalled = trial.recall()

    assert recalled is not None
    assert recalled.ok


def test_a_relative_remote_is_found_from_the_host(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    git_origin.git("remote", "set-url", "origin", "../origin.git")

    release(bench, git_origin, 1)

    assert (srv / "RELEASE").read_text() == "1\n"


def test_an_unknown_strategy_and_a_missing_directory_are_refused(bench: Bench) -> None:
    assert bench.source is not None
    bench.source = bench.source.model_copy(update={"strategy": "rsync"})
    with pytest.raises(Refused, match="no strategy 'rsync'"):
        bench.step("update").before()
    bench.source = bench.source.model_copy(update={"strategy": "checkout", "directory": ""})
    with pytest.raises(Refused, match=r"source\.directory is missing"):
        bench.step("update").before()


# --- releases ----------------------------------------------------------------------------


def live(srv: Path) -> str:
    """The number of the release that is live; empty when none is."""
    return (srv / "current/RELEASE").read_text().strip() if (srv / "current").is_symlink() else ""


def kept(srv: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (srv / "releases").iterdir())


def test_a_release_is_built_aside_and_switched_to(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    by_releases(bench)

    trial = release(bench, git_origin, 1)

    name = f"1-{git_origin.head()[:7]}"
    assert (srv / "current").readlink() == Path("releases") / name
    assert live(srv) == "1"
    assert [path.name for path in (srv / "releases").iterdir()] == [name]
    for _ in range(2):
        assert trial.undo().ok
        assert live(srv) == ""


def test_going_back_switches_to_the_release_that_was_live(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    by_releases(bench)
    release(bench, git_origin, 1)
    trial = release(bench, git_origin, 2)
    assert live(srv) == "2"

    for _ in range(2):
        assert trial.undo().ok
        assert live(srv) == "1"


def test_an_undo_where_nothing_was_switched_leaves_the_link(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    by_releases(bench)
    release(bench, git_origin, 1)
    trial = bench.step("update")
    trial.before()

    assert trial.undo().ok

    assert live(srv) == "1"


def test_a_release_that_was_pruned_meanwhile_is_built_again(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    by_releases(bench, keep=2, shared=("etc/secret key", "log/"))
    (srv / "shared/etc").mkdir(parents=True)
    (srv / "shared/etc/secret key").write_text("s3cret")
    trials = [release(bench, git_origin, number) for number in (1, 2, 3, 4)]
    assert kept(srv) == ["3", "4"]

    for number, trial in ((3, trials[3]), (2, trials[2]), (1, trials[1])):
        assert trial.undo().ok
        assert live(srv) == str(number)
        assert (srv / "current/etc/secret key").read_text() == "s3cret"
        assert (srv / "current/log").resolve() == (srv / "shared/log").resolve()


def test_retention_counts_numbers_and_spares_what_is_live_and_what_is_not_ours(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    by_releases(bench, keep=2)
    release(bench, git_origin, 1)
    for name in ("8-aaaaaaa", "9-bbbbbbb", "10-ccccccc", "by-hand", ".building-7-ddddddd"):
        (srv / "releases" / name).mkdir()

    release(bench, git_origin, 2)

    assert sorted(path.name for path in (srv / "releases").iterdir()) == sorted(
        ["10-ccccccc", "9-bbbbbbb", "by-hand"]
        + [path.name for path in (srv / "releases").iterdir() if path.name.startswith(("1-", "2-"))]
    )
    assert kept(srv) == ["1", "10", "2", "9", "by"]
    assert live(srv) == "2"


def test_a_missing_shared_file_and_a_current_that_is_no_link_are_refused(
    bench: Bench, srv: Path
) -> None:
    by_releases(bench, shared=(".env",))
    with pytest.raises(Refused, match=r"shared/\.env does not exist"):
        bench.step("update").before()
    by_releases(bench, shared=("../.env",))
    with pytest.raises(Refused, match="not a path within the release"):
        bench.step("update").before()
    by_releases(bench, shared=())
    (srv / "current").mkdir(parents=True)
    with pytest.raises(Refused, match="current is not a link"):
        bench.step("update").before()


def test_a_build_that_fails_leaves_the_live_release_alone(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    by_releases(bench)
    release(bench, git_origin, 1)
    bench.release = Release(2, "0" * 40)
    trial = bench.step("update")

    result = trial.act()

    assert "0000000 is not on origin/main" in result.reason
    assert trial.undo().ok
    assert live(srv) == "1"


def test_a_release_that_was_never_finished_is_removed_by_the_next(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    by_releases(bench)
    release(bench, git_origin, 1)
    (srv / "releases/.building-2-0000000").mkdir()
    (srv / "releases/.building-2-0000000.index.lock").write_text("")

    release(bench, git_origin, 2)

    assert kept(srv) == ["1", "2"]


def test_names_with_every_awkward_character_arrive(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    names = ["two words", "it's", '"q"', "übung ✓", "-x", "new\nline", "$HOME", "a*b"]
    for name in names:
        (git_origin.copy / name).write_text(name)
    bench.release = Release(1, git_origin.commit("Awkward"))
    git_origin.push()
    release(bench, git_origin, 1)
    assert all((srv / name).read_text() == name for name in names)

    by_releases(bench, directory=f"{srv} by releases")
    release(bench, git_origin, 1)
    assert all((Path(f"{srv} by releases/current") / name).read_text() == name for name in names)


@pytest.mark.parametrize("shared", ["config/x", "config/x/", "a/config/deep/x"])
def test_a_shared_path_behind_a_link_of_the_repository_is_refused_and_nothing_there_is_touched(
    bench: Bench, git_origin: GitOrigin, srv: Path, tmp_path: Path, shared: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    for place in (outside / "x", outside / "deep/x"):
        place.write_text("precious")
    link = git_origin.copy / shared.partition("config")[0] / "config"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside)
    git_origin.git("add", "-A")
    bench.release = Release(1, git_origin.commit("A link"))
    git_origin.push()
    made = srv / "shared" / shared
    made.parent.mkdir(parents=True)
    if not shared.endswith("/"):
        made.write_text("shared")
    by_releases(bench, shared=(shared,))

    result = bench.step("update").act()

    assert result.state is State.FAILED
    assert "a link in the repository" in result.reason
    assert [p.read_text() for p in (outside / "x", outside / "deep/x")] == ["precious"] * 2


@pytest.mark.parametrize("strategy", ["checkout", "releases"])
def test_a_token_in_the_remotes_address_stands_in_no_argument_and_no_file_of_the_host(
    bench: Bench,
    git_origin: GitOrigin,
    srv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
) -> None:
    trace = tmp_path / "trace"
    by_releases(bench, strategy=strategy)
    with served(git_origin.origin, "deploy", "t%ken") as address:
        url = address.replace("//", "//deploy:t%25ken@")
        git_origin.git("remote", "set-url", "origin", url)
        monkeypatch.setenv("GIT_TRACE", str(trace))
        trial = bench.step("update")
        assert trial.act().ok
    read = [trace.read_text(), *(p.read_text(errors="replace") for p in every_file(srv))]
    assert address in read[0], "the server was asked"
    assert not [text for text in read if "t%ken" in text or "t%25ken" in text]


def test_a_remote_that_is_a_program_or_an_option_is_refused(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path
) -> None:
    for url in (f"ext::touch {tmp_path}/made", f"--upload-pack=touch {tmp_path}/made"):
        git_origin.git("config", "remote.origin.url", url)
        with pytest.raises(Refused, match="remote origin of"):
            bench.step("update").before()
    assert not (tmp_path / "made").exists()
