"""The origin and its working copy."""

from __future__ import annotations

from pathlib import Path

from support.git_origin import GitOrigin


def test_it_begins_with_release_1_published(git_origin: GitOrigin) -> None:
    assert git_origin.published() == git_origin.head()
    assert (git_origin.copy / "RELEASE").read_text() == "1\n"


def test_a_change_is_published_only_by_commit_and_push(git_origin: GitOrigin) -> None:
    before = git_origin.published()
    assert git_origin.good_change() == "2"
    assert git_origin.git("status", "--porcelain") != ""
    commit = git_origin.commit("Release 2")
    assert git_origin.published() == before
    git_origin.push()
    assert git_origin.published() == commit


def test_a_bad_change_is_in_the_deployed_code(git_origin: GitOrigin, tmp_path: Path) -> None:
    git_origin.bad_change("error-500")
    git_origin.commit("Broken")
    git_origin.push()
    clone = git_origin.clone(tmp_path / "host")
    assert 'BEHAVIOUR = "error-500"' in (clone / "app.py").read_text()
