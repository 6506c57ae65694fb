"""A run whose process is killed when all is done and its hosts are let go: whatever others do there
then, whoever goes on closes it as it had ended."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import killed_in, warm
from support.project import Said
from support.sshd import SshdBed
from support.takeover import expire
from support.yard import Yard

VERBS = ("resume", "abort")
CLOSING = "backout.adapters.storage.journal:RunJournal.close_run"
HOLDING = "backout.adapters.lease:LeaseLock.hold"


@pytest.fixture
def two(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Two SSH hosts with a release that is known to be good."""
    with Yard(tmp_path, bed, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        hosts = bed.inventory_hosts()
        yard.inventory(hosts={name: hosts[name] for name in ("web1", "web2")})
        yard.runbook(yard.step("First"))
        yard.good_release()
        yield yard


def killed(yard: Yard, at: str, verb: str = "deploy", *words: str) -> None:
    program = (str(Path(killed_in.__file__)),)
    argv = (at, verb, "--target", "prod", "--json", *words)
    here = yard.project
    code, *said = warm.run(argv, here.directory, here.env, 120, program=program)
    assert code == -signal.SIGKILL, said


def colleague(yard: Yard, number: int) -> Yard:
    """Somebody else deploys at once."""
    other = yard.elsewhere()
    other.runbook(other.step("Theirs"))
    assert other.good_release().data["release"]["to"]["number"] == number
    return other


def closed(yard: Yard, said: Said, *names: str) -> None:
    """The run is history, its hosts have what these steps left, and nothing was touched."""
    assert set(yard.effects()) == {f"{name}-{host}" for name in names for host in ("web1", "web2")}
    assert yard.say("abort").data["error"]["what"] == "prod has no unfinished run"
    assert yard.project.say("history", "--check", "--json").data["faults"] == []
    shown = yard.project.say("show", said.data["run"], "--json").data
    assert {**shown, **said.data} == shown


@pytest.mark.parametrize("verb", VERBS)
def test_a_deploy_that_had_succeeded_is_closed_whoever_deploys_since(two: Yard, verb: str) -> None:
    two.runbook(two.step("Second"))
    killed(two, CLOSING)
    other = colleague(two, 3)
    said = two.say(verb)
    assert (said.code, said.data["outcome"]) == (0, "succeeded"), said.out + said.err
    hosts = {(end["state"], end["release"]["number"]) for end in said.data["hosts"].values()}
    assert hosts == {("deployed", 2)}
    closed(two, said, "First", "Second", "Theirs")
    assert other.say("status").code == 0


@pytest.mark.parametrize("verb", VERBS)
def test_a_deploy_that_had_gone_back_is_closed_whoever_deploys_since(two: Yard, verb: str) -> None:
    two.runbook(two.step("Second"), two.step("Ill", after="false"))
    killed(two, CLOSING)
    other = colleague(two, 3)
    said = two.say(verb)
    assert (said.code, said.data["outcome"]) == (4, "backed_out"), said.out + said.err
    assert "Ill" in said.data["reason"]
    closed(two, said, "First", "Theirs")
    assert other.say("status").code == 0


def test_a_rollback_that_had_ended_is_closed_whoever_deploys_since(two: Yard) -> None:
    two.runbook(two.step("Second"))
    two.good_release()
    killed(two, CLOSING, "rollback")
    other = colleague(two, 3)
    said = two.say("resume")
    assert (said.code, said.data["release"]["to"]["number"]) == (0, 1), said.out + said.err
    closed(two, said, "First", "Theirs")
    assert other.say("status").code == 0


@pytest.mark.parametrize("verb", VERBS)
def test_what_its_own_machine_ended_is_closed_where_it_had_been_taken_over(
    two: Yard, verb: str
) -> None:
    two.runbook(two.step("Second"), two.step("Slow", before=two.hold()))
    process = two.start()
    two.busy("Slow-web1")
    process.kill()
    process.communicate()
    two.let_go()
    expire(two)
    other = two.elsewhere()
    killed(other, HOLDING, "resume", "--yes")  # it is taken over, and no host knows of it
    assert two.say("abort").code == 4
    said = other.say(verb)
    assert (said.code, said.data["outcome"]) == (4, "backed_out"), said.out + said.err
    closed(other, said, "First")
