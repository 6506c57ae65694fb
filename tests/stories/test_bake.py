"""A deploy that is watched after it is done: real runs, a real watcher, a real rollback."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.storage.health_store import HealthStore
from backout.model import Bake, CheckKey, Incident, Release, Streak
from backout.watch import rollups
from backout.watch.bake import Deployed, judge, window
from support.loopback import Answer, Asked, Web
from support.process import Process
from support.project import BACKOUT, Project
from support.wait import eventually, throughout


class Shop:
    """An application whose version is a file, and that a test can break."""

    def __init__(self, directory: Path, receiver: Web) -> None:
        self.version = directory / "version"
        self.version.write_text("0\n")
        self.sick: Mapping[str, Answer] = {}
        """By version: what it answers instead of well-being."""
        self.deploys: list[str] = []
        """Who is told of runs."""
        self.project = Project(directory / "project")
        self.receiver = receiver

    def answer(self, _: Asked) -> Answer:
        version = self.version.read_text().strip()
        return self.sick.get(version, Answer(json.dumps({"version": version})))

    def set_up(self, url: str, *, irreversible: bool = False, **check: Any) -> None:
        step = {
            "name": "Switch",
            "run": f"echo {{{{ params.to }}}} > {self.version}",
            "undo": f"echo 1 > {self.version}",
        }
        steps = [step]
        if irreversible:
            steps.append({"name": "Drop", "run": "true", "irreversible": "the rows are gone"})
        self.project.runbook(
            "deploy",
            {
                "params": {"to": {"required": True}},
                "steps": steps,
                "settle": [{"name": "Prove it", "verify": "all"}],
            },
        )
        self.project.inventory(
            "shop",
            {
                "hosts": {"here": {"connection": "local"}},
                "checks": {
                    "alive": {
                        "http": f"{url}/health",
                        "expect": ["status == 200"],
                        "every": "1h",
                        "alert": {"after": 3, "recover": 1},
                        **check,
                    }
                },
                "bake": {"for": "10m", "every": "500ms"},
                "notify": {
                    "alerts": [f"json://127.0.0.1:{self.receiver.port}/"],
                    "deploys": self.deploys,
                },
            },
        )

    def deploy(self, to: int, *more: str) -> None:
        said = self.project.say(
            "run", "--runbook", "deploy", "--target", "shop", "--param", f"to={to}", "--yes", *more
        )
        assert said.code == 0, said.out + said.err

    @contextmanager
    def watched(self) -> Iterator[Process]:
        argv = [*BACKOUT, "watch", "--target", "shop"]
        log = self.project.directory / "watch.log"
        with Process(argv, log=log, env=self.project.env, cwd=self.project.directory) as process:
            eventually(lambda: "watching shop" in process.output())
            yield process

    @property
    def told(self) -> list[str]:
        return [json.loads(asked.body)["title"] for asked in self.receiver.asked]

    @property
    def rollbacks(self) -> list[str]:
        runs = self.project.say("history", "--json").data["runs"]
        return [run["outcome"] for run in runs if run["verb"] == "rollback"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Web() as receiver:
        yield Shop(tmp_path, receiver)


def test_a_deploy_that_goes_bad_is_reverted_once_and_proved(shop: Shop) -> None:
    with Web(shop.answer) as web:
        shop.deploys = [f"json://127.0.0.1:{shop.receiver.port}/runs"]
        shop.set_up(web.url)
        shop.deploy(1)
        shop.deploy(2)
        with shop.watched() as watcher:
            eventually(lambda: "release 2 bakes for 10m" in watcher.output())
            looked = len(web.asked)
            eventually(lambda: len(web.asked) > looked + 3)  # as often as while baking
            assert shop.version.read_text() == "2\n"
            shop.sick = {"2": Answer(status=500)}
            eventually(lambda: shop.version.read_text() == "1\n")
            eventually(lambda: any("reverted" in title for title in shop.told))
            shop.sick = {"1": Answer(status=500)}
            eventually(lambda: shop.told.count("[shop] alive fails") >= 1)
            assert throughout(lambda: shop.version.read_text() == "1\n", seconds=3)
            watcher.signal(signal.SIGTERM)
            assert watcher.wait(30) == 0
    assert "[shop] release 2 was reverted: back on release 1, and proved" in shop.told
    assert shop.rollbacks == ["succeeded"]
    runs = [json.loads(each.body) for each in shop.receiver.asked if each.path == "/runs"]
    assert [each["title"] for each in runs[4:]] == [
        "[shop] a rollback to release 1 has begun",
        "[shop] rolled back to release 1, and proved",
    ]
    assert "by itself: checks went bad while the release baked" in runs[-1]["message"]
    assert "Traceback" not in watcher.output(100_000)


def test_what_was_red_before_reverts_nothing(shop: Shop) -> None:
    with Web(shop.answer) as web:
        shop.set_up(web.url, baseline="any")
        shop.deploy(1)
        shop.sick = {"1": Answer(status=500)}
        shop.deploy(2)  # red before, green after
        with shop.watched() as watcher:
            eventually(lambda: "bakes for" in watcher.output())
            looked = len(web.asked)
            eventually(lambda: len(web.asked) > looked + 2)
            shop.sick = {"2": Answer(status=500)}
            eventually(lambda: "[shop] alive fails" in shop.told)
            assert throughout(lambda: shop.version.read_text() == "2\n", seconds=3)
    assert shop.rollbacks == []


def test_nothing_is_reverted_across_an_irreversible_step_and_that_is_told(shop: Shop) -> None:
    with Web(shop.answer) as web:
        shop.set_up(web.url)
        shop.deploy(1)
        shop.set_up(web.url, irreversible=True)
        shop.deploy(2)
        with shop.watched() as watcher:
            eventually(lambda: "bakes for" in watcher.output())
            shop.sick = {"2": Answer(status=500)}
            eventually(lambda: any("NOT reverted" in title for title in shop.told))
            assert shop.version.read_text() == "2\n"
    (title,) = [title for title in shop.told if "NOT reverted" in title]
    assert "the rows are gone" in title


def test_the_release_of_another_clone_is_not_reverted_and_that_is_told(
    shop: Shop, tmp_path: Path
) -> None:
    other = copy(shop)
    with Web(shop.answer) as web:
        shop.set_up(web.url)
        with (shop.project.directory / "inventories/shop.yaml").open("a") as inventory:
            inventory.write(f"state: {tmp_path}/on-the-host\n")
        shop.deploy(1)
        shop.deploy(2)
        elsewhere = tmp_path / "elsewhere"
        shutil.copytree(
            shop.project.directory, elsewhere, ignore=shutil.ignore_patterns(".backout")
        )
        other.project = Project(elsewhere)
        other.deploy(3)
        run = other.project.say("history", "--json").data["runs"][0]["run"]
        with shop.watched() as watcher:
            eventually(lambda: "bakes for" in watcher.output())
            shop.sick = {"3": Answer(status=500)}
            eventually(lambda: any("NOT reverted" in title for title in shop.told))
            assert shop.version.read_text() == "3\n"
    (title,) = [title for title in shop.told if "NOT reverted" in title]
    assert run in title
    assert shop.rollbacks == ["refused"]


def test_a_revert_is_never_tried_twice_whatever_became_of_the_first(shop: Shop) -> None:
    with Web(shop.answer) as web:
        shop.set_up(web.url)
        shop.deploy(1)
        shop.deploy(2)
        (run, *_) = shop.project.say("history", "--json").data["runs"]
        with HealthStore(shop.project.state / "health.db", str, rollups.fold) as store:
            with store.write() as change:
                assert change.revert(run["run"], "shop", 0.0, "killed in the middle")
            with store.write() as change:
                assert not change.revert(run["run"], "shop", 0.0, "again")
                change.reverted(run["run"], 1.0, "INCOMPLETE")
        with shop.watched() as watcher:
            eventually(lambda: "bakes for" in watcher.output())
            looked = len(web.asked)
            eventually(lambda: len(web.asked) > looked + 2)
            shop.sick = {"2": Answer(status=500)}
            eventually(lambda: "[shop] alive fails" in shop.told)
            assert throughout(lambda: shop.version.read_text() == "2\n", seconds=2)
    assert shop.rollbacks == []


# --- the judgement, alone ----------------------------------------------------------------------

SPOT = CheckKey("shop", "alive")
DEPLOYED = Deployed("run", Release(2), 1000.0, 1100.0, frozenset({"alive"}))
RED = Streak(ill="fail", last="fff", opened=(1150.0,), bad=3)


def judged(streak: Streak, *incidents: Incident, deployed: Deployed = DEPLOYED) -> tuple[int, int]:
    found = judge(deployed, {SPOT: streak}, incidents)
    return len(found.red), len(found.held)


def test_green_before_and_red_after_is_a_reason() -> None:
    assert judged(RED) == (1, 0)
    assert judged(Streak(ill="unknown", last="eee", opened=(1150.0,))) == (1, 0)


def test_an_inconclusive_check_holds() -> None:
    assert judged(Streak(ill="fail", last="fif", opened=(1150.0,))) == (0, 1)


def test_an_alert_from_before_the_deploy_is_none() -> None:
    assert judged(Streak(ill="fail", last="fff", opened=(900.0,))) == (0, 0)


def test_a_check_that_was_not_green_before_is_none() -> None:
    never = Deployed("run", Release(2), 1000.0, 1100.0, frozenset({"other"}))
    assert judged(RED, deployed=never) == (0, 0)


def test_a_check_that_flapped_before_the_deploy_is_none() -> None:
    flap = Incident(SPOT, "fail", 500.0, 510.0, id=1, resolved=600.0)
    assert judged(RED, flap) == (0, 0)
    assert judged(RED, Incident(SPOT, "fail", 1140.0, 1150.0, id=2)) == (1, 0)


def test_the_window_opens_with_the_deploy_and_closes() -> None:
    bake = Bake.model_validate({"for": "10m"})
    assert window(bake, DEPLOYED, 1101.0)
    assert not window(bake, DEPLOYED, 1701.0)
    assert not window(None, DEPLOYED, 1101.0)
    again = Deployed("run", Release(2), 1000.0, 1100.0, restored=True)
    assert not window(bake, again, 1101.0)
