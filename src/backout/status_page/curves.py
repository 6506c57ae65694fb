"""Ninety days as a strip, and latency as a curve.

Drawings are 100 high and 100 wide (a strip: one wide for each day), to be stretched to any screen.
What was not looked at is left empty: a gap is never drawn as health.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from backout.model import Verdict
from backout.status_page.facts import DAY, HOUR, Deployed, History
from backout.status_page.words import count, milliseconds, percent, utc
from backout.watch.rollups import Tally

DAYS = 90
LEAST = 30.0
"""The least height of what was not well on a day: one bad look in a thousand is still seen."""
TOLD_DAYS = 10
"""So many of the days that were not well are told in words."""
LABEL_EVERY = 7.0
"""Marks closer together than this have one label; every mark tells its own when pointed at."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Ninety days as upright strokes: what was well, above what could not be told, above what
    failed. A day without a look is a stub."""

    good: str
    unknown: str
    bad: str
    empty: str
    uptime: str
    label: str
    rough: tuple[str, ...]
    """The latest days that were not well, in words."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A release on the curve."""

    x: float
    text: str
    """Empty when the label before is too near."""
    label: str
    undone: bool = False
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Curve:
    """Latency over time: the median as a line, and the band up to the 95th percentile."""

    median: str
    band: str
    marks: tuple[Mark, ...]
    top: str
    begin: str
    label: str


def strip(days: Mapping[int, Tally], today: int) -> Strip:
    """A stroke for each of the last ninety days, today's last."""
    span = range(today - DAYS + 1, today + 1)
    good, unknown, bad, empty = [], [], [], []
    for x, day in enumerate(span):
        if day not in days or not days[day].looks:
            empty.append(f"M{x}.5 88v12")
            continue
        low, middle = heights(days[day])
        good.append(f"M{x}.5 0v{100 - low - middle:g}")
        unknown += [f"M{x}.5 {100 - low - middle:g}v{middle:g}"] if middle else []
        bad += [f"M{x}.5 {100 - low:g}v{low:g}"] if low else []
    known = {day: days[day] for day in reversed(span) if day in days and days[day].looks}
    whole = sum((Tally(tally.verdicts) for tally in known.values()), Tally())
    rough = [_day(day, tally) for day, tally in known.items() if tally.uptime != 1]
    label = f"Last {DAYS} days: never looked at"
    if whole.looks:
        over = count(len(known), "day")
        label = f"{percent(whole.uptime)} of {whole.looks:,} looks passed, on {over} of {DAYS}"
    return Strip(
        "".join(good),
        "".join(unknown),
        "".join(bad),
        "".join(empty),
        percent(whole.uptime),
        label,
        tuple(rough[:TOLD_DAYS]),
    )


def heights(tally: Tally) -> tuple[float, float]:
    """How high a day's failed looks stand, and those that could not tell; of 100."""
    failed = tally.count(Verdict.FAIL)
    untold = tally.looks - failed - tally.count(Verdict.PASS)
    low, middle = _height(failed, tally.looks), _height(untold, tally.looks)
    most = 100.0 if not (low and middle) else 100 - LEAST
    low, middle = min(low, most), min(middle, most)
    over = max(0.0, low + middle - 100)
    more, less = round(max(low, middle) - over, 1), min(low, middle)
    return (more, less) if low > middle else (less, more)


def _height(count: int, looks: int) -> float:
    return round(LEAST + (100 - LEAST) * count / looks, 1) if count else 0.0


def _day(day: int, tally: Tally) -> str:
    failed = tally.count(Verdict.FAIL)
    untold = tally.looks - failed - tally.count(Verdict.PASS)
    told = [f"{percent(tally.uptime)} of {count(tally.looks, 'look')} passed"]
    told += [f"{failed:,} failed"] if failed else []
    told += [f"{untold:,} could not tell"] if untold else []
    date = datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%d")
    return f"{date}: {', '.join(told)}"


