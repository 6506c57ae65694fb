"""A run whose process is killed when all is done and its hosts are let go: whatever others do there
then, whoever goes on closes it as it had ended."""

from __future__ import annotations

import pytest

from support.project import Said
from support.takeover import expire
from support.yard import Yard

VERBS = ("resume", "abort")
CLOSING = "backout.adapters.storage.journal:RunJournal.close_run"
HOLDING = "backout.adapters.lease:LeaseLock.hold"


@pytest.fixture
def two(two: Yard) -> Yard:
    """Two SSH hosts with a release that is known to be good."""
    two.runbook(two.step("First"))
    two.good_release()
    return two


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
    two.killed(CLOSING)
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
    two.killed(CLOSING)
    other = colleague(two, 3)
    said = two.say(verb)
    assert (said.code, said.data["outcome"]) == (4, "backed_out"), said.out + said.err
    assert "Ill" in said.data["reason"]
    closed(two, said, "First", "Theirs")
    assert other.say("status").code == 0


def test_a_rollback_that_had_ended_is_closed_whoever_deploys_since(two: Yard) -> None:
    two.runbook(two.step("Second"))
    two.good_release()
    two.killed(CLOSING, "rollback")
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
    other.killed(HOLDING, "resume", "--yes")  # it is taken over, and no host knows of it
    assert two.say("abort").code == 4
    said = other.say(verb)
    assert (said.code, said.data["outcome"]) == (4, "backed_out"), said.out + said.err
    closed(other, said, "First")
