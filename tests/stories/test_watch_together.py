"""Several watchers with one ledger: what they know is in it, one watches each target, and whoever
stands by goes on when that one says nothing more."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from backout.adapters.storage.health_store import HealthStore
from backout.adapters.storage.postgres import health
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.health import PostgresHealth
from backout.adapters.terminal import ui
from backout.commands.main import Console
from backout.commands.watch import take_back
from backout.errors import Held, Refused
from backout.model import CheckKey, Verdict
from backout.project.project import Workplace
from backout.status_page.publisher import companions
from backout.watch import news, process, rollups, watcher
from backout.watch.process import Process
from support.journals import empty_ledger
from support.loopback import Answer, Web
from support.postgres import Postgres
from support.project import Project
from support.proxy import Proxy

ALIVE = CheckKey("prod", "alive")


class Team:
    """Working copies of one project, and what their checks and their receivers hear."""

    def __init__(self, directory: Path, ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.ledger = ledger
        monkeypatch.setenv("BACKOUT_LEDGER", ledger)
        self.answer = Answer("{}")
        self.said: list[str] = []

    def copy(self, name: str, web: Web, people: Web, **more: str) -> Project:
        project = Project(self.directory / name)
        project.env["BACKOUT_LEDGER"] = self.ledger
        rule = {"http": f"{web.url}/health", "expect": ["status == 200"], "every": "200ms"}
        notify = people.url.replace("http:", "json:")
        alert = {"after": 2, "recover": 1}
        checks = {"checks": {"alive": {**rule, "alert": alert}}, "notify": [notify]}
        project.inventory("prod", {**checks, **more})
        return project

    @contextmanager
    def watcher(self, project: Project) -> Iterator[Process]:
        screen = Console(ui.choose(sys.stderr, False, os.environ), yes=True)
        screen.listen = lambda event: self.said.append(event.text)
        workplace = Workplace(project.directory)
        try:
            with Process(workplace, screen, [], take_back) as watcher:
                yield watcher
        finally:
            workplace.close()

    def said_so(self, words: str) -> bool:
        return any(words in each for each in self.said)


def turning(until: Callable[[], object], *watchers: Process, within: float = 150.0) -> None:
    """Let these watchers work until something holds."""
    end = time.monotonic() + within
    while not until():
        assert time.monotonic() < end, "it never came"
        for each in watchers:
            each.inventories.mind()
            each.watcher.wait(min(0.02, each.watcher.turn()))
            with suppress(Refused):
                each.sender.turn()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STILL", 3.0)
    monkeypatch.setattr(process, "EVERY", 0.1)


@pytest.fixture
def team(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, quick: None) -> Team:
    return Team(tmp_path, empty_ledger(postgres), monkeypatch)


def titles(people: Web) -> list[str]:
    return [json.loads(asked.body)["title"] for asked in people.asked]


def test_whoever_stands_by_follows_the_one_that_dies_and_nobody_is_told_twice(team: Team) -> None:
    with Web(lambda _: team.answer) as web, Web(lambda _: Answer("ok")) as people:
        first, second = (team.copy(name, web, people) for name in ("ann", "bob"))
        with team.watcher(first) as ann, team.watcher(second) as bob:
            assert team.said_so("prod is watched by ")
            assert team.said_so("this one stands by")
            assert (list(ann.watcher.targets), list(bob.watcher.targets)) == (["prod"], [])
            bob.watcher.show()
            health = bob.watcher.health()
            assert (health.status, health.well) == ("standby", True)
            assert [name for name, _ in health.others] == ["prod"]
            team.answer = Answer("no", 500)
            turning(lambda: titles(people), ann, bob)
            seen = len(ann.store.looks(ALIVE))
            # ann is frozen: she turns no more
            turning(lambda: bob.watcher.targets, bob)
            assert team.said_so("gives no sign any more: it is watched from here")
            assert bob.watcher.streaks[ALIVE].ill == "fail"  # he knows what she knew
            turning(lambda: len(bob.store.looks(ALIVE)) > seen + 1, bob)
            # and wakes up: nothing that she does is written or told
            turning(lambda: not ann.watcher.targets, ann)
            assert sum("prod is watched by " in each for each in team.said) == 2
            team.answer = Answer("{}")
            turning(lambda: len(titles(people)) > 1, ann, bob)
            turning(lambda: not bob.store.waiting(), ann, bob)
        assert len(titles(people)) == len(set(titles(people))) == 2  # broken, and healthy again
        times = reader_looks(team)
        assert times == sorted(times)
        # each left its post, so that the next one begins at once
        with team.watcher(first) as again, team.watcher(second) as once:
            assert list(again.watcher.targets) == ["prod"]
            turning(lambda: once.inventories.shifts.alive, again, once)
            with pytest.raises(Held, match="prod is watched by "):
                once.once()


def reader_looks(team: Team) -> list[float]:
    with PostgresHealth(Address(team.ledger), str, rollups.fold) as store:
        return [each.at for each in store.looks(ALIVE)]


def test_a_ledger_that_is_away_is_said_and_nothing_is_lost_when_it_is_back(
    team: Team, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "AGAIN", 0.2)
    monkeypatch.setattr(news, "AGAIN", 0.2)
    monkeypatch.setattr(watcher, "PING_EVERY", 0.2)
    assert watcher.KEPT == 20_000
    with (
        Proxy(("127.0.0.1", postgres.port)) as proxy,
        Web(lambda _: team.answer) as web,
        Web(lambda _: Answer("ok")) as people,
        Web(lambda _: Answer("ok")) as switch,
    ):
        near = team.ledger.replace(f":{postgres.port}/", f":{proxy.port}/")
        monkeypatch.setenv("BACKOUT_LEDGER", near)
        project = team.copy("ann", web, people, deadman=f"{switch.url}/alive")
        with team.watcher(project) as ann:
            turning(lambda: len(ann.store.looks(ALIVE)) > 1, ann)
            proxy.refuse()
            proxy.cut()
            team.answer = Answer("no", 500)
            before = len(web.asked)
            turning(lambda: ann.watcher.trouble and ann.watcher.news.unread, ann)
            turning(lambda: len(web.asked) > before + 3, ann)  # it goes on looking
            ann.watcher.show()
            health_now = ann.watcher.health()
            assert not health_now.well
            assert any("the ledger cannot be reached" in why for why in health_now.reasons)
            assert team.said_so("nothing can be written, going on: the ledger cannot be reached")
            turning(lambda: [asked.path for asked in switch.asked][-1:] == ["/alive/fail"], ann)
            (page,) = companions(ann.workplace, ann.screen, None, None)
            page.begin(ann.watcher)
            page.end()
            assert team.said_so("the status page cannot be written: the ledger cannot be reached")
            kept = len(ann.watcher._unwritten)
            team.answer = Answer("{}")
            turning(lambda: len(web.asked) > before + 6, ann)
            proxy.accept()
            turning(lambda: not ann.watcher.trouble and not ann.watcher.news.unread, ann)
            ann.watcher.show()
            assert ann.watcher.health().well, ann.watcher.health()
            turning(lambda: titles(people) and not ann.store.waiting(), ann)
            found = ann.store.looks(ALIVE)
            assert sum(each.verdict is Verdict.FAIL for each in found) >= min(kept, 3)
            assert [each.at for each in found] == sorted({each.at for each in found})


def test_a_history_of_one_machine_is_copied_with_what_waits_and_twice_without_harm(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Web(lambda _: team.answer) as web, Web(lambda _: Answer("", 503)) as people:
        project = team.copy("ann", web, people)
        (ledger,) = (project.env.pop("BACKOUT_LEDGER"),)
        monkeypatch.delenv("BACKOUT_LEDGER")
        assert project.say("history").code == 0
        with team.watcher(project) as ann:
            turning(lambda: len(ann.store.looks(ALIVE)) > 2, ann)
            ann.store.roll_up(time.time())
            team.answer = Answer("no", 500)
            turning(lambda: ann.store.waiting(), ann)
            assert project.say("ledger.copy", env={"BACKOUT_LEDGER": ledger}).code == 7
        with HealthStore(project.state / "health.db", str, rollups.fold) as old:
            looks, hours = old.looks(ALIVE), old.hours(ALIVE)
            waiting, incidents = old.waiting(), old.incidents()
        project.env["BACKOUT_LEDGER"] = ledger
        for again in range(2):
            said = project.say("ledger.copy")
            assert said.code == 0, said.out + said.err
            assert f"{0 if again else len(looks)} looks at checks were copied" in said.out
        with PostgresHealth(Address(ledger), str, rollups.fold) as new:
            assert (new.looks(ALIVE), new.hours(ALIVE)) == (looks, hours)
            assert [m.key for m in new.waiting()] == [m.key for m in waiting]
            assert [i.evidence for i in new.incidents()] == [i.evidence for i in incidents]
            assert [m.incident for m in new.waiting()] == [new.incidents()[0].id] * len(waiting)
            assert new.streaks()[ALIVE][0].ill == "fail"
            new.roll_up(time.time())
            assert new.hours(ALIVE) == hours