@dataclass(frozen=True, slots=True)
class _Scale:
    """From when to when, in steps of what, and which gap is still none."""

    step: int
    span: int
    words: str
    bridge: int = 1


_YOUNG = _Scale(60, 3 * HOUR, "3 hours", bridge=5)
_DAY = _Scale(HOUR, DAY, "24 hours")
_WEEK = _Scale(HOUR, 7 * DAY, "7 days")
Point = tuple[int, float, float]


def curve(history: History, now: float, releases: Iterable[Deployed] = ()) -> Curve | None:
    """The latency of the last week; of a younger check, of the last day or hours; None when
    nothing was measured."""
    scale, points = _chosen(history, now)
    if not points:
        return None
    top = _ceiling(max(high for _, _, high in points))
    begin = now - scale.span

    def at(step: int) -> float:
        moment = min((step + 0.5) * scale.step, now)
        return round(max(0.0, 100 * (moment - begin) / scale.span), 2)

    def y(value: float) -> float:
        return round(100 - 100 * value / top, 2)

    lines, areas = [], []
    for piece in _pieces(points, scale.bridge):
        middle = [(at(step), y(mid)) for step, mid, _ in piece]
        lines.append(_line(middle))
        areas.append(_area([(at(step), y(high)) for step, _, high in piece], middle))
    return Curve(
        median=" ".join(lines),
        band=" ".join(areas),
        marks=_marks(releases, begin, now),
        top=milliseconds(top),
        begin=f"{scale.words} ago",
        label=_told(points, scale.words),
    )


def _chosen(history: History, now: float) -> tuple[_Scale, list[Point]]:
    first = now - _WEEK.span
    hours = sorted((h, *each) for h, each in history.hours.items() if (h + 1) * HOUR > first)
    minutes = [
        (m, *history.minutes[m]) for m in sorted(history.minutes) if m * 60 > now - _YOUNG.span
    ]
    if len(hours) < 3 and minutes:
        return _YOUNG, minutes
    young = bool(hours) and hours[0][0] * HOUR > now - _DAY.span
    return (_DAY if young else _WEEK), hours


def _pieces(points: Sequence[Point], bridge: int) -> Iterable[list[Point]]:
    """What lies between gaps."""
    piece: list[Point] = []
    for point in points:
        if piece and point[0] > piece[-1][0] + bridge:
            yield piece
            piece = []
        piece.append(point)
    if piece:
        yield piece


def _line(points: Sequence[tuple[float, float]]) -> str:
    if len(points) == 1:  # a lone hour is a short dash: a line of no length is not drawn
        (x, y) = points[0]
        points = [(x - 0.3, y), (x + 0.3, y)]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _area(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in (*upper, *reversed(lower))) + "Z"


def _marks(releases: Iterable[Deployed], begin: float, end: float) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    labelled = -100.0
    for each in sorted(releases, key=lambda each: each.at):
        if not begin <= each.at <= end:
            continue
        x = round(100 * (each.at - begin) / (end - begin), 2)
        near = x - labelled < LABEL_EVERY
        undone = ", undone later" if each.undone else ""
        label = f"{each} at {utc(each.at)}{undone}"
        anchor = "end" if x > 100 - LABEL_EVERY else "start"
        marks.append(
            Mark(x, "" if near else f"{each.number}", label, each.undone is not None, anchor)
        )
        labelled = labelled if near else x
    return tuple(marks)


def _ceiling(value: float) -> float:
    """A round number that is not less."""
    size = 1.0
    while size < value:
        for factor in (1, 2, 5, 10):
            if size * factor >= value:
                return size * factor
        size *= 10
    return size


def _told(points: Sequence[Point], span: str) -> str:
    medians = sorted(mid for _, mid, _ in points)
    high = max(high for _, _, high in points)
    return (
        f"Latency over the last {span}: usually {milliseconds(medians[len(medians) // 2])}, "
        f"95th percentile up to {milliseconds(high)}"
    )
