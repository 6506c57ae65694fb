"""Runs that only one working copy can drive, and that workers drive all the same: those in it."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postgres import Postgres
from support.team import Team
from support.yard import Yard


class Copy(Team):
    """The team's first working copy, of a repository whose origin is bare."""

    def __init__(self, yard: Yard, postgres: Postgres, origin: Path) -> None:
        super().__init__(yard, postgres)
        self.here, self.origin = yard.project.directory, origin
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", origin], check=True)
        yard.inventory(source={"repository": ".", "remote": "origin", "branch": "main"})
        (self.here / ".gitignore").write_text(".backout\n*.built\n")
        (self.here / "told").write_text("one\n")
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "ann")
        self.git("config", "user.email", "ann@example.com")
        self.git("remote", "add", "origin", str(origin))

    def publish(self) -> None:
        self.git("add", ".")
        self.git("commit", "-qm", "all")
        self.git("push", "-q", "origin", "main")

    def git(self, *words: str, at: Path | None = None) -> str:
        done = ["git", "-C", str(at or self.here), *words]
        return subprocess.run(done, check=True, capture_output=True, text=True).stdout.strip()

    @property
    def place(self) -> str:
        return f"here:{socket.gethostname()}:{self.here.resolve()}"

    def told_at_origin(self) -> str:
        return self.git("show", "main:told", at=self.origin)


@pytest.fixture
def copy(tmp_path: Path, postgres: Postgres) -> Iterator[Copy]:
    with Yard(tmp_path, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        yield Copy(yard, postgres, tmp_path / "origin.git")


COMMIT = {"name": "Commit", "commit": "Deploy"}
PUSH = {"name": "Push", "push": {}}


def test_what_only_a_working_copy_can_do_is_driven_there_or_not_handed_over(copy: Copy) -> None:
    yard = copy.yard
    yard.runbook(COMMIT, PUSH, yard.step("Slow", before=yard.hold()), settle=[])
    copy.publish()
    (copy.here / "told").write_text("two\n")
    other = copy.elsewhere()
    copy.worker(of=other)
    refused = yard.deploy("--detach")
    assert (refused.code, refused.data["error"]["what"]) == (
        3,
        "Commit, Push: only this working copy can do that, and no worker is in it",
    )
    assert refused.data["error"]["next"].splitlines() == [
        "commit and push, then: invoke deploy --target prod --detach --ref HEAD",
        "or have a worker in this working copy, which does it here: invoke worker",
    ]
    # One is there, and it is killed in mid-run: whoever works elsewhere lets it be.
    first = copy.worker()
    run = copy.deploy()
    yard.busy("Slow-here")
    assert copy.told_at_origin() == "two"
    first.kill()
    first.communicate()
    zones = {zone["zone"]: zone for zone in copy.shown()}
    assert [each["run"] for each in zones[copy.place]["runs"]] == [run]
    yard.let_go()
    copy.worker()
    assert copy.ended(run) == ("succeeded", 0)
    assert copy.kinds(run).count("rescued") == 1
    assert copy.git("status", "--porcelain") == ""
    # What any of them can do is the zone's.
    yard.runbook(yard.step("Plain"), settle=[])
    copy.publish()
    assert copy.zone_of(copy.deploy()) == "default"


def test_a_working_copy_that_moved_on_meanwhile_refuses_what_was_asked_for(copy: Copy) -> None:
    yard = copy.yard
    yard.runbook(COMMIT, PUSH, yard.step("First"), settle=[])
    copy.publish()
    worker = copy.worker()
    for change, said in (
        (lambda: (copy.here / "told").write_text("three\n"), "told has changed"),
        (lambda: copy.git("commit", "-qam", "another"), "the commit that ships"),
    ):
        (copy.here / "told").write_text("two\n")
        worker.send_signal(signal.SIGSTOP)
        run = copy.deploy()
        change()
        worker.send_signal(signal.SIGCONT)
        assert copy.ended(run) == ("refused", 3)
        reason = yard.project.say("follow", run, "--json").data["reason"]
        assert said in reason, reason
    assert (copy.told_at_origin(), yard.effects()) == ("one", {})


def test_what_failed_is_taken_back_in_the_working_copy(copy: Copy) -> None:
    yard = copy.yard
    yard.runbook(COMMIT, PUSH, yard.step("First", after="false"), settle=[])
    copy.publish()
    copy.worker()
    (copy.here / "told").write_text("two\n")
    run = copy.deploy()
    assert copy.ended(run) == ("backed_out", 4)
    assert copy.told_at_origin() == "one"
    assert yard.effects() == {}


def test_what_no_commit_has_is_brought_from_the_working_copy(copy: Copy, tmp_path: Path) -> None:
    yard = copy.yard
    brought = tmp_path / "brought"
    put = {"name": "Bring", "upload": {"from": "app.built", "to": str(brought)}, "on": "web"}
    yard.runbook(put, settle=[])
    (copy.here / "app.built").write_text("built here")
    copy.publish()
    copy.worker(of=copy.elsewhere())
    copy.worker()
    run = copy.deploy()
    assert copy.ended(run) == ("succeeded", 0)
    assert brought.read_text() == "built here"
    assert copy.zone_of(run) == copy.place
