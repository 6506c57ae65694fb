"""One ledger in PostgreSQL for several machines."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postgres import Postgres
from support.sshd import SshdBed
from support.yard import Yard


@pytest.fixture
def address(postgres: Postgres) -> str:
    """A database of this test's own, still empty."""
    return postgres.create_database(f"ledger_{secrets.token_hex(4)}")


@pytest.fixture
def yard(tmp_path: Path, bed: SshdBed, address: str) -> Iterator[Yard]:
    """One project whose ledger is there, over one SSH host."""
    with Yard(tmp_path, bed, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        yard.inventory(hosts={"web1": bed.inventory_hosts()["web1"]})
        (yard.project.directory / "backout.yaml").write_text("ledger: {secret: TEAM_LEDGER}\n")
        yard.project.env["TEAM_LEDGER"] = address
        yield yard


def elsewhere(yard: Yard) -> Yard:
    other = yard.elsewhere()
    other.project.env.update(yard.project.env)
    return other


def test_what_one_machine_deployed_another_knows_and_takes_back(yard: Yard) -> None:
    for name in ("First", "Second"):
        yard.runbook(yard.step(name))
        said = yard.deploy()
        assert said.code == 0, said.out + said.err
    other = elsewhere(yard)

    status = other.say("status").data
    assert (status["release"]["number"], status["known_good"], status["differs"]) == (2, True, [])
    runs = other.project.say("history", "--json").data["runs"]
    assert [run["outcome"] for run in runs] == ["succeeded", "succeeded"]
    shown = other.project.say("show", runs[0]["run"], "--json")
    assert [step["name"] for step in shown.data["steps"]][:1] == ["Second"]
    back = other.say("rollback")
    assert (back.code, yard.effects()) == (0, {"First-web1": 1}), back.out
    assert yard.say("status").data["release"]["number"] == 1
    assert yard.project.say("history", "--check", "--json").data["faults"] == []
    assert not (yard.project.state / "journal.db").exists()


def test_a_run_that_was_killed_is_resumed_from_its_ledger(yard: Yard) -> None:
    yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold()))
    process = yard.start()
    yard.busy("Slow-web1")
    process.kill()
    process.communicate()
    yard.let_go()
    said = yard.say("resume")
    assert said.code == 0, said.out + said.err
    assert yard.effects() == {"First-web1": 1, "Slow-web1": 1}
