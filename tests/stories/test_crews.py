"""A deploy that two workers drive, which are killed, frozen, stopped and cut off: some rounds of
what `bench/operators.py --workers` does for as long as one likes."""

from __future__ import annotations

import pytest

from support.crews import Crew
from support.rounds import rounds


@pytest.mark.timeout(900)
def test_rounds_of_two_workers_have_one_explanation_each() -> None:
    tally = rounds(range(7000, 7020), lambda *_: None, at_once=5, kind=Crew, workers=2)
    assert (tally.rounds, tally.violations) == (20, [])
    assert tally.deployed > 0
