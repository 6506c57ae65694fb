"""What would ship is said before it does; a tag, a branch or a commit ships as it is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.git_origin import GitOrigin
from support.yard import Yard


class Shop(Yard):
    """A target on this machine with a working copy, an origin and a clone."""

    def __init__(self, directory: Path) -> None:
        self.git = GitOrigin(directory / "git")
        self.app = directory / "app"
        super().__init__(directory)
        self.inventory(
            source={"repository": str(self.git.copy), "directory": str(self.app)},
        )
        commit = {"name": "Commit", "commit": {"message": "Ship it"}}
        update = {"name": "Update", "update": {}, "on": "web"}
        self.runbook(commit, {"name": "Push", "push": {}}, update)

    def run(self, *words: str) -> str:
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        argv = ["git", "-C", str(self.git.copy), *identity, *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    def committed(self, subject: str, name: str = "app.txt") -> str:
        (self.git.copy / name).write_text(subject)
        self.run("add", "-A")
        self.run("commit", "-q", "-m", subject)
        self.run("push", "-q", "origin", "HEAD:main")
        return self.run("rev-parse", "HEAD")

    def live(self) -> str:
        argv = ["git", "-C", str(self.app), "rev-parse", "HEAD"]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    with shop:
        yield shop


def test_diff_and_plan_name_the_commits_and_files_that_would_ship(shop: Shop) -> None:
    first = shop.committed("One")
    shop.good_release()
    shop.committed("Zwei: die Größe")
    last = shop.committed("Three", "more.txt")
    (shop.git.copy / "app.txt").write_text("not yet")

    said = shop.say("diff")
    assert said.code == 0, said.out + said.err
    assert (said.data["from"], said.data["to"]) == (first, last)
    told = [(row["author"], row["subject"]) for row in said.data["commits"]]
    assert told == [("Ann", "Three"), ("Ann", "Zwei: die Größe")]
    assert {row["path"]: row["status"] for row in said.data["files"]} == {
        "app.txt": "M",
        "more.txt": "A",
    }
    assert said.data["uncommitted"] == ["app.txt"]

    shown = shop.project.say("plan", "--target", "prod").out
    assert f"Ships 2 commits:\n  {last[:7]} Three (Ann)\n" in shown
    assert "  A more.txt\n" in shown
    assert "Not committed yet (1):\n  app.txt\n" in shown


def test_a_ref_ships_what_is_there_and_commits_nothing(shop: Shop) -> None:
    shop.committed("One")
    shop.good_release()
    tagged = shop.committed("Two")
    shop.run("tag", "v2")
    shop.committed("Three")
    (shop.git.copy / "app.txt").write_text("an edit that nobody asked to ship")
    head = shop.run("rev-parse", "HEAD")

    said = shop.deploy("--ref", "v2")
    assert said.code == 0, said.out + said.err
    assert (shop.live(), said.data["release"]["to"]["commit"]) == (tagged, tagged)
    assert {step["name"] for step in said.data["steps"]} >= {"Update"}
    assert not {"Commit", "Push"} & {step["name"] for step in said.data["steps"]}
    assert shop.run("rev-parse", "HEAD") == head
    assert (shop.git.copy / "app.txt").read_text() == "an edit that nobody asked to ship"

    back = shop.say("diff", "--ref", "HEAD~2")
    assert [row["subject"] for row in back.data["withdrawn"]] == ["Two"]


def test_a_ref_that_names_nothing_is_a_mistake(shop: Shop) -> None:
    for verb in ("deploy", "plan", "diff"):
        said = shop.project.say(verb, "--target", "prod", "--ref", "v9")
        assert (said.code, said.out) == (2, ""), verb
        assert said.err.startswith("--ref v9: no tag, branch or commit of that name in ")


def test_a_branch_goes_before_a_tag_of_its_name(shop: Shop) -> None:
    old = shop.committed("One")
    new = shop.committed("Two")
    shop.run("branch", "stable", new)
    shop.run("tag", "stable", old)
    assert shop.say("diff", "--ref", "stable").data["to"] == new


def test_the_confirmation_names_release_hosts_and_what_runs_now(shop: Shop) -> None:
    first = shop.committed("One")
    shop.good_release()
    second = shop.committed("Two")
    shop.inventory(protected=True)
    said = shop.project.say("deploy", "--target", "prod")
    assert said.code == 3
    asked = f"deploy release 2 ({second[:7]}) to prod (here; now: release 1 ({first[:7]}))?"
    assert asked in said.out + said.err
