"""People are told what runs do: once each, in order, after a crash too; and nobody waits for it."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest

from backout.watch import postman
from support import ports
from support.git_origin import GitOrigin
from support.loopback import Answer, Asked, Web
from support.process import Process
from support.project import BACKOUT
from support.sshd import SshdBed
from support.wait import eventually
from support.yard import Yard

TOKEN = "s3cret-t0ken-of-the-shop"


class Told:
    """A receiver, and what it has taken: each message once for its key."""

    def __init__(self) -> None:
        self.silent = Event()
        self.over = Event()
        self.web = Web(self._take)

    def _take(self, _: Asked) -> Answer:
        if self.silent.is_set():
            self.over.wait(150)
            return Answer(status=0)
        return Answer("{}")

    def url(self, port: int = 0) -> str:
        return f"json://127.0.0.1:{port or self.web.port}/"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(asked.body) for asked in self.web.asked]

    @property
    def events(self) -> list[str]:
        """What each was about, by the end of its key."""
        return [each["dedupe_key"].split("-", 3)[3] for each in self.messages]

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.messages]


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    with told.web:
        yield told
        told.over.set()


@pytest.fixture
def yard(tmp_path: Path, told: Told) -> Iterator[Yard]:
    with Yard(tmp_path, notify={"deploys": [told.url()]}) as yard:
        yard.runbook(yard.step("Switch"))
        yield yard


def test_each_says_who_what_where_how_long_and_what_to_type(
    bed: SshdBed, tmp_path: Path, told: Told
) -> None:
    git = GitOrigin(tmp_path / "git")
    hosts = {name: bed.inventory_hosts()[name] for name in ("web1", "web2")}
    secrets = {"token": {"env": "SHOP_TOKEN"}}
    with Yard(tmp_path, bed, hosts=hosts, secrets=secrets) as yard:
        source = {"repository": str(git.copy), "directory": "app"}
        yard.inventory(source=source, notify={"deploys": told.url()})
        yard.project.env["SHOP_TOKEN"] = TOKEN
        commit = {"name": "Commit", "commit": {"message": "Serve the new prices"}}
        yard.runbook(commit, yard.step("Switch"))
        git.good_change()
        yard.good_release()
        git.good_change()
        run = yard.good_release().data["run"]
        begun, deployed = told.messages[2:]
        assert begun["title"].startswith("[prod] deploy of release 2")
        assert begun["title"].endswith(" has begun")
        assert deployed["title"].startswith("[prod] release 2 (")
        assert deployed["title"].endswith(") is deployed and proved")
        lines = deployed["message"].splitlines()
        assert lines[0].startswith("by ")
        assert lines[0].endswith(f", run {run}")
        assert lines[1].startswith("from release 1 (")
        assert "on web1, web2" in lines
        assert any(line.endswith(" Serve the new prices") for line in lines)
        assert any(line.startswith("took ") for line in lines)
        assert lines[-1] == "next: invoke status --target prod"
        assert [each["type"] for each in (begun, deployed)] == ["info", "success"]

        loud = yard.step("Break", before='echo "no: $T"; exit 7', env={"T": "{{ secrets.token }}"})
        yard.runbook(yard.step("Switch"), loud)
        assert yard.deploy().code == 4
        out = told.messages[-1]
        assert out["title"].startswith("[prod] deploy of release 3")
        assert "is backed out: web1: Break failed: exited 7" in out["title"]
        assert "back on release 2 (" in out["message"]

        assert yard.say("rollback").code == 0
        assert told.titles[-1].startswith("[prod] rolled back to release 1 (")
        assert "takes back release 2 (" in told.messages[-1]["message"]
        assert told.events == [
            *("begun", "deployed", "begun", "deployed"),
            *("begun", "backed-out", "begun", "rolled-back"),
        ]
        whole = "".join(asked.body for asked in told.web.asked)
        assert TOKEN not in whole
        assert TOKEN.encode() not in (yard.project.state / "journal.db").read_bytes()


def test_a_destination_that_is_down_changes_nothing_and_hears_all_of_it_later(
    yard: Yard, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who refuses is not waited for, as who is silent is."""
    monkeypatch.setattr(postman, "PATIENCE", 3600.0)
    yard.good_release()
    free = ports.free_port()
    yard.inventory(notify={"deploys": [told.url(free), told.url()]})
    said = yard.good_release()
    assert "not told yet, and tried again by the next run or watch: [prod] " in said.err
    assert told.events == ["begun", "deployed"] * 2
    status = yard.say("status")
    assert (status.code, len(status.data["untold"])) == (0, 2)
    assert "(to notify.deploys[0] of prod (json): " in status.data["untold"][0]
    with Web(port=free) as late:
        yard.good_release()
        keys = [json.loads(asked.body)["dedupe_key"] for asked in late.asked]
    assert len(keys) == len(set(keys)) == 4
    assert [key.rpartition("-")[2] for key in keys] == ["begun", "deployed"] * 2
    assert "untold" not in yard.say("status").data


