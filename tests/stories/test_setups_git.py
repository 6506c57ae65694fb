"""Repositories and directories as people have them, and what `update`, `commit` and `push` make
of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backout.adapters.lease import LeaseLock
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import Host, Release, Source, State
from support.git_origin import GitOrigin
from support.project import Project
from support.work import RUN, Bench, Trial

Maker = Callable[[Path], None]


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    return tmp_path / "srv"


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path, srv: Path) -> Bench:
    source = Source(repository=str(git_origin.copy), directory=str(srv))
    made = Bench(tmp_path, source, release=Release(1, git_origin.head()))
    assert made.step("update").act().ok
    return made


def release(bench: Bench, origin: GitOrigin, *added: str, number: int = 2) -> Trial:
    """The next release, published, which brings these files; not deployed yet."""
    origin.good_change()
    for name in added:
        path = origin.copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("the release's")
        origin.git("add", "-f", name)
    bench.release = Release(number, origin.commit(f"Release {number}"))
    origin.push()
    bench.run = f"{RUN}-{number}"
    return bench.step("update")


# --- what stands in the way ----------------------------------------------------------------


def a_file(path: Path) -> None:
    path.write_text("the host's")


def a_link(path: Path) -> None:
    elsewhere = path.parents[1] / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "photo").write_text("the host's")
    path.symlink_to(elsewhere)


def a_dangling_link(path: Path) -> None:
    path.symlink_to("/nowhere")


def a_directory(path: Path) -> None:
    path.mkdir()
    (path / "photo").write_text("the host's")


@pytest.mark.parametrize(
    ("made", "brought", "ignored"),
    [
        (a_file, "config/deep/er/app.yml", True),
        (a_file, "config/app.yml", False),
        (a_file, "config", True),
        (a_link, "config/.gitkeep", True),
        (a_link, "config", False),
        (a_dangling_link, "config/app.yml", True),
        (a_dangling_link, "config", False),
        (a_directory, "config", True),
        (a_directory, "config/photo", False),
    ],
)
def test_what_git_does_not_know_on_the_host_is_refused_by_name_and_stays(
    bench: Bench, git_origin: GitOrigin, srv: Path, made: Maker, brought: str, ignored: bool
) -> None:
    if ignored:
        (srv / ".git/info/exclude").write_text("/config\n")
    made(srv / "config")
    before = _tree(srv)

    trial = release(bench, git_origin, brought)

    with pytest.raises(Refused, match=r"the release would overwrite.*: config.*"):
        trial.before()
    result = trial.kind.act(trial.work)
    assert result.state is State.FAILED
    assert "not known to git: config" in result.reason
    assert "move it away" in result.reason
    assert _tree(srv) == before
    assert (srv / "RELEASE").read_text() == "1\n"


def test_a_directory_of_the_commit_may_become_a_file_and_a_file_a_directory(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    assert release(bench, git_origin, "a/one", "b").act().ok
    git_origin.git("rm", "-q", "a/one", "b")
    trial = release(bench, git_origin, "a", "b/two", number=3)

    assert trial.act().ok

    assert (srv / "a").is_file()
    assert (srv / "b/two").is_file()
    assert trial.undo().ok
    assert (srv / "a/one").is_file()
    assert (srv / "b").is_file()


def test_a_directory_that_becomes_a_file_keeps_what_the_application_put_there(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    assert release(bench, git_origin, "cache/.gitkeep").act().ok
    (srv / "cache/page").write_text("the host's")
    git_origin.git("rm", "-q", "cache/.gitkeep")
    trial = release(bench, git_origin, "cache", number=3)

    assert "not known to git: cache" in trial.kind.act(trial.work).reason

    assert (srv / "cache/page").read_text() == "the host's"


def test_a_change_that_git_was_told_not_to_see_is_not_overwritten(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    _git(srv, "update-index", "--assume-unchanged", "RELEASE")
    (srv / "RELEASE").write_text("the host's")
    trial = release(bench, git_origin)

    result = trial.kind.act(trial.work)

    assert "told to look unchanged" in result.reason
    assert "RELEASE" in result.reason
    assert (srv / "RELEASE").read_text() == "the host's"


def test_a_first_deploy_through_a_link_is_refused(
    git_origin: GitOrigin, tmp_path: Path, srv: Path
) -> None:
    srv.mkdir()
    a_link(srv / "uploads")
    source = Source(repository=str(git_origin.copy), directory=str(srv))
    bench = Bench(tmp_path, source)
    trial = release(bench, git_origin, "uploads/.gitkeep")

    with pytest.raises(Refused, match="would overwrite: uploads"):
        trial.before()

    assert (srv / "uploads").is_symlink()


# --- the service's own directory --------------------------------------------------------------


@pytest.mark.parametrize("home", ["srv/api/.backout", "srv/.backout/eu/api", "srv/api/state"])
def test_a_first_deploy_makes_the_services_directory_readable_and_its_own_private(
    tmp_path: Path, home: str
) -> None:
    here = LocalTransport(
        Host(name="here", connection="local"), str(tmp_path / home), Vault({}, tmp_path)
    )
    before = os.umask(0o022)
    try:
        with LeaseLock("prod").hold([here], "run-1"):
            pass
    finally:
        os.umask(before)

    modes = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777
        for path in (tmp_path / home, *(tmp_path / home).parents)
        if path.is_relative_to(tmp_path / "srv")
    }
    ours = {name for name in modes if ".backout" in name or name.endswith("state")}
    assert modes == {name: 0o700 if name in ours else 0o755 for name in modes}


# --- branches, tags and another repository's environment ---------------------------------------


def test_a_tag_of_the_branchs_name_is_not_the_branch(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    _git(srv, "checkout", "-q", "-b", "main")
    for copy in (git_origin.copy, srv):
        _git(copy, "tag", "main")
    git_origin.git("push", "-q", "origin", "refs/tags/main")
    git_origin.good_change()

    assert bench.step("commit").act().ok
    assert bench.step("push").act().ok
    bench.release = Release(2, git_origin.head())
    trial = bench.step("update")
    assert trial.act().ok
    assert trial.undo().ok

    assert _git(srv, "symbolic-ref", "HEAD") == "refs/heads/main"


def test_a_deploy_from_a_hook_acts_on_the_host_and_not_on_the_hooks_repository(
    bench: Bench, git_origin: GitOrigin, srv: Path, tmp_path: Path
) -> None:
    """A hook in a linked worktree is given GIT_DIR and GIT_INDEX_FILE, which beat `git -C`."""
    git_origin.git("checkout", "-q", "--detach")
    tree = tmp_path / "tree"
    git_origin.git("worktree", "add", "-q", str(tree), "main")
    project = Project(tmp_path / "project")
    there = {"command": "true", "expect": ["exit_code == 0"]}
    project.inventory(
        "prod",
        {
            "hosts": {"here": {"connection": "local"}},
            "source": {"repository": str(tree), "directory": str(srv)},
            "rollout": {"soak": 0},
            "checks": {"there": there},
        },
    )
    steps = [
        {"name": "Push", "push": {}},
        {"name": "Update", "update": {}, "on": "all"},
        {
            "name": "Its own",
            "run": f"git rev-parse HEAD > {tmp_path}/seen",
            "undo": "true",
            "cwd": str(srv),
            "on": "all",
        },
    ]
    project.runbook("deploy", {"steps": steps, "settle": [{"name": "Prove", "verify": "all"}]})
    hook = git_origin.copy / ".git/hooks/post-commit"
    hook.write_text(
        f"#!/bin/sh\ncd {project.directory} && exec {sys.executable} -m backout deploy"
        f" --target prod --yes --json >{tmp_path}/said 2>&1\n"
    )
    hook.chmod(0o755)

    _git(tree, "commit", "-q", "--allow-empty", "-m", "From a worktree")

    head = _git(tree, "rev-parse", "HEAD")
    assert _git(srv, "rev-parse", "HEAD") == head, (tmp_path / "said").read_text()
    assert (tmp_path / "seen").read_text().strip() == head
    assert _git(tree, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert _git(tree, "status", "--porcelain") == ""


def _git(directory: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(directory), *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def _tree(directory: Path) -> dict[str, str]:
    """Every path outside git's own, and what is there."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if name.startswith(".git/"):
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = path.read_text() if path.is_file() else "/"
    return found
