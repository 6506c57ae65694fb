"""A yes that is taken back, and one that a run was killed with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    with office:
        yield office


def test_whoever_has_said_yes_takes_it_back_until_a_run_has_used_it(office: Office) -> None:
    run = office.ask()
    assert office.by("bob", "approve", run, "--yes").code == 0
    again = office.by("bob", "approve", run, "--yes", "--json")
    assert (again.code, f"invoke approve {run} --refuse" in again.data["error"]["next"]) == (
        3,
        True,
    )
    back = office.by("bob", "approve", run, "--refuse", "I misread it", "--yes")
    assert back.code == 0, back.out + back.err
    assert "refused, 0 of 1." in back.out
    assert "no by bob (23456@" in back.out
    new = office.ask()
    assert new != run
    assert office.effects() == {}
    assert office.by("bob", "approve", new, "--yes").code == 0
    said = office.deploy("--yes")
    assert said.code == 0, said.out + said.err
    late = office.by("bob", "approve", new, "--refuse", "I misread it", "--yes", "--json")
    assert (late.code, f"used by run {said.data['run']}" in late.data["error"]["what"]) == (3, True)
    assert late.data["error"]["next"].startswith(f"invoke follow {said.data['run']}")


def test_a_yes_that_is_taken_back_while_the_run_looks_around_begins_nothing(office: Office) -> None:
    looks = f"mkdir -p {office.files}/Look.busy; {office.hold()}"
    look = {"name": "Look", "run": looks, "readonly": True}
    office.runbook(office.step("One"), preflight=[look])
    run = office.ask()
    assert office.by("bob", "approve", run, "--yes").code == 0
    process = office.start("deploy", "--yes")
    office.busy("Look")
    assert office.by("bob", "approve", run, "--refuse", "I misread it", "--yes").code == 0
    office.let_go()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, "bob refused it: I misread it" in out) == (3, True), out
    assert office.effects() == {}


def test_a_run_that_was_killed_as_it_had_used_a_yes_goes_on_with_it(office: Office) -> None:
    assert office.by("bob", "approve", office.ask(), "--yes").code == 0
    office.killed("backout.model.people:Person.to_data", "deploy", "--yes")
    kinds = [kind for kind, _, _ in office.records()]
    assert "approved" not in kinds
    said = office.say("resume", "--yes")
    assert said.code == 0, said.out + said.err
    assert said.data["approved_by"][0].startswith("bob (23456@")
