"""The undos as texts: what the journal shows can be typed by a person, in any POSIX shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from backout.model import Release, Source
from support.git_origin import GitOrigin
from support.work import Bench

SHELLS = (("dash",), ("bash",), ("busybox", "sh"))


@pytest.mark.parametrize("shell", SHELLS, ids="-".join)
def test_every_undo_can_be_typed(
    shell: tuple[str, ...], git_origin: GitOrigin, tmp_path: Path
) -> None:
    srv = tmp_path / "my srv"
    before = git_origin.head()
    where = Source(repository=str(git_origin.copy), directory=str(srv / "checkout"))
    bench = Bench(tmp_path, where, release=Release(1, before))
    (tmp_path / "new.conf").write_text("new")
    (tmp_path / "app.conf").write_text("old")
    kinds = [("update", None), ("commit", None), ("push", None), ("update", None)]
    upload = {"from": str(tmp_path / "new.conf"), "to": str(tmp_path / "app.conf")}
    trials = []
    for kind, options in [*kinds, ("upload", upload), ("releases", None), ("releases", None)]:
        if kind == "commit":
            git_origin.good_change()
        if kind == "releases":
            layout = {"strategy": "releases", "directory": str(srv / "releases")}
            bench.source = where.model_copy(update=layout)
        trial = bench.step("update" if kind == "releases" else kind, options)
        result = trial.act()
        assert result.ok, result
        if kind == "push":
            bench.release = Release(2, str(result.saved["commit"]))
        trials.append(trial)

    for trial in reversed(trials):
        for _ in range(2):
            done = subprocess.run(
                [*shell, "-c", trial.way_back.text], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr

    assert git_origin.git("diff", before, git_origin.published()) == ""
    assert git_origin.head() == git_origin.published()
    assert (tmp_path / "app.conf").read_text() == "old"
    assert sorted(path.name for path in (srv / "checkout").iterdir()) == []
    assert not (srv / "releases/current").is_symlink()


@pytest.mark.parametrize("shell", SHELLS, ids="-".join)
def test_an_undo_that_fails_says_so_by_its_exit_code(
    shell: tuple[str, ...], git_origin: GitOrigin, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, Source(repository=str(git_origin.copy)))
    git_origin.good_change()
    git_origin.commit("Release 2")
    trial = bench.step("push")
    assert trial.act().ok
    git_origin.git("remote", "set-url", "origin", str(tmp_path / "gone.git"))

    done = subprocess.run(
        [*shell, "-c", trial.way_back.text], capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "gone.git" in done.stderr
