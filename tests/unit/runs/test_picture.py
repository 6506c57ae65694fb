"""The digest of a plan: the same for what comes to the same, another for whatever else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backout.runs.picture import MOST, PARTS, Picture, flat

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8))
parts = st.fixed_dictionaries(
    {part: st.dictionaries(st.text(max_size=6), leaves, max_size=4) for part in PARTS}
)


def turned(data: dict[str, Any]) -> dict[str, Any]:
    return {k: turned(v) if isinstance(v, dict) else v for k, v in reversed(data.items())}


@pytest.mark.usefixtures("unhurried")
@settings(max_examples=40)
@given(parts)
def test_the_order_of_facts_is_no_part_of_a_plan(facts: dict[str, Any]) -> None:
    assert Picture(facts).digest == Picture(turned(facts)).digest
    assert Picture(facts).moved(Picture(turned(facts))) == ()


@pytest.mark.usefixtures("unhurried")
@settings(max_examples=40)
@given(parts, parts)
def test_two_plans_have_one_digest_when_nothing_moved_between_them_and_else_not(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = Picture(one), Picture(other)
    assert (first.digest == second.digest) == (one == other and repr(one) == repr(other))
    assert bool(first.moved(second)) == (first.digest != second.digest)


@pytest.mark.usefixtures("unhurried")
@settings(max_examples=40)
@given(parts, st.sampled_from(PARTS), st.text(max_size=6), leaves)
def test_every_fact_of_every_part_counts(
    facts: dict[str, Any], part: str, name: str, value: Any
) -> None:
    changed = {**facts, part: {**facts[part], name: value}}
    same = repr(facts[part].get(name, "none of them")) == repr(value)
    moved = Picture(facts).moved(Picture(changed))
    assert (Picture(facts).digest == Picture(changed).digest) == same
    assert len(moved) == (not same)


@pytest.mark.usefixtures("unhurried")
@settings(max_examples=40)
@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_data_is_flat_and_nothing_of_it_is_lost(data: Any) -> None:
    rows = list(flat(data))
    assert rows, "what is empty is a fact too"
    assert all(not isinstance(value, list | dict) for _, value in rows)


def test_of_many_movements_the_first_few_are_told() -> None:
    many = Picture({"params": {f"p{n:02}": n for n in range(40)}})
    told = Picture({}).moved(many)
    assert (len(told), told[0], told[-1]) == (MOST + 1, "param p00 is new", f"and {40 - MOST} more")
