"""A step needs a place that is not there before the run: an earlier step may make it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from support.git_origin import GitOrigin
from support.yard import Yard

Step = dict[str, Any]
HOSTS = ("web1", "web2")
UPDATE = {"name": "Update", "update": {}, "on": "all"}


@pytest.fixture
def shop(two: Yard, git_origin: GitOrigin) -> Yard:
    """Two hosts that have nothing of the service yet."""
    for host in HOSTS:
        shutil.rmtree(srv(two, host), ignore_errors=True)
    (two.files.parent / "env").write_text("first\n")
    two.inventory(source={"repository": str(git_origin.copy), "directory": "srv"})
    return two


def srv(yard: Yard, host: str) -> Path:
    assert yard.bed is not None
    return yard.bed[host].home / "srv"


def uploads(yard: Yard, to: str, kind: str = "upload") -> Step:
    return {
        "name": "Settings",
        kind: {"from": str(yard.files.parent / "env"), "to": to},
        "on": "all",
    }


def makes(folder: str, command: str = "mkdir -p") -> Step:
    undo = f"rmdir {folder} || true"
    return {"name": "Folder", "run": f"{command} {folder}", "undo": undo, "on": "all"}


def has(yard: Yard, path: str) -> list[str]:
    files = [srv(yard, host) / path for host in HOSTS]
    return [file.read_text() for file in files if file.exists()]


@pytest.mark.parametrize("kind", ["upload", "template"])
@pytest.mark.parametrize(("strategy", "below"), [("checkout", ""), ("releases", "current/")])
def test_a_file_comes_into_the_directory_that_the_first_deploy_makes(
    shop: Yard, kind: str, strategy: str, below: str
) -> None:
    shop.inventory(source={**shop.changes["source"], "strategy": strategy})
    shop.runbook(UPDATE, uploads(shop, f"srv/{below}.env", kind))
    said = shop.say("plan")
    assert said.code == 0, said.out
    shop.good_release()
    assert has(shop, f"{below}.env") == ["first\n", "first\n"]


def test_a_file_comes_into_the_folder_that_a_step_makes_and_both_go_back(shop: Yard) -> None:
    shop.runbook(makes("srv/etc"), uploads(shop, "srv/etc/.env"), shop.step("A", after="false"))
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert "A failed" in said.data["reason"]
    assert not any((srv(shop, host) / "etc").exists() for host in HOSTS)


def test_what_every_release_shares_may_come_by_an_earlier_step(shop: Yard) -> None:
    source = {**shop.changes["source"], "strategy": "releases", "shared": [".env"]}
    shop.inventory(source=source)
    shop.runbook(makes("srv/shared"), uploads(shop, "srv/shared/.env"), UPDATE)
    shop.good_release()
    assert has(shop, "current/.env") == ["first\n", "first\n"]


@pytest.mark.parametrize("before", ["", "looks", "elsewhere"])
def test_where_no_earlier_step_could_make_it_nothing_begins(shop: Yard, before: str) -> None:
    looks = {"name": "Look", "run": "ls", "readonly": True, "on": "all"}
    elsewhere = {**makes("srv/etc"), "on": "web1"}
    steps = {"": (), "looks": (looks,), "elsewhere": (elsewhere,)}[before]
    late = {**makes("srv/etc"), "name": "Too late"}
    shop.runbook(*steps, uploads(shop, "srv/etc/.env"), late)
    for verb in ("plan", "deploy"):
        said = shop.say(verb)
        assert said.code == 3, said.out
        assert "web2: " in said.out
        assert "srv/etc does not exist, or is no directory" in said.out


def test_where_the_earlier_step_did_not_make_it_the_run_goes_back(shop: Yard) -> None:
    shop.runbook(makes("srv/etc", "true"), uploads(shop, "srv/etc/.env"))
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert "srv/etc does not exist, or is no directory" in said.data["reason"]
