"""Two operators on one target, and everything that happens to them: some rounds of what
`bench/operators.py` goes through, and that it would notice a guard that is not there."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support import linear
from support.arena import STEPS, Arena, arena
from support.linear import Host
from support.rounds import Round, rounds
from support.wait import eventually


@pytest.fixture(scope="module")
def together() -> Iterator[Arena]:
    """Two operators with one PostgreSQL as their ledger."""
    with arena(lease=2) as each:
        yield each


@pytest.mark.timeout(900)
def test_two_operators_and_one_ledger_come_to_an_order_whatever_happens() -> None:
    tally = rounds(range(1000, 1020), lambda *_: None, at_once=5, lease=3)
    assert (tally.rounds, tally.violations) == (20, [])


@pytest.mark.parametrize(("without", "beneath"), [(["token"], True), ([], False)])
def test_a_command_that_comes_late_finds_the_lease_of_another_run(
    together: Arena, without: Sequence[str], beneath: bool
) -> None:
    """Its operator falls asleep while it is on its way; another one takes the hosts by force, and
    deploys."""
    together.be(without=without, slow=0.7)
    round = Round(together, random.Random(1))
    one, other = together.operators
    other.env["SEAT_SLOW"] = "0"
    one.type("deploy")
    together.acting(1)
    with together.on_its_way():
        wake = round.happens("freeze", one)
        other.type("unlock --force", "deploy --wait 1m")  # on the other hosts it may act still
        other.over()
    wake()
    found = round.end("late")
    assert any("go on beneath others" in words for words in found) is beneath, found


@pytest.mark.parametrize(("without", "twice"), [(["void"], True), ([], False)])
def test_a_command_that_was_on_its_way_when_the_link_was_cut(
    together: Arena, without: Sequence[str], twice: bool
) -> None:
    """It is said never to have begun, and comes all the same, when nothing declares it void."""
    together.be(without=without, slow=0.7)
    round = Round(together, random.Random(1))
    together.operators[0].type("deploy")
    with together.stands_still():
        round.happens("sessions killed", together.operators[0])
        together.acting(1)  # it is begun once more
    found = round.end("on its way")
    assert any("'One': 2" in words for words in found) is twice, found


@pytest.mark.parametrize(("without", "wrong"), [(["epoch"], True), ([], False)])
def test_an_operator_who_was_asleep_decides_nothing_of_a_run_that_another_one_takes_back(
    together: Arena, without: Sequence[str], wrong: bool
) -> None:
    """It falls asleep when all is proved, and wakes up while the other one undoes."""
    together.be(without=without)
    round = Round(together, random.Random(1))
    one, other = together.operators
    one.type("deploy")
    together.acting(1)
    with together.deciding():
        together.acting(len(STEPS) + 1)
        wake = round.happens("freeze", one)
    eventually(together.expired)
    other.type("abort")
    together.acting(len(STEPS) + 2)
    wake()
    found = round.end("asleep")
    assert any("the ledger is not true" in words for words in found) is wrong, found


# --- the checker itself --------------------------------------------------------------------


def lines(*told: str) -> tuple[tuple[str, str, str], ...]:
    return tuple((run, step, word) for run, step, word in map(str.split, told))


def test_hosts_that_had_the_runs_in_another_order_are_found(tmp_path: Path) -> None:
    one = Host("web1", lines("r1 One act", "r2 One act"), "r2", "r2")
    other = Host("web2", lines("r2 One act", "r1 One act"), "r2", "r2")
    for name in ("r1-One-web1", "r2-One-web1", "r1-One-web2", "r2-One-web2"):
        (tmp_path / name).write_text("once\n")
    outcomes = {"r1": {"succeeded"}, "r2": {"succeeded"}}
    found = list(linear.faults([one, other], ["One"], outcomes, tmp_path))
    assert "web1 and web2 had the runs in another order: ['r1', 'r2']" in found
    assert "web2 runs r2, and should r1" in found


@pytest.mark.parametrize(
    ("outcome", "effects", "words"),
    [
        ("succeeded", 0, "run r1 is ['succeeded'], and left {'One': 0}"),
        ("succeeded", 2, "run r1 is ['succeeded'], and left {'One': 2}"),
        ("backed_out", 1, "run r1 is ['backed_out'], and left {'One': 1}"),
        ("refused", 1, "run r1 is ['refused'], and left {'One': 1}"),
        ("interrupted", 2, "run r1 acted twice: {'One': 2}"),
    ],
)
def test_an_effect_that_the_record_does_not_explain_is_found(
    tmp_path: Path, outcome: str, effects: int, words: str
) -> None:
    if effects:
        (tmp_path / "r1-One-web1").write_text("once\n" * effects)
    host = Host("web1", lines("r1 One act"), "r1", "r1")
    found = list(linear.faults([host], ["One"], {"r1": {outcome}}, tmp_path))
    assert f"web1: {words}" in found


def test_a_run_that_two_machines_recorded_otherwise_is_found(tmp_path: Path) -> None:
    (tmp_path / "beside").write_text("r1 One act\n")
    found = list(linear.faults([], [], {"r1": {"succeeded", "backed_out"}}, tmp_path))
    assert found[0].startswith("two commands at one time")
    assert found[1] == "run r1 is recorded as backed_out and as succeeded"
