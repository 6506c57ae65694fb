"""Deploying to Heroku by git, and back: stories on the stand-in, seen by the real client too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.git_origin import GitOrigin
from support.heroku import HerokuStandIn
from support.heroku_cli import heroku_cli
from support.heroku_git import HerokuGit
from support.project import Project, Said

TOKEN = "a-token-that-nobody-may-see"
RUNBOOK: dict[str, Any] = {
    "summary": "Commit, push to Heroku, prove it.",
    "steps": [
        {"name": "Commit", "commit": {"message": "Next release"}},
        {"name": "Push", "push": {}},
        {"name": "Release", "update": {}},
    ],
    "settle": [
        {"name": "Restart", "restart": {"within": "10s", "soak": "0s"}},
        {"name": "Prove it", "verify": "all"},
    ],
}


class Shop:
    """A project whose application is on Heroku. Release v4 came by git, and runs."""

    def __init__(self, heroku: HerokuStandIn, git: HerokuGit, directory: Path) -> None:
        self.heroku = heroku
        self.git = git
        self.origin = GitOrigin(directory / "git")
        git.serves(self.origin)
        self.project = Project(directory / "project", {"GIGZ_TOKEN": TOKEN})
        self.project.runbook("deploy", RUNBOOK)
        self.inventory()
        self.origin.git("push", "-q", str(git.repository), "HEAD:main")
        self.first = self.origin.head()

    def inventory(self, **service: Any) -> None:
        options = {"name": "gigz", "backend": "heroku", "token": "{{ secrets.heroku }}"}
        data = {
            "secrets": {"heroku": {"env": "GIGZ_TOKEN"}},
            "service": {**options, "api": self.heroku.url, **service},
            "source": {"repository": str(self.origin.copy), "strategy": "heroku"},
            "checks": {
                "alive": {
                    "http": f"{self.git.url}/health",
                    "expect": ["status == 200", "body.status == 'ok'"],
                }
            },
        }
        self.project.inventory("prod", data)

    def deploy(self, *words: str) -> Said:
        return self.project.say("deploy", "--target", "prod", "--json", *words)

    def change(self) -> None:
        self.origin.good_change()

    def run(self, runbook: str) -> Said:
        return self.project.say("run", "--runbook", runbook, "--target", "prod", "--json")

    @property
    def versions(self) -> list[tuple[int, str]]:
        return [(each["version"], each["description"]) for each in self.heroku.releases[3:]]


@pytest.fixture
def shop(heroku: HerokuStandIn, tmp_path: Path) -> Iterator[Shop]:
    heroku.token = TOKEN
    with HerokuGit(heroku, tmp_path / "heroku") as git:
        yield Shop(heroku, git, tmp_path)


def test_a_good_deploy_is_the_release_that_runs(shop: Shop, tmp_path: Path) -> None:
    shop.change()
    said = shop.deploy()
    assert said.code == 0, said.out + said.err
    assert said.data["outcome"] == "succeeded"
    head = shop.origin.head()
    assert shop.git.running == head
    assert said.data["release"]["to"]["commit"] == head
    with heroku_cli(shop.heroku, tmp_path) as client:
        seen = json.loads(client("releases", "-a", "gigz", "--json").stdout)
    newest = seen[0]
    assert (newest["version"], newest["status"]) == (5, "succeeded")
    assert newest["description"] == f"Deploy {head[:8]}"


def test_a_release_whose_dynos_crash_is_rolled_back(shop: Shop, tmp_path: Path) -> None:
    shop.change()
    shop.git.crashes = True
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert "web.1 crashed (v5)" in said.data["reason"]
    assert shop.versions[-1] == (6, "Rollback to v4")
    assert shop.git.running == shop.first
    assert shop.git.health()[0] == 200
    with heroku_cli(shop.heroku, tmp_path) as client:
        assert "Rollback to v4" in client("releases", "-a", "gigz").stdout
        assert "web.1: up" in client("ps", "-a", "gigz").stdout


def test_a_release_phase_that_fails_says_what_it_said_and_changes_nothing(shop: Shop) -> None:
    shop.change()
    shop.heroku.next_status, shop.heroku.looks, shop.heroku.ends_as = "pending", 2, "failed"
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    head = shop.git.pushes[-1][:8]
    assert said.data["reason"] == (
        "Release failed: migrating; FATAL: relation gigs does not exist;"
        f" release v5 (Deploy {head}) failed"
    )
    assert [version for version, _ in shop.versions] == [4, 5], "nothing to roll back"
    assert shop.git.running == shop.first


def test_an_expired_release_is_a_failure(shop: Shop) -> None:
    shop.change()
    shop.heroku.next_status, shop.heroku.looks, shop.heroku.ends_as = "pending", 1, "expired"
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert said.data["reason"].endswith("expired")


def test_a_release_that_is_pending_for_a_while_is_awaited(shop: Shop) -> None:
    shop.change()
    shop.heroku.next_status, shop.heroku.looks = "pending", 3
    said = shop.deploy()
    assert said.code == 0, said.out + said.err
    assert shop.git.running == shop.origin.head()


def test_a_build_that_fails_is_told_in_its_own_words(shop: Shop) -> None:
    shop.change()
    shop.git.refuses = True
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert "Push rejected, failed to compile Node.js app." in said.data["reason"]
    assert [version for version, _ in shop.versions] == [4]


def test_rollback_makes_the_old_release_again(shop: Shop, tmp_path: Path) -> None:
    shop.project.runbook("again", {**RUNBOOK, "steps": RUNBOOK["steps"][2:]})
    assert shop.run("again").code == 0
    shop.change()
    assert shop.deploy().code == 0
    said = shop.project.say("rollback", "--target", "prod", "--json")
    assert said.code == 0, said.out + said.err
    assert shop.versions[-1] == (6, "Rollback to v4")
    assert shop.git.running == shop.first
    with heroku_cli(shop.heroku, tmp_path) as client:
        assert "Rollback to v4" in client("releases", "-a", "gigz").stdout
    shop.change()
    assert shop.deploy().code == 0
    assert shop.git.running == shop.origin.head()


def test_a_commit_that_heroku_had_before_is_released_again(shop: Shop) -> None:
    """git says that everything is up to date, and Heroku makes no release of it."""
    shop.project.runbook("again", {**RUNBOOK, "steps": RUNBOOK["steps"][2:]})
    shop.heroku.release("Deploy 00000000")
    said = shop.run("again")
    assert said.code == 0, said.out + said.err
    assert shop.versions[-1] == (6, "Rollback to v4")
    assert shop.git.running == shop.origin.head()


def test_a_commit_that_runs_already_needs_no_release(shop: Shop) -> None:
    shop.project.runbook("again", {**RUNBOOK, "steps": RUNBOOK["steps"][2:]})
    said = shop.run("again")
    assert said.code == 0, said.out + said.err
    assert [version for version, _ in shop.versions] == [4]


def test_an_earlier_release_is_found_beyond_the_first_page(shop: Shop) -> None:
    shop.project.runbook("again", {**RUNBOOK, "steps": RUNBOOK["steps"][2:]})
    for number in range(5):
        shop.heroku.release(f"Set VARIABLE_{number} config vars")
    shop.heroku.page_size = 2
    said = shop.run("again")
    assert said.code == 0, said.out + said.err
    assert shop.versions[-1] == (10, "Rollback to v4")
    assert 206 in {call.status for call in shop.heroku.calls}


@pytest.mark.parametrize("retry_after", [None, 1], ids=["says nothing", "says when"])
def test_a_rate_limit_is_waited_out(shop: Shop, retry_after: int | None) -> None:
    shop.change()
    shop.heroku.refusals, shop.heroku.retry_after = 1, retry_after
    said = shop.deploy()
    assert said.code == 0, said.out + said.err
    assert 429 in {call.status for call in shop.heroku.calls}
    assert shop.git.running == shop.origin.head()


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "rate limit": (
        {"remaining": 0, "retry_after": 3600},
        "Release: gigz on Heroku: Your account reached the API rate limit\n"
        "Restart: cannot tell whether gigz (heroku) runs: Your account reached the API rate limit",
    ),
    "wrong token": (
        {"token": "another"},
        "Release: gigz on Heroku: Invalid credentials provided.\n"
        "Restart: cannot tell whether gigz (heroku) runs: Invalid credentials provided.",
    ),
    "build": (
        {"build": "pending"},
        "Release: somebody deploys gigz right now: a build or release is pending",
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_what_cannot_be_deployed_is_refused_before_any_change(shop: Shop, why: str) -> None:
    knobs, words = REFUSALS[why]
    for name, value in knobs.items():
        setattr(shop.heroku, name, value)
    shop.change()
    head = shop.origin.head()
    said = shop.deploy()
    assert said.code == 3, said.out + said.err
    assert said.data["error"]["what"] == words
    assert shop.origin.head() == head
    assert [version for version, _ in shop.versions] == [4]
    assert TOKEN not in said.out + said.err


def test_a_release_that_is_not_eligible_has_no_way_back(shop: Shop) -> None:
    shop.heroku.release("Deploy 00000000", eligible=False)
    shop.change()
    said = shop.deploy()
    assert said.code == 3
    assert said.data["error"]["what"] == (
        "Release: Heroku says that release v5 of gigz (Deploy 00000000) is not eligible for"
        " rollback: there would be no way back; deploy by hand once, or give the step"
        " `irreversible: WHY`"
    )
    steps = [*RUNBOOK["steps"][:2], {**RUNBOOK["steps"][2], "irreversible": "v5 is too old"}]
    shop.project.runbook("deploy", {**RUNBOOK, "steps": steps})
    said = shop.deploy("--yes")
    assert said.code == 0, said.out + said.err
    assert shop.git.running == shop.origin.head()


def test_an_application_that_does_not_exist_is_refused(shop: Shop) -> None:
    shop.inventory(app="nosuch")
    shop.change()
    said = shop.deploy()
    assert said.code == 3
    assert said.data["error"]["what"].splitlines() == [
        "Release: nosuch on Heroku: Couldn't find that app.",
        "Restart: cannot tell whether gigz (heroku) runs: Couldn't find that app.",
    ]


def test_a_commit_of_somebody_else_on_heroku_is_not_overwritten(shop: Shop) -> None:
    other = shop.origin.clone(shop.project.directory / "other")
    shop.origin._git_in(other, "-c", "user.name=B", "-c", "user.email=b@example.invalid",
                        "commit", "-q", "--allow-empty", "-m", "Elsewhere")  # fmt: skip
    shop.origin._git_in(other, "push", "-q", str(shop.git.repository), "HEAD:main")
    foreign = shop.origin._git_in(other, "rev-parse", "HEAD").strip()
    shop.change()
    said = shop.deploy()
    assert said.code == 3, said.out + said.err
    assert f"Heroku's git has {foreign[:7]}, which" in said.data["error"]["what"]


def test_an_application_on_the_branch_master_is_pushed_to_master(shop: Shop) -> None:
    shop.origin._git_in(shop.git.repository, "branch", "-m", "main", "master")
    shop.change()
    assert shop.deploy().code == 0
    assert shop.git.pushes[-1] == f"{shop.origin.head()} master"


def test_the_plan_says_what_would_be_pushed_and_how_to_go_back(shop: Shop) -> None:
    said = shop.project.say("plan", "--target", "prod", "--verbose")
    assert said.code == 0, said.out + said.err
    assert f"git push https://git.heroku.com/gigz.git {shop.first}:refs/heads/main" in said.out
    assert "heroku releases:rollback v4 --app gigz" in said.out


def test_the_token_is_in_nothing_that_was_written(shop: Shop) -> None:
    shop.change()
    shop.git.crashes = True
    assert shop.deploy().code == 4
    written = [path for path in shop.project.directory.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
