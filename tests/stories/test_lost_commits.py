"""A host has lost the commit that the way back leads to: its clone was made anew by hand, or holds
the newest commit only; or somebody who needed room removed all but the live release. The remote has
it still."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.deployed import git
from support.git_origin import GitOrigin
from support.yard import Yard


class Shop(Yard):
    """Two releases are on this machine; what is there knows the second one alone."""

    def __init__(self, directory: Path, strategy: str) -> None:
        self.git = GitOrigin(directory / "git")
        self.app, self.strategy = directory / "app", strategy
        super().__init__(directory)
        places = {"repository": str(self.git.copy), "directory": str(self.app)}
        source = {**places, "strategy": strategy}
        self.inventory(source=source, state=str(directory / "state"))
        self.runbook({"name": "Update", "update": {}, "on": "web"})
        self.good_release()
        self.first = self.git.head()
        self.ship("Second")
        subprocess.run(["sh", "-ec", self.anew], check=True)

    def ship(self, subject: str) -> None:
        self.git.good_change()
        self.git.commit(subject)
        self.git.push()
        self.good_release()

    @property
    def anew(self) -> str:
        """Shell text with which somebody clones it anew, and takes no history along; or removes all
        that does not serve."""
        if self.strategy == "releases":
            spared = 'case $(readlink current) in "$each") ;; *) rm -r "$each" ;; esac'
            return f"(cd {self.app}; rm -rf repo; for each in releases/*; do {spared}; done)"
        clone = f"git clone -q --depth=1 file://{self.git.origin} {self.app}"
        return f"rm -rf {self.app}; {clone}; git -C {self.app} checkout -q --detach"

    def live(self) -> str:
        """The commit whose code is there."""
        if self.strategy == "checkout":
            return git(self.app, "rev-parse", "HEAD")
        name = (self.app / "current").readlink().name
        return git(self.app / "repo", "rev-parse", f"refs/backout/release-{name}")


@pytest.fixture(params=["checkout", "releases"])
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shop]:
    shop = Shop(tmp_path, request.param)
    with shop:
        yield shop


def test_a_rollback_has_it_again(shop: Shop) -> None:
    said = shop.say("rollback")
    assert said.code == 0, said.out + said.err
    assert shop.live() == shop.first
    assert shop.say("status").code == 0


def test_a_rollback_is_refused_before_it_acts_where_nobody_has_it(shop: Shop) -> None:
    shop.git.origin.rename(shop.git.origin.with_name("away"))
    said = shop.say("rollback")
    assert said.code == 3, said.out + said.err
    clone = shop.app if shop.strategy == "checkout" else shop.app / "repo"
    lost = f"{shop.first[:7]} is not in {clone} any more, and {shop.git.origin} does not give it"
    assert lost in said.data["error"]["what"]
    assert said.data["error"]["state"] == "nothing was changed"


def test_a_run_that_is_backed_out_has_it_again_too(shop: Shop) -> None:
    second = shop.git.head()
    update = {"name": "Update", "update": {}, "on": "web"}
    ill = {"name": "Ill", "run": f"{shop.anew}; exit 1", "undo": "true", "on": "web"}
    shop.runbook(update, ill)
    shop.git.good_change()
    shop.git.commit("Third")
    shop.git.push()
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert shop.live() == second
