"""A ledger that two projects share, which is told by the commits that the working copy has."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.git_origin import GitOrigin
from support.terminal import Session
from support.wait import eventually
from support.yard import Yard

TYPED = """
sys.argv = ["invoke", *{words!r}]
os.chdir({directory!r})
from backout.tasks import main
main()
"""


class Shop(Yard):
    """A project with a repository of its own, and a ledger that others may have too."""

    def __init__(self, directory: Path, state: Path, title: str) -> None:
        directory.mkdir()
        self.git = GitOrigin(directory / "git", anew=True)
        super().__init__(directory)
        self.project.env["BACKOUT_STATE"] = str(state)
        self.inventory(source={"repository": str(self.git.copy)})
        shipped = f"{self.files}/shipped"
        ship = {"run": f"echo {title} >> {shipped}", "undo": f"sed -i '$ d' {shipped}"}
        self.runbook({"name": "Ship", **ship})
        self.title = title
        self.commit(title)

    def commit(self, text: str) -> str:
        (self.git.copy / "title").write_text(text)
        self.git.commit(text)
        return self.git.git("rev-parse", "HEAD").strip()

    def shipped(self) -> list[str]:
        file = self.files / "shipped"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[tuple[Shop, Shop]]:
    """The first has deployed twice into the ledger of both."""
    state = tmp_path / "state"
    one, two = (Shop(tmp_path / name, state, name) for name in ("bakery", "bank"))
    with one, two:
        for _ in range(2):
            one.commit("more bread" * (1 + len(one.shipped())))
            one.good_release()
        yield one, two


@pytest.mark.parametrize("words", [("deploy", "--yes"), ("rollback", "--yes"), ("plan",)])
def test_releases_of_which_no_commit_is_here_are_not_touched(
    shops: tuple[Shop, Shop], words: tuple[str, ...]
) -> None:
    one, two = shops
    said = two.say(*words)
    assert said.code == 3, said.out + said.err
    told = said.data["error"]["what"] if "error" in said.data else said.data["refused"][0]
    assert told.startswith(
        "the prod of this ledger looks like another project's: no commit of its releases is in this"
        " working copy (the newest: 2 ("
    )
    assert "a ledger of its own, where this is another project" in said.out
    assert (one.shipped(), two.shipped()) == (["bakery", "bakery"], [])


def test_status_says_whose_releases_they_look_like(shops: tuple[Shop, Shop]) -> None:
    one, two = shops
    assert one.say("status").code == 0
    said = two.say("status")
    assert said.code == 6
    assert said.data["differs"][0].startswith(
        "the prod of this ledger looks like another project's"
    )
    assert said.data["next"].startswith("git fetch, where")


def test_an_older_commit_that_is_here_is_enough(shops: tuple[Shop, Shop], tmp_path: Path) -> None:
    """Somebody else's clone that is behind."""
    one, _ = shops
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", one.git.copy, clone], check=True)
    subprocess.run(["git", "-C", clone, "reset", "-q", "--hard", "HEAD~1"], check=True)
    for forget in (["remote", "remove", "origin"], ["reflog", "expire", "--expire=now", "--all"]):
        subprocess.run(["git", "-C", clone, *forget], check=True)
    subprocess.run(["git", "-C", clone, "gc", "-q", "--prune=now"], check=True)
    one.inventory(source={"repository": str(clone)})
    assert one.say("rollback").code == 0
    assert one.shipped() == ["bakery"]


def test_a_shallow_clone_cannot_tell_and_is_let_through(
    shops: tuple[Shop, Shop], tmp_path: Path
) -> None:
    one, _ = shops
    one.commit("Not deployed yet")
    clone = tmp_path / "clone"
    shallow = ["git", "clone", "-q", "--depth", "1", f"file://{one.git.copy}", str(clone)]
    subprocess.run(shallow, check=True)
    one.inventory(source={"repository": str(clone)})
    assert one.deploy().code == 0


def test_a_history_that_was_rewritten_is_asked_about_once(shops: tuple[Shop, Shop]) -> None:
    one, _ = shops
    one.git.git("checkout", "-q", "--orphan", "anew")
    one.commit("The same in one commit")
    one.git.git("branch", "-q", "-D", one.git.branch)
    one.git.git("branch", "-q", "-M", one.git.branch)
    one.git.git("remote", "remove", "origin")
    one.git.git("reflog", "expire", "--expire=now", "--all")
    one.git.git("gc", "-q", "--prune=now")
    assert one.deploy("--yes").code == 3
    assert _typed(one, "no, thanks", "deploy", "--yes") == 3
    assert len(one.shipped()) == 2
    assert _typed(one, "prod", "deploy", "--yes") == 0
    assert len(one.shipped()) == 3
    assert one.deploy("--yes").code == 0


def _typed(shop: Shop, answer: str, *words: str) -> int:
    program = TYPED.format(
        words=[*words, "--target", "prod"], directory=str(shop.project.directory)
    )
    environ = {**shop.project.env, "PATH": os.environ["PATH"]}
    at = Session(program, 200, environ, echo=True)
    eventually(lambda: "type prod:" in at.screen.seen, saying="the question")
    at.type(f"{answer}\n")
    return at.end()
