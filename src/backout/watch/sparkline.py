"""A check's last day on one line. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from backout.model import Target
from backout.ports import HealthHistory
from backout.reports.states import DayOfCheck
from backout.watch.alerts import title
from backout.watch.rollups import Tally, decode

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


def rows(target: Target, history: HealthHistory, now: float) -> tuple[DayOfCheck, ...]:
    """The last day of every check of a target that was looked at in it."""
    alerts = {each.check_key: each for each in history.incidents(target.name, open=True)}
    found = []
    for check_key in history.check_keys(target.name):
        hours = history.hours(check_key, now - (HOURS - 1) * HOUR)
        seen = sum((decode(body) for body in hours.values()), Tally())
        if check_key.check in target.checks and seen.looks:
            alert = alerts.get(check_key)
            known = title(alert, "open") if alert else None
            day = (spark(hours, now), seen.uptime or 0.0, seen.percentile(0.95))
            found.append(DayOfCheck(check_key.key, *day, known))
    return tuple(found)


def _letter(tally: Tally, highest: float) -> str:
    if not tally.looks:
        return NOBODY
    passed = tally.verdicts[0]
    if passed < tally.looks:
        return SOME if passed else ALL
    level = (tally.percentile(0.95) or 0.0) / highest if highest else 0.0
    return _BARS[min(len(_BARS) - 1, int(level * len(_BARS)))]