def test_one_that_never_answers_is_not_waited_for_longer_than_is_said(
    yard: Yard, told: Told
) -> None:
    told.silent.set()
    begun = monotonic()
    said = yard.good_release()
    assert monotonic() - begun < 60
    assert "not told yet" in said.err
    assert len(yard.say("status").data["untold"]) == 2


def test_what_a_killed_deployer_had_to_say_is_said_once_by_whoever_goes_on(
    yard: Yard, told: Told
) -> None:
    yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold()))
    told.silent.set()
    process = yard.start()
    yard.busy("Slow-here")
    eventually(lambda: told.web.asked)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    told.silent.clear()
    told.over.set()
    yard.let_go()
    assert yard.say("abort").code == 4
    keys = {each["dedupe_key"] for each in told.messages}
    assert sorted(key.split("-", 3)[3] for key in keys) == [
        "backed-out",
        "begun",
    ]
    assert told.events == ["begun", "begun", "backed-out"]  # the first was never answered


def test_a_person_is_called_once_with_what_to_type(yard: Yard, told: Told) -> None:
    yard.good_release()
    wrong = {**yard.step("Switch", after="exit 3"), "undo": "exit 9"}
    yard.runbook(wrong)
    said = yard.deploy()
    assert said.code == 5
    assert told.events[2:] == ["begun", "needs-person"]
    last = told.messages[-1]
    assert "NEEDS A PERSON" in last["title"]
    assert last["type"] == "failure"
    assert "invoke resume --target prod" in last["message"].splitlines()[-1]
    assert any(line.strip().startswith("here ") for line in last["message"].splitlines())
    assert yard.say("resume").code == 5
    assert told.events[2:] == ["begun", "needs-person"]


def test_a_watcher_sends_what_a_run_could_not(yard: Yard, told: Told) -> None:
    free = ports.free_port()
    yard.inventory(notify={"deploys": [told.url(free)]})
    yard.good_release()
    with Web(port=free) as late:
        assert yard.project.say("watch", "--target", "prod", "--once").code == 0
        assert len(late.asked) == 2
    yard.inventory(notify={"deploys": [told.url()], "alerts": [told.url()]})
    argv = [*BACKOUT, "watch", "--target", "prod"]
    log = yard.project.directory / "watch.log"
    with Process(argv, log=log, env=yard.project.env, cwd=yard.project.directory) as watcher:
        eventually(lambda: "watching prod" in watcher.output())
        yard.good_release()
    assert told.events == ["begun", "deployed"]


def test_nobody_is_told_of_a_refusal_or_of_a_rehearsal(yard: Yard, told: Told) -> None:
    yard.good_release()
    yard.runbook(yard.step("Switch"), preflight=[{"name": "No", "run": "false", "readonly": True}])
    assert yard.deploy().code == 3
    yard.runbook(yard.step("Switch"))
    assert yard.say("rehearse", "--yes").code == 0
    assert told.events == ["begun", "deployed"]


def test_a_message_and_its_record_are_one(yard: Yard, told: Told) -> None:
    """Where the one cannot be written, the other is not there either."""
    yard.good_release()
    with sqlite3.connect(yard.project.state / "journal.db") as db:
        db.execute(
            "CREATE TRIGGER no BEFORE INSERT ON letter WHEN NEW.kind = 'deployed'"
            " BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    said = yard.deploy()
    assert said.code != 0
    assert [kind for kind, _, _ in yard.records() if kind == "decided"] == []


def test_a_list_is_of_alerts_and_a_mistake_names_its_line(yard: Yard, told: Told) -> None:
    yard.inventory(notify=[told.url()])
    yard.good_release()
    assert told.events == []
    yard.inventory(notify={"deploys": [{"url": told.url(), "severity": "info"}], "alarms": []})
    said = yard.project.say("lint")
    assert said.code == 2
    assert "alarms" in said.err
    assert "severity" in said.err


def test_people_are_told_of_a_plan_and_of_a_step_that_wait_for_a_yes_and_of_a_broken_freeze(
    yard: Yard, told: Told
) -> None:
    yard.project.env["BACKOUT_PERSON"] = "ann"
    yard.inventory(protected={"approvals": 1})
    for _ in range(2):  # asked twice, told once
        assert yard.deploy("--yes").code == 3
    (waits,) = told.messages
    assert waits["title"] == "[prod] deploy of release 1 waits for an approval"
    run = yard.say("status").data["asked"][0]["run"]
    assert waits["message"].splitlines()[-1] == f"next: invoke approve {run}"

    always = {"from": "2020-01-01", "until": "2099-01-01", "timezone": "UTC", "why": "the fair"}
    yard.inventory(protected=False, freeze=[always])
    ask = {"question": "Are the numbers right?", "by": "another", "expires": "1s"}
    yard.runbook(yard.step("Switch"), {"name": "Four eyes", "approve": ask})
    assert yard.deploy("--break-freeze", "the shop is down").code == 4
    titles = told.titles[1:]
    assert [title.rpartition(" ")[2] for title in titles[:2]] == ["begun", "approval"]
    assert "freeze broken: the shop is down" in told.messages[1]["message"]
    assert "Are the numbers right?" in told.messages[2]["message"]
