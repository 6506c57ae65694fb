"""Repositories and directories as people have them, and what `update`, `commit` and `push` make
of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.lease import LeaseLock
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import Host, Release, Source, State
from support.deployed import git, over, release
from support.git_origin import GitOrigin
from support.project import Project, Said
from support.work import Bench, Trial

Maker = Callable[[Path], None]
Step = Mapping[str, Any]


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    return tmp_path / "srv"


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path, srv: Path) -> Bench:
    made = over(git_origin, tmp_path, srv)
    assert made.step("update").act().ok
    return made


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
    git(srv, "update-index", "--assume-unchanged", "RELEASE")
    (srv / "RELEASE").write_text("the host's")
    trial = release(bench, git_origin)

    result = trial.kind.act(trial.work)

    assert "told to look unchanged" in result.reason
    assert "RELEASE" in result.reason
    assert (srv / "RELEASE").read_text() == "the host's"


def test_a_sparse_checkout_stays_one(bench: Bench, git_origin: GitOrigin, srv: Path) -> None:
    assert release(bench, git_origin, "docs/guide").act().ok
    git(srv, "sparse-checkout", "set", "--no-cone", "/*", "!/docs/")
    assert not (srv / "docs").exists()
    (git_origin.copy / "docs/guide").write_text("the next one")
    trial = release(bench, git_origin, "docs/more", number=3)

    assert trial.act().ok
    assert (srv / "RELEASE").read_text() == "3\n"
    assert not (srv / "docs").exists()
    assert trial.undo().ok
    assert (srv / "RELEASE").read_text() == "2\n"


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
    git(srv, "checkout", "-q", "-b", "main")
    for copy in (git_origin.copy, srv):
        git(copy, "tag", "main")
    git_origin.git("push", "-q", "origin", "refs/tags/main")
    git_origin.good_change()

    assert bench.step("commit").act().ok
    assert bench.step("push").act().ok
    bench.release = Release(2, git_origin.head())
    trial = bench.step("update")
    assert trial.act().ok
    assert trial.undo().ok

    assert git(srv, "symbolic-ref", "HEAD") == "refs/heads/main"


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

    git(tree, "commit", "-q", "--allow-empty", "-m", "From a worktree")

    head = git(tree, "rev-parse", "HEAD")
    assert git(srv, "rev-parse", "HEAD") == head, (tmp_path / "said").read_text()
    assert (tmp_path / "seen").read_text().strip() == head
    assert git(tree, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert git(tree, "status", "--porcelain") == ""


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


# --- releases that are built ---------------------------------------------------------------


class Shop:
    """An application that comes in releases, on this machine, from a repository of its own."""

    def __init__(self, directory: Path, origin: GitOrigin) -> None:
        self.origin, self.srv = origin, directory / "srv"
        self.project = Project(directory / "project")
        self.inventory()

    def inventory(self, **changes: object) -> None:
        source = {
            "repository": str(self.origin.copy),
            "directory": str(self.srv),
            "strategy": "releases",
            "keep": 2,
        }
        built = f'cd {self.srv}/current && test "$(cat built)" = "$(cat RELEASE)"'
        self.project.inventory(
            "prod",
            {
                "hosts": {"here": {"connection": "local"}},
                "source": source,
                "rollout": {"soak": 0},
                "checks": {"built": {"command": built, "expect": ["exit_code == 0"]}},
                **changes,
            },
        )

    def runbook(self, *before: Step, after: tuple[Step, ...] = ()) -> None:
        update = {"name": "Update", "update": {}, "on": "all"}
        steps = (
            [{"on": "all", **step} for step in before],
            [{"on": "all", **step} for step in after],
        )
        self.project.runbook(
            "deploy",
            {
                "steps": [*steps[0], update, *steps[1]],
                "settle": [{"name": "Prove", "verify": "all"}],
            },
        )

    def deploy(self, times: int = 1, *words: str) -> Said:
        for _ in range(times):
            self.origin.good_change()
            self.origin.commit("Another")
            self.origin.push()
            said = self.say("deploy", *words)
        return said

    def say(self, verb: str, *words: str) -> Said:
        return self.project.say(verb, "--target", "prod", "--json", *words)

    @property
    def live(self) -> str:
        return (self.srv / "current/RELEASE").read_text().strip()


@pytest.fixture
def shop(tmp_path: Path, git_origin: GitOrigin) -> Shop:
    return Shop(tmp_path, git_origin)


BUILD = {"name": "Build", "build": 'cp RELEASE "$AS"; pwd >> log', "env": {"AS": "built"}}


def test_a_release_is_built_before_it_is_live_and_again_when_it_was_removed(shop: Shop) -> None:
    shop.runbook(BUILD, {"name": "In a folder", "build": "cp ../built two", "cwd": "part"})
    (shop.origin.copy / "part").mkdir()
    (shop.origin.copy / "part/.keep").touch()
    said = shop.deploy(4)
    assert said.code == 0, said.out
    first = shop.live
    releases = shop.srv / "releases"
    assert len([path for path in releases.iterdir() if path.is_dir()]) == 2

    rolled = shop.say("rollback", "--to", "1")

    assert rolled.code == 0, rolled.out
    assert int(shop.live) == int(first) - 3
    current = (shop.srv / "current").resolve()
    assert (current / "log").read_text() == f"{current}\n", "it was built in its own place, once"
    assert (current / "part/two").read_text() == (current / "RELEASE").read_text()


def test_a_build_that_fails_leaves_nothing_and_touches_nothing_that_is_live(shop: Shop) -> None:
    shop.runbook(BUILD)
    assert shop.deploy().code == 0
    before = sorted(shop.srv.rglob("*"))
    shop.runbook(BUILD, {"name": "Tests", "build": "false"})

    assert shop.deploy().code == 4

    after = sorted(path for path in shop.srv.rglob("*") if "/repo/" not in str(path))
    assert [path for path in after if path not in before and ".backout" not in str(path)] == []


def test_what_a_run_left_in_a_release_that_is_gone_refuses_the_rollback_before_it_acts(
    shop: Shop,
) -> None:
    left = {
        "name": "By hand",
        "run": "cp RELEASE built",
        "cwd": f"{shop.srv}/current",
        "undo": "true",
    }
    shop.runbook(after=(left,))
    said = shop.deploy(4)
    assert said.code == 0, said.out
    first = shop.live

    refused = shop.say("rollback", "--to", "1")

    assert refused.code == 3
    assert "was removed, and what steps built in it cannot be made again (built)" in refused.out
    assert shop.live == first
    assert shop.say("status").code == 0
    assert shop.say("rollback").code == 0, "the one before is still there"


def test_a_build_with_a_secret_is_not_kept_on_the_host_and_not_made_again(shop: Shop) -> None:
    shop.inventory(secrets={"token": {"command": "echo hunter2hunter2"}})
    secret = {
        "name": "Private",
        "build": 'test -n "$TOKEN"; cp RELEASE built',
        "env": {"TOKEN": "{{ secrets.token }}"},
    }
    shop.runbook(secret)
    said = shop.deploy(4)
    assert said.code == 0, said.out

    refused = shop.say("rollback", "--to", "1")

    assert refused.code == 3
    assert "its build needs TOKEN" in refused.out
    kept = (path for path in shop.srv.rglob("*") if path.is_file())
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]


@pytest.mark.parametrize(
    ("strategy", "steps", "words"),
    [
        ("checkout", [BUILD], "build needs source.strategy: releases"),
        (
            "releases",
            [{"name": "U", "update": {}}, BUILD],
            "a build step stands in `steps`, before",
        ),
    ],
)
def test_a_build_that_cannot_be_meant_is_a_mistake(
    shop: Shop, strategy: str, steps: list[Step], words: str
) -> None:
    shop.inventory(source={"directory": str(shop.srv), "strategy": strategy})
    shop.runbook(*steps)

    said = shop.say("plan", "--offline")

    assert said.code == 2
    assert words in said.out


def test_status_says_what_current_points_to_and_not_what_was_written_down(shop: Shop) -> None:
    shop.runbook(BUILD)
    assert shop.deploy(2).code == 0
    one, two = sorted(p.name for p in (shop.srv / "releases").iterdir() if p.is_dir())
    (shop.srv / "current").unlink()
    (shop.srv / "current").symlink_to(f"releases/{one}")

    said = shop.say("status")

    assert said.code == 6
    assert one.partition("-")[2] in said.out
    assert two


def test_a_rollback_to_what_is_not_whole_any_more_leaves_the_release_that_is_well(
    shop: Shop,
) -> None:
    """What the old release needs went away meanwhile: its check is red for ever."""
    shop.runbook(BUILD)
    assert shop.deploy(2).code == 0
    one = next(path for path in (shop.srv / "releases").glob("1-*"))
    (one / "built").unlink()
    assert shop.say("rollback").code == 4
    assert shop.say("status").code == 0
    assert str((shop.srv / "current").readlink()).startswith("releases/2-")


def test_a_rollback_that_cannot_be_finished_has_a_way_on(shop: Shop) -> None:
    """The same, where what was done here may have been why."""
    shop.runbook({"name": "Here", "run": "true", "undo": "true", "on": None}, BUILD)
    assert shop.deploy(2).code == 0
    one = next(path for path in (shop.srv / "releases").glob("1-*"))
    (one / "built").unlink()

    stuck = shop.say("rollback")
    assert stuck.code == 5
    assert "invoke unlock --target prod --force, then invoke deploy" in stuck.data["next"]
    assert shop.say("abort").code == 3
    assert shop.deploy().code == 7
    assert shop.say("unlock", "--force", "--yes").code == 0

    assert shop.say("status").code == 6, "current is the old one, and the ledger says the new one"
    assert shop.deploy(1, "--accept-red", "built").code == 0
    assert shop.say("status").code == 0


# --- nobody in particular ------------------------------------------------------------------

CAPABLE = "+dac_override,+dac_read_search"
AS_NOBODY = (
    *("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"),
    *(f"--inh-caps={CAPABLE}", f"--ambient-caps={CAPABLE}"),
)
"""Runs a command as a user whom the machine does not know, as in a container; who may nevertheless
read Python, wherever it lies."""


def test_a_user_without_a_name_or_a_home_deploys_and_goes_back(bed_directory: Path) -> None:
    git_origin = GitOrigin(bed_directory / "git")
    shop = Shop(bed_directory, git_origin)
    shop.inventory(
        checks={"there": {"command": "true", "expect": ["exit_code == 0"]}},
        source={"repository": str(git_origin.copy), "directory": str(shop.srv)},
    )
    steps = [
        {"name": "Commit", "commit": "By {{ run.user }}"},
        {"name": "Push", "push": {}},
        {"name": "Update", "update": {}, "on": "all"},
    ]
    settle = [{"name": "Prove", "verify": "all"}]
    shop.project.runbook("deploy", {"steps": steps, "settle": settle})
    subprocess.run(["chown", "-R", "12345:12345", str(bed_directory)], check=True)
    environment = {"PATH": os.environ["PATH"]}

    def say(verb: str) -> None:
        backout = (sys.executable, "-m", "backout", verb, "--target", "prod")
        subprocess.run(
            [*AS_NOBODY, *backout],
            cwd=shop.project.directory,
            env=environment,
            check=True,
        )

    for verb in ("deploy", "deploy", "rollback", "status"):
        if verb == "deploy":
            git_origin.good_change()
        say(verb)

    assert (shop.srv / "RELEASE").read_text().strip() == "2"
    assert git(shop.srv, "log", "-1", "--format=%s") == "By 12345"


# --- what a plain checkout leaves out --------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path, git_origin: GitOrigin, monkeypatch: pytest.MonkeyPatch) -> GitOrigin:
    """A repository that the release has as its submodule `lib`, by a relative address."""
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
    made = GitOrigin(tmp_path / "git/of lib")
    git_origin.git(
        *("-c", "protocol.file.allow=always", "submodule", "add", "-q"),
        *("--name", "lib", "../of lib/origin.git", "lib"),
    )
    return made


def of_lib(bench: Bench, origin: GitOrigin, library: GitOrigin, number: int) -> Trial:
    """A release that takes the submodule's newest commit along."""
    (library.copy / "version").write_text(f"{number}")
    commit = library.commit("Another")
    library.push()
    git(origin.copy / "lib", "fetch", "-q")
    git(origin.copy / "lib", "checkout", "-q", commit)
    return release(bench, origin, number=number)


