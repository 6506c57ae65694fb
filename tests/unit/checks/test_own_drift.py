"""What changed between two snapshots is said path by path, and only of the release in force."""

from __future__ import annotations

from typing import Any

import pytest

from backout.checks import drift
from backout.model import Finding, Verdict

SCHEMA = {"Concert": {"name": "String"}, "UserConcert": {"user": "Pointer"}}


def found(now: Any, verdict: Verdict = Verdict.PASS) -> Finding:
    return Finding("schema", None, verdict, facts={drift.FACT: now})


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        (SCHEMA, SCHEMA, []),
        ({"a": {"b": 1}}, {"a": {}}, ["- a.b: 1"]),
        ({"a": {}}, {"a": {"b": "x"}}, ['+ a.b: "x"']),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["~ a.b: 1 -> 2"]),
        ({"a": 1}, {"a": True}, ["~ a: 1 -> true"]),
        ({"a": True}, {"a": True}, []),
        ({"a": {"b": 1}}, {"a": [1]}, ['~ a: {"b": 1} -> [1]']),
        ({"a": None}, {"a": ""}, ['~ a: null -> ""']),
        ({"a": [1, 2]}, {"a": [2, 3]}, ["- a: 1", "+ a: 3"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["~ a: another order, or another count"]),
        ({"a": [1]}, {"a": [1, 1]}, ["~ a: another order, or another count"]),
        ([{"b": 1}], [{"b": 2}], ['- {"b": 1}', '+ {"b": 2}']),
        ("x", "y", ['~ : "x" -> "y"']),
    ],
)
def test_a_difference_is_said_where_it_is(before: Any, now: Any, lines: list[str]) -> None:
    assert list(drift.diff(before, now)) == lines


def test_what_is_as_it_was_when_the_release_was_proved_passes() -> None:
    assert drift.judged(found(SCHEMA), 3, (3, SCHEMA)) == found(SCHEMA)


@pytest.mark.parametrize("reference", [None, (2, {})])
def test_another_releases_snapshot_judges_nothing(reference: tuple[int, Any] | None) -> None:
    assert drift.judged(found(SCHEMA), 3, reference) == found(SCHEMA)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE])
def test_what_does_not_pass_keeps_its_own_verdict(verdict: Verdict) -> None:
    assert drift.judged(found(SCHEMA, verdict), 3, (3, {})) == found(SCHEMA, verdict)


def test_drift_fails_with_its_first_line_and_shows_so_many() -> None:
    now: dict[str, dict[str, str]] = {f"class{n}": {} for n in range(drift.SHOWN + 5)}
    judged = drift.judged(found(now), 3, (3, {}))
    assert judged.verdict is Verdict.FAIL
    assert judged.failed == ("as it was at release 3",)
    assert judged.reason == "drifted since release 3: + class0: {} and 44 more"
    assert len(judged.excerpt.splitlines()) == drift.SHOWN
    single = drift.judged(found({"a": 1}), 3, (3, {}))
    assert single.reason == "drifted since release 3: + a: 1"
