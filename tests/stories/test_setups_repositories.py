"""Repositories as people have them: settings and hooks of their own, variables of another one, refs
of a backup; and what `commit`, `push` and `update` make of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Release, Source
from support.deployed import git, over, release
from support.git_origin import GitOrigin
from support.work import RUN, Bench, Trial

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12\n".format("0" * 64)
LFS = "*.bin filter=lfs diff=lfs merge=lfs -text\n"


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    return tmp_path / "srv"


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path, srv: Path) -> Bench:
    return over(git_origin, tmp_path, srv)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings of git, on this machine and on the host."""
    path = tmp_path / "settings"
    path.write_text("[user]\n\tname = T\n\temail = t@example.invalid\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return path


def shipped(bench: Bench, origin: GitOrigin) -> tuple[Trial, ...]:
    """The next release, committed, pushed and on the host, each by its step."""
    number = int(origin.good_change())
    bench.run = f"{RUN}-{number}"
    commit, push = bench.step("commit"), bench.step("push")
    for step in (commit, push):
        result = step.act()
        assert result.ok, result.reason
    bench.release = Release(number, result.saved["commit"])
    update = bench.step("update")
    result = update.act()
    assert result.ok, result.reason
    return update, push, commit


def taken_back(steps: tuple[Trial, ...], origin: GitOrigin, srv: Path) -> None:
    for step in steps:
        result = step.undo()
        assert result.ok, result.reason
    assert (srv / "RELEASE").read_text() == "1\n"
    head = git(origin.origin, "log", "-1", "--format=%s", "main")
    assert head.startswith("Revert"), head


OWN = """\
[color]\n\tui = always\n[column]\n\tui = always\n[core]\n\tquotePath = true\n\tpager = false
[diff]\n\tnoprefix = true\n\texternal = false\n\trelative = true\n\tignoreSubmodules = all
[grep]\n\tlineNumber = true\n\tfullName = true\n\tcolumn = true\n\tpatternType = perl
[status]\n\tshort = true\n\trelativePaths = true\n\tbranch = true\n[submodule]\n\trecurse = true
[log]\n\tshowSignature = true\n\tdecorate = full\n[commit]\n\tverbose = true\n\tcleanup = scissors
[push]\n\tdefault = nothing\n[remote]\n\tpushDefault = other\n[merge]\n\tff = false
[fetch]\n\tprune = true\n[i18n]\n\tlogOutputEncoding = latin1\n[rerere]\n\tenabled = true
"""


def test_what_somebody_likes_to_see_of_git_changes_nothing(
    bench: Bench, git_origin: GitOrigin, srv: Path, settings: Path
) -> None:
    settings.write_text(f"{settings.read_text()}{OWN}")
    assert bench.step("update").act().ok
    taken_back(shipped(bench, git_origin), git_origin, srv)

    settings.write_text(f'{settings.read_text()}[filter "lfs"]\n\tsmudge = cat\n')
    (git_origin.copy / "big.bin").write_text(POINTER)
    (git_origin.copy / ".gitattributes").write_text(LFS)
    result = release(bench, git_origin, number=3).act()
    assert "pointers into Git LFS, not as files: big.bin" in result.reason


def test_what_git_leaves_out_is_seen_from_a_folder_of_the_repository(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path, settings: Path
) -> None:
    """As where the project lies in `deploy/` of a larger repository."""
    assert settings.exists()
    folder = git_origin.copy / "deploy"
    folder.mkdir()
    bench.source = Source(repository=str(folder), directory=str(tmp_path / "elsewhere"))
    (git_origin.copy / ".gitattributes").write_text(LFS)
    with pytest.raises(Refused, match="has files in Git LFS"):
        release(bench, git_origin, "deploy/tasks.py").before()

    git_origin.git("rm", "-q", "-f", ".gitattributes")
    inside = GitOrigin(tmp_path / "lib")
    add = ("submodule", "add", "-q", str(inside.origin), "lib")
    git_origin.git("-c", "protocol.file.allow=always", *add)
    with pytest.raises(Refused, match="has submodules, which here would not get: lib"):
        release(bench, git_origin).before()


def test_a_repository_without_a_commit_stays_on_the_way_back(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    """A clone of an origin whose HEAD names a branch that is not there is one."""
    subprocess.run(["git", "init", "-q", "-b", "master", str(srv)], check=True)
    git(srv, "config", "core.sshCommand", "the host's")
    (srv / "own").write_text("the host's")
    git(srv, "add", "own")
    with pytest.raises(Refused, match=r"changed by hand in .* on here: own"):
        bench.step("update").before()
    git(srv, "rm", "-q", "--cached", "own")

    for _ in range(2):
        trial = bench.step("update")
        assert trial.act().ok
        assert trial.undo().ok
        assert git(srv, "config", "core.sshCommand") == "the host's"
        assert git(srv, "symbolic-ref", "HEAD") == "refs/heads/master"
        assert [path.name for path in srv.iterdir() if path.name != ".git"] == ["own"]


def test_a_link_of_the_commit_becomes_a_directory_and_what_it_led_to_stays(
    bench: Bench, git_origin: GitOrigin, srv: Path, tmp_path: Path
) -> None:
    (git_origin.copy / "uploads").symlink_to("../elsewhere")
    assert release(bench, git_origin, number=2).act().ok
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/.gitkeep").write_text("the host's")
    git_origin.git("rm", "-q", "uploads")
    trial = release(bench, git_origin, "uploads/.gitkeep", number=3)

    assert trial.act().ok

    assert (srv / "uploads/.gitkeep").read_text() == "the release's"
    assert trial.undo().ok
    assert (srv / "uploads").is_symlink()
    assert (tmp_path / "elsewhere/.gitkeep").read_text() == "the host's"


def test_a_backups_ref_that_ends_in_the_branchs_name_is_not_the_branch(
    bench: Bench, git_origin: GitOrigin, srv: Path
) -> None:
    """As a mirror or filter-branch leaves them; git lists them beside the branch."""
    assert bench.step("update").act().ok
    for name in ("backup", "original"):
        git(git_origin.origin, "update-ref", f"refs/{name}/refs/heads/main", "HEAD")
    shipped(bench, git_origin)

    second = shipped(bench, git_origin)

    assert second[1].way_back.data["old"] != second[1].way_back.data["new"]
    for step in second:
        assert step.undo().ok
    assert (srv / "RELEASE").read_text() == "2\n"
    assert git(git_origin.origin, "show", "main:RELEASE") == "2"


def test_a_way_back_needs_no_hook_and_nobodys_signature(
    bench: Bench, git_origin: GitOrigin, srv: Path, settings: Path, tmp_path: Path
) -> None:
    """Hooks guard new work: they hold up no revert, and no host that goes back."""
    assert bench.step("update").act().ok
    steps = shipped(bench, git_origin)
    for place in (git_origin.copy, srv):
        for name in ("pre-push", "post-checkout", "prepare-commit-msg", "pre-commit"):
            hook = place / ".git/hooks" / name
            hook.write_text(f"#!/bin/sh\necho {name} says no >&2; exit 3\n")
            hook.chmod(0o755)
    settings.write_text(
        f"{settings.read_text()}[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = /bin/false\n"
    )
    bench.run = f"{RUN}-again"
    again = bench.step("update").act()
    assert not again.ok, "going forward, a hook has its say"

    taken_back(steps, git_origin, srv)
