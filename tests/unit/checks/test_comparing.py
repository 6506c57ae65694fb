"""New hosts against old ones: what is worse is found, what is the same is not called worse."""

from __future__ import annotations

import pytest

from backout.checks.comparing import FEWEST, Side, compared
from support.canary import Load, alarms

SEEDS = range(1, 9)
pytestmark = pytest.mark.usefixtures("unhurried")


@pytest.mark.parametrize(
    "worse", [{"slower": 1.3}, {"failing": 0.02}], ids=["30 % slower", "2 % fail"]
)
def test_a_bad_canary_is_found_before_the_second_batch(worse: dict[str, float]) -> None:
    """`bench/canary.py` has a hundred of each."""
    assert alarms(Load(seed, **worse) for seed in SEEDS) == list(SEEDS)


def test_identical_releases_are_no_alarm() -> None:
    assert alarms(Load(seed) for seed in SEEDS) == []


def test_too_few_looks_are_never_green_and_never_red() -> None:
    few = Side((100.0,) * (FEWEST - 1))
    many = Side((10.0,) * 1000)
    for new, old in ((few, many), (many, few)):
        told = compared(new, old)
        assert (told.worse, told.unknown[-22:]) == ("", "are too few to compare")
    assert not compared(Side((100.0,) * FEWEST), many).unknown


def test_a_difference_that_is_certain_and_small_is_nobodys_trouble() -> None:
    spread = [30.0 + n % 20 for n in range(600)]
    new = Side(tuple(1.05 * each for each in spread))
    assert compared(new, Side(tuple(spread))).worse == ""
    told = compared(Side(tuple(1.3 * each for each in spread)), Side(tuple(spread))).worse
    assert told.startswith("its median is 51 ms, of 40 ms on the old release (p = ")


def test_failures_on_both_sides_are_not_the_new_release() -> None:
    side = Side((40.0,) * 300, failed=20)
    assert compared(side, side).worse == ""
    assert "20 of 320 looks failed" in compared(side, Side((40.0,) * 900)).worse
