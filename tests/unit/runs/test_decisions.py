"""Wherever a deployer is killed, whoever goes on decides what it would have decided."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backout.adapters.storage.journal import SqliteJournal
from backout.errors import Unreachable
from backout.model import Outcome, Release, Result, State, Verdict
from backout.ports import Transport
from backout.runs import release_file
from backout.runs.ended import Ended
from backout.runs.release_file import HostRecord
from support.world import HOSTS, Deployer, World

names = itertools.count()


@dataclass(frozen=True)
class Story:
    """What goes wrong in the world, and how the run ends when nobody kills it."""

    code: int
    ill: str = ""
    fails: str = ""
    residue: bool = False
    max_failures: int = 0


STORIES = {
    "all is well": Story(0),
    "a gate is red": Story(4, ill="web2"),
    "a gate is red, within the budget": Story(0, ill="web2", max_failures=1),
    "a step fails": Story(4, fails="web3"),
    "a step fails, within the budget": Story(0, fails="web1", max_failures=1),
    "a last step here breaks it": Story(4, ill="here"),
    "a host that goes back is ill": Story(5, ill="web2", residue=True, max_failures=1),
}


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path_factory.mktemp("decisions") / "journal.db", str) as journal:
        yield journal


@pytest.fixture
def begin(journal: SqliteJournal, tmp_path: Path) -> Any:
    def begin(story: Story) -> Deployer:
        place = tmp_path / str(next(names))
        place.mkdir()
        world = World(place, story.ill, story.fails, story.residue)
        return Deployer(world, journal, f"r{next(names)}", story.max_failures)

    return begin


def answer(deployer: Deployer, ended: Ended) -> dict[str, Any]:
    """All that a person is told, and all that is true."""
    world, journal = deployer.world, deployer.journal
    releases = journal.releases(deployer.run)
    return {
        "code": ended.exit_code,
        "outcome": ended.outcome,
        "hosts": {host: (end.state, end.release) for host, end in ended.hosts.items()},
        "checks": {finding.key: finding.verdict for finding in ended.findings},
        "known good": [(row.number, row.known_good, sorted(row.covers)) for row in releases],
        "disk": {host: sorted(world.disk[host]) for host in (*HOSTS, "here")},
        "running": {host: sorted(world.running[host]) for host in HOSTS},
        "done": sorted(world.log),
    }


def boundaries(deployer: Deployer) -> int:
    return deployer.world.fate.passed


@pytest.mark.parametrize("name", STORIES)
def test_a_resumed_run_answers_as_the_uninterrupted_one(name: str, begin: Any) -> None:
    story, dice = STORIES[name], Random(name)
    whole = begin(story)
    told = whole.say("deploy")
    expected = answer(whole, told)
    assert told.exit_code == story.code
    last = boundaries(whole)
    for at in dice.sample(range(1, last + 1), min(last, 14)):
        deployer = begin(story)
        ended = deployer.say("deploy", at)
        if dice.random() < 0.4 and ended is None:
            ended = deployer.say("resume", dice.randint(1, last))
        ended = ended or deployer.say("resume")
        assert answer(deployer, ended) == expected, f"killed at boundary {at} of {last}"


@pytest.mark.parametrize("name", STORIES)
def test_an_aborted_run_is_as_before_or_was_over(name: str, begin: Any) -> None:
    story, dice = STORIES[name], Random(name)
    whole = begin(story)
    whole.say("deploy")
    last = boundaries(whole)
    for at in dice.sample(range(1, last), min(last - 1, 5)):
        deployer = begin(story)
        if deployer.say("deploy", at) is not None:
            continue
        ended = deployer.say("abort")
        world = deployer.world
        well = all(each == ["old"] for each in (*world.disk.values(), *world.running.values()))
        over = bool(deployer.journal.releases(deployer.run))
        assert (ended.exit_code == 0) == over
        assert (ended.exit_code == 4) == (well and not over), f"killed at boundary {at} of {last}"


@pytest.mark.parametrize(
    ("name", "withdrawn"),
    [("all is well", {}), ("a gate is red, within the budget", {"web2": "withdrawn"})],
)
def test_a_success_that_a_host_has_not_on_record_is_not_over_until_it_has(
    begin: Any, monkeypatch: pytest.MonkeyPatch, name: str, withdrawn: dict[str, str]
) -> None:
    deployer, honest = begin(STORIES[name]), release_file.write

    why = {"web1": "No space left on device", "web3": "Read-only file system"}

    def full(transport: Transport, home: str, record: HostRecord) -> Result:
        name = transport.host.name
        if name in why and record.run == deployer.run:
            return Result(State.FAILED, reason=why[name])
        return honest(transport, home, record)

    monkeypatch.setattr(release_file, "write", full)
    ended = deployer.say("deploy")
    assert (ended.outcome, ended.exit_code) == (Outcome.BACKOUT_INCOMPLETE, 5)
    assert ended.reason == (
        "deployed and proved; not on record there:"
        " web1: No space left on device; web3: Read-only file system"
    )
    ends = {host: str(end.state) for host, end in ended.hosts.items()}
    assert ends == dict.fromkeys(HOSTS, "deployed") | withdrawn
    told = {"web2": "check well@web2 fail: " if withdrawn else "", **why}
    assert {host: end.why for host, end in ended.hosts.items()} == told
    assert ended.release == Release(2)
    assert deployer.lease.kept
    assert {finding.verdict for finding in ended.findings} == {Verdict.PASS}
    assert len(deployer.journal.releases(deployer.run)) == 1, "the ledger has it"
    assert deployer.say("abort").exit_code == 5
    deployer.lease.taken = "bob took web1"
    assert deployer.say("abort").reason == "bob took web1", "who has it by now has the say"
    deployer.lease.taken = ""
    monkeypatch.undo()
    deployer.world.running["web3"].append("ill")  # what was decided is not proved anew
    assert deployer.say("resume").exit_code == 0


def test_a_host_whose_answer_was_lost_for_a_moment_has_its_record_written_again(
    begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployer, honest = begin(STORIES["all is well"]), release_file.write
    lost: list[Unreachable | Result] = [
        Unreachable("its link was cut"),
        Result(State.FAILED, 137, stderr="Killed"),
    ]

    def write(transport: Transport, home: str, record: HostRecord) -> Result:
        if transport.host.name == "web1" and not record.during and lost:
            said = lost.pop()
            if isinstance(said, Unreachable):
                raise said
            return said
        return honest(transport, home, record)

    monkeypatch.setattr(release_file, "write", write)
    assert deployer.say("deploy").exit_code == 0
    assert lost == []
