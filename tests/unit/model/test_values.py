"""What came from outside is data that can be held, kept and given back, whatever it is."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.checks import evidence
from backout.checks.judging import judge
from backout.language.expressions import CannotTell, evaluate, holds
from backout.model import Check, Observation, Verdict
from backout.model.values import DEEPEST, Unavailable, integer, number, plain, restored, stored

ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
    | st.text(st.characters())
    | st.sampled_from(["\ud83d", b"\xff", date.min, timedelta(seconds=90), object()])
    | st.integers(4500, 5000).map(lambda digits: 10**digits)
)
ANYTHING = st.recursive(
    ODD, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner)
)


@pytest.mark.usefixtures("unhurried")
@given(ANYTHING)
def test_whatever_came_can_be_written_as_json_and_read_again(value: Any) -> None:
    held = plain(value)
    text = json.dumps(stored(held), ensure_ascii=False)
    assert restored(json.loads(text.encode())) == held


@pytest.mark.usefixtures("unhurried")
@given(ANYTHING)
def test_whatever_came_can_be_shown_and_ends_no_judgement(value: Any) -> None:
    check = Check(name="any", kind="http", options=None, expect=("status == 200", "x != 'down'"))
    held = plain(value)
    finding = judge(check, Observation({"status": 200, "x": held}), {})
    shown = evidence.shown(finding, lambda text: text)
    assert shown.verdict is finding.verdict
    json.dumps(shown.facts)
    shown.reason.encode()
    if not isinstance(held, str) or held == "down":  # bytes are text in hexadecimal
        assert finding.verdict is not Verdict.PASS


@given(st.decimals(allow_nan=False, allow_infinity=False, places=25) | st.integers())
def test_a_number_is_the_one_that_was_written(value: Any) -> None:
    written = str(value)
    read = integer(written) if isinstance(value, int) else number(written)
    assert not isinstance(read, Unavailable)
    assert Decimal(repr(read) if isinstance(read, float) else read) == value


def test_what_is_nested_too_deep_is_unavailable_below_and_had_above() -> None:
    value: Any = 1
    for _ in range(10_000):
        value = [value]
    held = plain(value)
    assert holds("size(x[0][0][0]) == 1", {"x": held})
    with pytest.raises(CannotTell, match=f"nested more than {DEEPEST} deep"):
        evaluate("x", {"x": held})


def test_nothing_from_outside_passes_for_what_was_stored() -> None:
    spoofed = plain({"a": {"\0number": "5"}, "b": {"\0unavailable": "x"}})
    assert all(isinstance(each, Unavailable) for each in spoofed.values())


def test_a_baseline_that_could_not_be_had_is_not_compared() -> None:
    before = restored(json.loads(json.dumps(stored(plain({"n": "\ud83d", "m": Decimal("1e-30")})))))
    scope = {"baseline": before, "n": "x", "m": Decimal("1e-30")}
    assert holds("m == baseline.m && m * 2 > baseline.m", scope)
    for expression in ("n != baseline.n", "n == baseline.n", "baseline.n == null"):
        with pytest.raises(CannotTell, match="cannot be had"):
            holds(expression, scope)


def test_times_and_durations_leave_an_expression_as_text_that_it_reads_again() -> None:
    scope = {"now": datetime(2024, 1, 30, 20, tzinfo=UTC), "late": "0.5s"}
    saved = evaluate("[now, now + duration('90m'), now - now + duration(late)]", scope)
    assert saved == ["2024-01-30T20:00:00Z", "2024-01-30T21:30:00Z", "0.5s"]
    scope["saved"] = saved
    assert holds("timestamp(saved[1]) - now == duration('1h30m')", scope)
    assert holds("duration(saved[2]) < duration('1s')", scope)