@pytest.mark.parametrize("strategy", ["checkout", "releases"])
def test_submodules_come_along_and_go_back(
    bench: Bench, git_origin: GitOrigin, library: GitOrigin, tmp_path: Path, strategy: str
) -> None:
    assert bench.source is not None
    srv = tmp_path / "elsewhere"
    changes = {"strategy": strategy, "submodules": True, "directory": str(srv)}
    bench.source = bench.source.model_copy(update=changes)
    live = srv if strategy == "checkout" else srv / "current"
    trials = []
    for number in (2, 3):
        trials.append(of_lib(bench, git_origin, library, number))
        result = trials[-1].act()
        assert result.ok, result.reason
        assert (live / "lib/version").read_text() == str(number)
    if strategy == "checkout":
        assert git(srv, "status", "--porcelain") == ""

    for _ in range(2):
        assert trials[1].undo().ok
        assert (live / "lib/version").read_text() == "2"
    assert trials[0].undo().ok
    assert not (live / "lib/version").exists()


@pytest.mark.parametrize("strategy", ["checkout", "releases"])
def test_submodules_that_nobody_spoke_of_are_refused_and_may_be_declined(
    bench: Bench, git_origin: GitOrigin, library: GitOrigin, tmp_path: Path, strategy: str
) -> None:
    assert bench.source is not None
    bench.source = bench.source.model_copy(
        update={"strategy": strategy, "directory": str(tmp_path / "elsewhere")}
    )
    trial = of_lib(bench, git_origin, library, 2)

    with pytest.raises(Refused, match="has submodules, which here would not get: lib") as refused:
        trial.before()
    assert "source.submodules: true" in refused.value.next
    assert "has submodules: lib" in trial.kind.act(trial.work).reason
    bench.source = bench.source.model_copy(update={"submodules": False})
    assert bench.step("update").act().ok


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12\n".format("0" * 64)


