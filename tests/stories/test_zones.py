"""Checks that workers of several zones look at, and targets that workers watch, on a real
PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.health import PostgresHealth
from backout.adapters.storage.postgres.questions import Questions
from backout.adapters.terminal import ui
from backout.commands.main import Console
from backout.commands.watch import take_back
from backout.model import CheckKey, Sample, Verdict
from backout.project.project import Workplace
from backout.watch import asking, rollups
from backout.watch.answering import Answering
from backout.watch.process import Process
from support.journals import empty_ledger
from support.loopback import Answer, Web
from support.postgres import Postgres
from support.project import Project
from support.wait import eventually
from support.warm import Started

ALIVE = CheckKey("prod", "alive")
RULE = "ledger: {secret: TEAM_LEDGER}\nworkers: {zone: eu, after: 3s}\n"


class Team:
    """Working copies of one project. Each has a file that says what is wrong where it is, and finds
    it by a secret of its own."""

    def __init__(self, directory: Path, ledger: str, people: Web) -> None:
        self.directory, self.ledger, self.people = directory, ledger, people
        self.started: list[Started] = []
        self.store = PostgresHealth(Address(ledger), str, rollups.fold)

    def copy(self, name: str, check: Mapping[str, Any] = {}, **more: Any) -> Project:
        project = Project(self.directory / name)
        project.env |= {"TEAM_LEDGER": self.ledger}
        (project.directory / "backout.yaml").write_text(RULE)
        (project.directory / "place").write_text(str(self.flag(name)))
        look = {"run": 'test ! -s "$FLAG"', "env": {"FLAG": "{{ secrets.flag }}"}}
        alive = {
            "command": look,
            "expect": ["exit_code == 0"],
            "every": "300ms",
            "alert": {"after": 1, "recover": 1},
            **check,
        }
        deep = {"command": "true", "expect": ["exit_code == 0"]}
        inventory = {
            "checks": {"alive": alive, **({"deep": deep} if "then" in check else {})},
            "secrets": {"flag": {"file": "place"}},
            "notify": [self.people.url.replace("http:", "json:")],
        }
        project.inventory("prod", {**inventory, **more})
        return project

    def flag(self, name: str) -> Path:
        return self.directory / f"{name}.red"

    def worker(self, name: str, zone: str = "eu") -> Started:
        """A process of its own."""
        started = self.copy(name).start("worker", "--zone", zone)
        self.started.append(started)
        return started

    def looks(self, check_key: CheckKey = ALIVE) -> tuple[Sample, ...]:
        return self.store.looks(check_key)

    def comes(self, seen: Callable[[Sample], bool], after: float = 0.0) -> Sample:
        """The first look of that kind."""
        found = eventually(
            lambda: next((each for each in self.looks() if each.at > after and seen(each)), None),
            within=60,
            saying="such a look",
        )
        assert found is not None
        return found

    def watched_by(self) -> str:
        """The working copy whose worker watches; nothing while none does."""
        query = "SELECT process FROM post WHERE target = 'prod'"
        row = self.store.look(lambda db: db.execute(query).fetchone())
        files = {name: self.directory / name / ".backout" / "name" for name in ("ann", "bob")}
        names = {file.read_text(): name for name, file in files.items() if file.exists()}
        return names.get(row[0].partition("-")[0], "") if row else ""

    def titles(self) -> list[str]:
        return [json.loads(asked.body)["title"] for asked in self.people.asked]

    def close(self) -> None:
        for each in self.started:
            each.kill()
            sys.stdout.write("\n".join(each.communicate(timeout=60)))
        self.store.close()


@pytest.fixture
def team(tmp_path: Path, postgres: Postgres) -> Iterator[Team]:
    with Web(lambda _: Answer("ok")) as people:
        made = Team(tmp_path, empty_ledger(postgres), people)
        yield made
        made.close()


@contextmanager
def watching(project: Project) -> Iterator[Process]:
    """Whoever asks, in this process."""
    screen = Console(ui.choose(sys.stderr, False, os.environ), yes=True)
    heard: list[str] = []
    screen.listen = lambda event: heard.append(event.text)
    workplace = Workplace(project.directory)
    with Process(workplace, screen, [], take_back) as process:
        thread = threading.Thread(target=process.work)
        thread.start()
        try:
            yield process
        finally:
            process.stop()
            thread.join()
    workplace.close()


@contextmanager
def answering(project: Project, zone: str) -> Iterator[list[str]]:
    """A worker that looks, in this process: what it says."""
    workplace, said = Workplace(project.directory), list[str]()
    over = threading.Event()
    store = PostgresHealth(Address(project.env["TEAM_LEDGER"]), str, rollups.fold)
    answers = Answering(workplace, Questions(store), (zone, zone, f"worker@{zone}"), said.append)

    def work() -> None:
        while not over.wait(0.05):
            answers()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield said
    finally:
        over.set()
        thread.join()
        answers.close()
        store.close()
        workplace.close()


def says(verdict: Verdict, *words: str) -> Callable[[Sample], bool]:
    return lambda look: look.verdict is verdict and all(each in look.reason for each in words)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TAKEN_WITHIN", 0.6)
    monkeypatch.setattr(asking, "OFTEN", 0.05)


@pytest.mark.usefixtures("quick")
def test_zones_look_and_as_many_as_have_to_agree_decide(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_LEDGER", team.ledger)
    check = {"from": ["eu", "us"], "agree": 2, "then": ["deep"]}
    ann_copy = team.copy("ann", check)
    eu, us = (team.copy(zone, expect=["nonsense"]) for zone in ("eu", "us"))  # nobody reads theirs
    passes, fails, unsure = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
    with watching(ann_copy) as ann, answering(eu, "eu"), ExitStack() as stack:
        alone = team.comes(says(unsure, "eu passes (worker@eu, ", "us said nothing, ever: "))
        stack.enter_context(answering(us, "us"))
        both = team.comes(says(passes, "eu passes (", "us passes (worker@us, "), alone.at)
        team.flag("us").write_text("unwell")
        one = team.comes(says(passes, "eu passes (", "us fails (worker@us, "), both.at)
        team.flag("eu").write_text("unwell")
        two = team.comes(says(fails, "eu fails (", "us fails ("), one.at)
        zones = {zone.zone: zone for found in ann.watcher.latest("prod") for zone in found.zones}
        assert [zones[zone].by for zone in ("eu", "us")] == ["worker@eu", "worker@us"]
        team.flag("us").unlink()
        again = team.comes(says(passes, "eu fails (", "us passes ("), two.at)
        stack.close()
        silent = team.comes(says(unsure, "us said nothing since "), again.at)
        assert "no worker of the zone took it up" in silent.reason
        (incident,) = [each for each in team.store.incidents("prod") if each.kind == "fail"]
        assert "us fails (worker@us, " in incident.evidence["came"]
    # what the check leads to was looked at with it; where it was not reached, that was not well
    deep = {each.reason.split(" (")[0] for each in team.looks(CheckKey("prod", "deep"))}
    assert "eu passes" in deep
    with answering(eu, "eu"):
        once = ann_copy.say("watch", "--once", "--json")
    assert once.code == 9
    found, *_ = once.data["targets"][0]["checks"]
    assert [(each["zone"], each["verdict"], each["by"]) for each in found["zones"]] == [
        ("eu", "fail", "worker@eu"),
        ("us", None, "worker@us"),
    ]
    assert found["zones"][1]["at"] < found["zones"][0]["at"]
    assert found["verdict"] == "inconclusive"


def test_a_worker_that_is_frozen_or_killed_is_followed_by_another_and_nobody_is_told_twice(
    team: Team,
) -> None:
    started = {name: team.worker(name) for name in ("ann", "bob")}
    first = eventually(team.watched_by)
    other = next(name for name in started if name != first)
    team.comes(says(Verdict.PASS))
    looking = team.copy("zoe")
    watched = "idle, watches prod\n"
    eventually(lambda: looking.say("workers").out.count(watched) == 1, saying="one")
    started[first].send_signal(signal.SIGSTOP)
    for name in started:
        team.flag(name).write_text("unwell")
    eventually(lambda: team.watched_by() == other)
    red = team.comes(says(Verdict.FAIL))
    eventually(lambda: "[prod] alive fails" in team.titles())
    started[first].send_signal(signal.SIGCONT)
    seen = len(team.looks())
    eventually(lambda: len(team.looks()) > seen + 2)
    assert team.watched_by() == other
    started[other].kill()
    for name in started:
        team.flag(name).unlink()
    eventually(lambda: team.watched_by() == first)
    team.comes(says(Verdict.PASS), red.at)
    eventually(lambda: len(team.titles()) > 1 and not team.store.waiting())
    assert team.titles() == ["[prod] alive fails", "[prod] alive is healthy again"]
    times = [each.at for each in team.looks()]
    assert times == sorted(set(times))
