"""A check's last day on one line."""

from __future__ import annotations

from collections.abc import Sequence

from backout.model import CheckKey, Sample, Verdict
from backout.watch import rollups
from backout.watch.rollups import encode, tally
from backout.watch.sparkline import HOUR, spark

NOW = 1706616000.0 + 1800


def hour(back: int, latency: float, verdicts: Sequence[Verdict]) -> tuple[int, bytes]:
    at = int(NOW // HOUR * HOUR) - back * HOUR
    looks = [Sample(CheckKey("prod", "alive"), at, verdict, latency) for verdict in verdicts]
    return at, encode(tally(looks))


def test_an_hour_is_a_bar_of_its_latency_or_says_that_not_all_passed() -> None:
    passed, mixed = [Verdict.PASS] * 3, [Verdict.PASS, Verdict.FAIL]
    hours = dict(
        [
            hour(5, 10, passed),
            hour(4, 62, passed),
            hour(3, 80, passed),
            hour(2, 10, mixed),
            hour(1, 10, [Verdict.INCONCLUSIVE]),
        ]
    )
    assert spark(hours, NOW, 8) == "··▂▇█!X·"


def test_nothing_was_looked_at() -> None:
    assert spark({}, NOW) == "·" * 24
    assert rollups.decode(b"").looks == 0