@pytest.mark.parametrize("strategy", ["checkout", "releases"])
def test_a_pointer_into_git_lfs_is_not_taken_for_the_file(
    bench: Bench,
    git_origin: GitOrigin,
    tmp_path: Path,
    strategy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A filter that turns pointers into files stands for git-lfs and its server."""
    settings = tmp_path / "settings"
    settings.write_text("")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    assert bench.source is not None
    srv = tmp_path / "elsewhere"
    bench.source = bench.source.model_copy(update={"strategy": strategy, "directory": str(srv)})
    (git_origin.copy / "big.bin").write_text(POINTER)
    (git_origin.copy / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    trial = release(bench, git_origin)

    with pytest.raises(Refused, match="has files in Git LFS, and git-lfs is not set up on here"):
        trial.before()
    assert "pointers into Git LFS, not as files: big.bin" in trial.kind.act(trial.work).reason

    settings.write_text('[filter "lfs"]\n\tsmudge = "cat >/dev/null; echo the file"\n')
    bench.source = bench.source.model_copy(update={"directory": f"{srv}-2"})
    assert bench.step("update").act().ok
    where = Path(f"{srv}-2") / ("" if strategy == "checkout" else "current")
    assert (where / "big.bin").read_text() == "the file\n"
    settings.write_text("")
    bench.source = bench.source.model_copy(update={"directory": f"{srv}-3", "lfs": False})
    assert bench.step("update").act().ok


@pytest.mark.parametrize("strategy", ["checkout", "releases"])
def test_files_in_git_lfs_arrive_as_files_and_go_back_as_files(
    bench: Bench,
    git_origin: GitOrigin,
    tmp_path: Path,
    strategy: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With git-lfs itself: the objects lie in the remote, as its pre-push hook puts them there."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    subprocess.run(["git", "lfs", "install", "--skip-repo"], check=True, capture_output=True)
    assert bench.source is not None
    srv = tmp_path / "elsewhere"
    bench.source = bench.source.model_copy(update={"strategy": strategy, "directory": str(srv)})
    git_origin.git("lfs", "install", "--local")
    git_origin.git("lfs", "track", "*.bin")
    live = (srv if strategy == "checkout" else srv / "current") / "big.bin"
    trials = []
    for number in (2, 3):
        (git_origin.copy / "big.bin").write_bytes(bytes([number]) * 100_000)
        trials.append(release(bench, git_origin, number=number))
        assert git_origin.git("cat-file", "-p", "HEAD:big.bin").startswith(
            "version https://git-lfs"
        )

        result = trials[-1].act()

        assert result.ok, result.reason
        assert live.read_bytes() == bytes([number]) * 100_000
    if strategy == "checkout":
        assert git(srv, "status", "--porcelain") == ""

    assert trials[1].undo().ok

    assert live.read_bytes() == bytes([2]) * 100_000
