"""A check's last day on one line. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from backout.rollups import Tally, decode

HOUR = 3600
HOURS = 24
_BARS = "▁▂▃▄▅▆▇█"
NOBODY, SOME, ALL = "·", "!", "X"
"""Nobody looked; some looks did not pass; none did."""


def spark(hours: Mapping[int, bytes], now: float, count: int = HOURS) -> str:
    """One character an hour, the last one still going on: the 95th percentile of the latency as
    a bar where every look passed."""
    this = int(now // HOUR * HOUR)
    tallies = [decode(hours.get(this - back * HOUR, b"")) for back in reversed(range(count))]
    highest = max((tally.percentile(0.95) or 0.0 for tally in tallies), default=0.0)
    return "".join(_letter(tally, highest) for tally in tallies)


def whole(hours: Mapping[int, bytes]) -> Tally:
    """All of it in one tally."""
    return sum((decode(body) for body in hours.values()), Tally())


def _letter(tally: Tally, highest: float) -> str:
    if not tally.looks:
        return NOBODY
    passed = tally.verdicts[0]
    if passed < tally.looks:
        return SOME if passed else ALL
    level = (tally.percentile(0.95) or 0.0) / highest if highest else 0.0
    return _BARS[min(len(_BARS) - 1, int(level * len(_BARS)))]
