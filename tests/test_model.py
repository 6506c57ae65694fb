"""The protocol as a model: what breaks when a guard is taken away, and that nothing does else."""

from __future__ import annotations

from pathlib import Path

import pytest
from proof import model, people
from proof.model import Row
from proof.search import moves
from proof.world import BENEATH, BESIDE, NOT_BACK, NOT_DEPLOYED, TWICE, Guards, State, broken

pytestmark = pytest.mark.usefixtures("unhurried")
ROWS = list(model.rows())
DOUBLED = {(0, ("again",)), (0, ("token", "again")), (2, ("token",))}
"""Scenario, and what is taken away from it without harm: within a run the void says what the lease
says, and of two looks at the lease the second is the one that counts."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.scenario.name}, {row.title}")
def test_a_rule_is_broken_only_where_a_guard_is_taken_away(row: Row) -> None:
    place = model.SCENARIOS.index(row.scenario)
    harmless = not row.without or (place, row.without) in DOUBLED
    found = row.found
    assert bool(found.violating) is not harmless, found.story
    assert found.deployed, "nobody gets there"
    assert found.backed_out, "nobody comes back"


def story(without: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The rule that a row breaks first, and its story."""
    row = next(row for row in ROWS if row.without == without)
    return next(iter(row.found.rules)), row.found.story


def test_unlock_lets_a_second_laptop_deploy_beside_the_living_command_of_the_first() -> None:
    rule, told = story(("alive",))
    assert rule == BESIDE
    unlocked = "the lease expires, and B, who knows nothing of run 1, types unlock"
    begins = [told.index(f"the command of run {run} begins to act") for run in (1, 2)]
    assert begins[0] < told.index(unlocked) < begins[1]
    assert "the command of run 1 has acted" not in told


def test_a_zombie_records_deployed_while_its_rescuer_goes_back() -> None:
    rule, told = story(("epoch", "again"))
    assert rule == NOT_DEPLOYED
    assert told[-1] == "A records run 1 as deployed" or told[-1] == "the undo of run 1 has acted"
    assert any(words.startswith("B types") for words in told)


def test_a_command_begins_that_was_said_never_to_have_begun() -> None:
    rule, told = story(("void", "again"))
    assert rule == NOT_BACK
    never = "B finds no note: the command never began"
    assert told.index(never) < told.index("the command of run 1 begins to act")


@pytest.mark.parametrize(
    ("without", "rules"),
    [
        (("fence",), {BENEATH}),
        (("same",), {BENEATH}),
        (("boot",), {TWICE, NOT_BACK}),
        (("undo",), {NOT_BACK}),
    ],
)
def test_each_guard_is_there_for_a_rule(without: tuple[str, ...], rules: set[str]) -> None:
    row = next(row for row in ROWS if row.without == without)
    assert set(row.found.rules) == rules


def test_a_story_can_be_gone_through_move_by_move() -> None:
    row = next(row for row in ROWS if row.without == ("alive",))
    state = people.beginning(State(left=row.scenario.bounds))
    for words in row.found.story:
        assert not broken(state)
        state = dict(moves(state, Guards().without("alive")))[words]
    assert broken(state) == BESIDE


def test_the_document_has_the_table_and_the_stories_as_they_are_found() -> None:
    document = (Path(__file__).parent.parent / "docs" / "proof.md").read_text(encoding="utf-8")
    for row in ROWS:
        assert str(row) in document
    for without in (("alive",), ("same",)):
        told = model.told(next(row for row in ROWS if row.without == without)).strip()
        assert "\n".join(f"    {line}".rstrip() for line in told.splitlines()) in document
