"""The revert of a push is made apart from the working copy: neither its filters nor the room in
`/tmp` hold it up."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.model import Source
from support.deployed import git
from support.disk import small_disk
from support.git_origin import GitOrigin
from support.work import Bench, Trial

CRYPT = """#!/bin/sh
[ -d .git ] || { echo 'there is no key' >&2; exit 1; }
exec tr a-z n-za-m
"""


@pytest.fixture
def bench(git_origin: GitOrigin, tmp_path: Path) -> Bench:
    return Bench(tmp_path, Source(repository=str(git_origin.copy)))


def pushed(bench: Bench, origin: GitOrigin) -> Trial:
    origin.good_change()
    origin.commit("Release 2")
    trial = bench.step("push")
    assert trial.act().ok
    return trial


def test_a_filter_whose_key_is_in_the_working_copy_alone_holds_up_no_way_back(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path
) -> None:
    """As git-crypt, or Git LFS with a server that does not answer."""
    crypt, secret = tmp_path / "crypt", git_origin.copy / "a.secret"
    crypt.write_text(CRYPT)
    crypt.chmod(0o755)
    for name, value in {"clean": crypt, "smudge": crypt, "required": "true"}.items():
        git_origin.git("config", f"filter.crypt.{name}", str(value))
    (git_origin.copy / ".gitattributes").write_text("*.secret filter=crypt\n")
    secret.write_text("one\n")
    git_origin.commit("A secret")
    git_origin.push()
    secret.write_text("two\n")
    trial = pushed(bench, git_origin)
    assert git(git_origin.origin, "show", "main:a.secret") == "gjb"

    result = trial.undo()

    assert result.ok, result.reason
    assert git(git_origin.origin, "show", "main:a.secret") == "bar"
    assert secret.read_text() == "one\n", "the working copy followed, by its filter"


def test_where_tmp_has_no_room_the_repository_has_some(
    bench: Bench, git_origin: GitOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (git_origin.copy / "large").write_text("large\n" * 200_000)
    trial = pushed(bench, git_origin)
    with small_disk(tmp_path / "small", kilobytes=256) as small:
        monkeypatch.setenv("TMPDIR", str(small.path))

        result = trial.undo()

        assert list(small.path.iterdir()) == []
    assert result.ok, result.reason
    assert git(git_origin.origin, "show", "main:RELEASE") == "1"
    assert not list((git_origin.copy / ".git").glob("backout.*"))
    assert len(git_origin.git("worktree", "list").splitlines()) == 1
