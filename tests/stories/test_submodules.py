"""A submodule comes, goes, moves to another address, or has lost the commit that is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from backout.model import Release, Source, State
from support.deployed import git
from support.git_origin import GitOrigin
from support.work import RUN, Bench, Trial


class Shop:
    """A repository whose submodule `lib` is another one, and where it is deployed."""

    def __init__(self, directory: Path, strategy: str) -> None:
        self.git, self.lib = GitOrigin(directory / "git"), GitOrigin(directory / "lib")
        self.place = directory / "srv"
        self.live = self.place if strategy == "checkout" else self.place / "current"
        where = {"repository": str(self.git.copy), "directory": str(self.place)}
        source = {**where, "strategy": strategy, "submodules": True}
        self.bench = Bench(directory, Source.model_validate(source))

    def add(self) -> None:
        self.git.git(
            *("-c", "protocol.file.allow=always", "submodule", "add", "-q"),
            *("--force", str(self.lib.origin), "lib"),
        )

    def remove(self) -> None:
        self.git.git("rm", "-q", "-f", "lib")
        shutil.rmtree(self.git.copy / ".git/modules/lib")

    def ship(self) -> Trial:
        """The next release, published; not deployed yet."""
        number = int(self.git.good_change())
        self.bench.release = Release(number, self.git.commit(f"Release {number}"))
        self.git.push()
        self.bench.run = f"{RUN}-{number}"
        return self.bench.step("update")

    def newer(self) -> None:
        """The submodule has another commit, and the next release needs it."""
        self.lib.good_change()
        self.lib.commit("Newer")
        self.lib.push()
        git(self.git.copy / "lib", "pull", "-q", str(self.lib.origin), "main")

    def of_lib(self) -> str:
        """The release of the submodule that is there; empty where there is nothing of it."""
        file = self.live / "lib" / "RELEASE"
        assert file.is_file() or not file.parent.exists()
        return file.read_text().strip() if file.is_file() else ""


@pytest.fixture(params=["checkout", "releases"])
def shop(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shop:
    settings = tmp_path / "settings"
    settings.write_text(
        '[user]\n\tname = T\n\temail = t@example.invalid\n[protocol "file"]\n\tallow = always\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return Shop(tmp_path, request.param)


def deployed(step: Trial) -> Trial:
    result = step.act()
    assert result.ok, result.reason
    return step


def test_one_that_comes_and_goes_leaves_nothing_that_is_in_the_way(shop: Shop) -> None:
    deployed(shop.ship())
    shop.add()
    for _ in range(2):
        added = deployed(shop.ship())
        assert shop.of_lib() == "1"
        assert added.undo().ok
        assert shop.of_lib() == ""
    deployed(shop.ship())
    shop.remove()
    removed = deployed(shop.ship())
    assert shop.of_lib() == ""
    assert removed.undo().ok
    assert shop.of_lib() == "1"


def test_what_somebody_wrote_into_one_that_goes_is_kept(shop: Shop) -> None:
    deployed(shop.ship())
    shop.add()
    added = deployed(shop.ship())
    (shop.live / "lib" / "upload").write_text("somebody's")
    assert added.undo().ok
    assert shop.of_lib() == ""
    assert [path.read_text() for path in shop.place.rglob("upload")] == ["somebody's"]


def test_one_that_moved_is_asked_for_at_its_new_address(shop: Shop) -> None:
    shop.add()
    deployed(shop.ship())
    there = shop.lib.origin.rename(shop.lib.origin.with_name("moved.git"))
    shop.lib.origin = there
    shop.lib.git("remote", "set-url", "origin", str(there))
    shop.git.git("submodule", "set-url", "lib", str(there))
    shop.newer()
    step = deployed(shop.ship())
    assert shop.of_lib() == "2"
    assert step.undo().ok
    assert shop.of_lib() == "1"


def test_one_whose_commit_is_gone_fails_in_words_and_holds_up_no_way_back(shop: Shop) -> None:
    shop.add()
    deployed(shop.ship())
    before = shop.live.joinpath("RELEASE").read_text()
    shop.newer()
    step = shop.ship()
    shop.lib.git("push", "-q", "--force", "origin", "HEAD~1:main")
    git(shop.lib.origin, "reflog", "expire", "--all", "--expire=now")
    git(shop.lib.origin, "gc", "-q", "--prune=now")

    result = step.act()

    assert result.state is State.FAILED
    assert "submodule path 'lib'" in result.reason
    assert step.undo().ok
    assert (shop.of_lib(), shop.live.joinpath("RELEASE").read_text()) == ("1", before)
