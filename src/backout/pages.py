"""What is known -> what the status page shows. Pure: geometry and words, no HTML.

Drawings are 100 high and 100 wide (a strip: one wide for each day), to be stretched to any screen.
What was not looked at is left empty: a gap is never drawn as health.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from backout.model import Incident, Sample, Spot, Verdict, duration
from backout.rollups import Tally

DAY = 86400
HOUR = 3600
DAYS = 90
LEAST = 30.0
"""The least height of what was not well on a day: one bad look in a thousand is still seen."""
MANY = 200
"""When there are more checks than this, those that pass have no curve: the page stays light."""
TOLD_DAYS = 10
"""So many of the days that were not well are told in words."""
LABEL_EVERY = 7.0
"""Marks closer together than this have one label; every mark tells its own when pointed at."""
WORST = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.PASS)
SAID = {
    Verdict.PASS: "passes",
    Verdict.FAIL: "fails",
    Verdict.ERROR: "cannot be told: error",
    Verdict.INCONCLUSIVE: "cannot be told: inconclusive",
    None: "was not looked at yet",
}
OUTCOMES = {
    "succeeded": ("pass", "succeeded"),
    "backed_out": ("unknown", "backed out"),
    "backout_incomplete": ("fail", "backing out is incomplete"),
    "refused": ("unknown", "refused"),
    "interrupted": ("unknown", "interrupted"),
    None: ("running", "not finished"),
}

Latency = tuple[float, float]
"""The median and the 95th percentile, in milliseconds."""

# --- what is known -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """One check on one host: its last look, and what came before."""

    spot: Spot
    last: Sample | None = None
    days: Mapping[int, Tally] = field(default_factory=dict)
    """By day of the epoch, UTC."""
    hours: Mapping[int, Latency] = field(default_factory=dict)
    """By hour of the epoch, UTC; only those in which something was measured."""
    minutes: Mapping[int, Latency] = field(default_factory=dict)
    """The same by minute, for a check that is too young for a curve by hours."""
    rhythm: str = ""
    expect: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Deployed:
    """A release that reached the target."""

    number: int
    commit: str
    run: str
    at: float
    current: bool = False
    undone: bool = False

    def __str__(self) -> str:
        return f"release {self.number} ({self.commit[:7]})" if self.commit else f"{self.number}"


@dataclass(frozen=True, slots=True)
class Ran:
    """A run, for the list of runs."""

    run: str
    verb: str
    runbook: str
    by: str
    started: float
    ended: float | None
    outcome: str | None
    release: str = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """One target, with all that is known about it."""

    name: str
    histories: Sequence[History] = ()
    incidents: Sequence[Incident] = ()
    """The open ones, and those that were resolved lately."""
    releases: Sequence[Deployed] = ()
    runs: Sequence[Ran] = ()
    silenced: str = ""


# --- what is shown -----------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class CheckView:
    """One line of a target."""

    name: str
    host: str
    state: str
    """`pass`, `fail`, `unknown` or `idle`."""
    said: str
    reason: str
    latency: str
    looked: str
    rhythm: str
    expect: tuple[str, ...]
    strip: Strip
    curve: Curve | None


@dataclass(frozen=True, slots=True)
class IncidentView:
    """Something that is or was wrong, with its evidence."""

    target: str
    title: str
    state: str
    since: str
    until: str
    lasted: str
    acked: str
    quiet: bool
    looks: int
    expected: tuple[str, ...]
    came: str
    excerpt: str
    last_deploy: str
    next: str


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in the list."""

    run: str
    at: str
    what: str
    by: str
    state: str
    said: str
    release: str
    took: str


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target."""

    name: str
    state: str
    said: str
    release: str
    silenced: str
    checks: tuple[CheckView, ...]
    runs: tuple[RunLine, ...]


@dataclass(frozen=True, slots=True)
class StatusView:
    """The whole page."""

    title: str
    state: str
    sentence: str
    about: str
    at: str
    token: str
    """Names this generation of the page."""
    stale_after: int
    """Seconds after which the page must have been written anew."""
    unwell: tuple[str, ...]
    """Why not everything is looked at as it should be."""
    open: tuple[IncidentView, ...]
    targets: tuple[TargetView, ...]
    past: tuple[IncidentView, ...]


def status_view(
    watched: Sequence[Watched], *, now: float, stale_after: int, unwell: Sequence[str] = ()
) -> StatusView:
    """The page of all targets at `now`."""
    many = sum(len(each.histories) for each in watched) > MANY
    targets = tuple(_target(each, now, many=many) for each in watched)
    state, sentence = _whole([check for each in targets for check in each.checks])
    incidents = [(each, one) for each in watched for one in each.incidents]
    incidents.sort(key=lambda pair: -pair[1].since)
    views = [(one, _incident(one, each, now)) for each, one in incidents]
    opened = tuple(view for one, view in views if one.resolved is None)
    if opened and state in ("pass", "idle"):
        state, sentence = "unknown", f"{_count(len(opened), 'incident')} open; {_lower(sentence)}"
    if unwell and state == "pass":
        state, sentence = "unknown", "Not everything is watched as it should be."
    return StatusView(
        title=f"{sentence.rstrip('.')} · Backout",
        state=state,
        sentence=sentence,
        about=f"{_count(len(targets), 'target')} · {_count(len(opened), 'open incident')}",
        at=utc(now),
        token=f"{now:.3f}".replace(".", "-"),
        stale_after=stale_after,
        unwell=tuple(unwell),
        open=opened,
        targets=targets,
        past=tuple(view for one, view in views if one.resolved is not None),
    )


def _target(watched: Watched, now: float, *, many: bool) -> TargetView:
    checks = tuple(_check(each, watched, now, many=many) for each in watched.histories)
    state, said = _whole(checks)
    current = next((each for each in watched.releases if each.current), None)
    return TargetView(
        name=watched.name,
        state=state,
        said=said,
        release=f"{current}, since {utc(current.at)}" if current else "no known release",
        silenced=watched.silenced,
        checks=checks,
        runs=tuple(_run_line(each) for each in watched.runs),
    )


def _whole(checks: Sequence[CheckView]) -> tuple[str, str]:
    """The worst of all, and all of it in a sentence. Nothing looked at is not health."""
    seen = Counter(check.state for check in checks)
    if not seen:
        return "idle", "Nothing is watched yet."
    words = {
        "fail": f"{seen['fail']} of {_count(len(checks), 'check')} fail{_s(seen['fail'])}",
        "unknown": f"{_count(seen['unknown'], 'check')} cannot be told",
        "idle": f"{_count(seen['idle'], 'check')} not looked at yet",
    }
    bad = [words[state] for state in words if seen[state]]
    if bad:
        return next(state for state in words if seen[state]), f"{'; '.join(bad)}."
    return "pass", "The check passes." if len(checks) == 1 else f"All {len(checks)} checks pass."


def _check(history: History, watched: Watched, now: float, *, many: bool) -> CheckView:
    last, spot = history.last, history.spot
    verdict = last.verdict if last else None
    spared = many and verdict is Verdict.PASS
    return CheckView(
        name=spot.check,
        host=spot.host,
        state=_state(verdict),
        said=SAID[verdict],
        reason=last.reason if last else "",
        latency=milliseconds(last.elapsed_ms) if last and last.elapsed_ms else "",
        looked=utc(last.at) if last else "",
        rhythm=history.rhythm,
        expect=tuple(history.expect),
        strip=strip(history.days, int(now // DAY)),
        curve=None if spared else curve(history, now, watched.releases),
    )


def _state(verdict: Verdict | None) -> str:
    if verdict is None:
        return "idle"
    return {Verdict.PASS: "pass", Verdict.FAIL: "fail"}.get(verdict, "unknown")


# --- ninety days -------------------------------------------------------------------------


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
        over = _count(len(known), "day")
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
    told = [f"{percent(tally.uptime)} of {_count(tally.looks, 'look')} passed"]
    told += [f"{failed:,} failed"] if failed else []
    told += [f"{untold:,} could not tell"] if untold else []
    date = datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%d")
    return f"{date}: {', '.join(told)}"


# --- the curve ---------------------------------------------------------------------------


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
        marks.append(Mark(x, "" if near else f"{each.number}", label, each.undone, anchor))
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


# --- incidents and runs ------------------------------------------------------------------


def _incident(one: Incident, watched: Watched, now: float) -> IncidentView:
    seen, spot = one.evidence, one.spot
    open_ = one.resolved is None
    before = [each for each in watched.releases if each.at <= one.since]
    deploy = max(before, key=lambda each: each.at, default=None)
    command = f"invoke verify --target {spot.target} --check {spot.check}"
    return IncidentView(
        target=spot.target,
        title=f"{spot.key} {_ails(one)}" if spot.check else str(seen.get("what") or "notice"),
        state=("fail" if one.kind == "fail" else "unknown") if open_ else "pass",
        since=utc(one.since),
        until="" if one.resolved is None else utc(one.resolved),
        lasted=duration(max(0.0, (one.resolved or now) - one.since)),
        acked=one.acked,
        quiet=one.told is None,
        looks=int(seen.get("looks") or 0),
        expected=tuple(map(str, seen.get("expected") or ())),
        came=str(seen.get("came") or ""),
        excerpt=str(seen.get("excerpt") or ""),
        last_deploy=f"{deploy}, {utc(deploy.at)}" if deploy else "",
        next=str(seen.get("next") or command) if open_ else "",
    )


def _ails(one: Incident) -> str:
    past = one.resolved is not None
    if one.kind == "fail":
        return "failed" if past else "fails"
    if one.kind == "unknown":
        return "could not be told to be healthy" if past else "cannot be told to be healthy"
    return str(one.evidence.get("what") or one.kind)


def _run_line(ran: Ran) -> RunLine:
    state, said = OUTCOMES.get(ran.outcome, ("unknown", str(ran.outcome)))
    return RunLine(
        run=ran.run,
        at=utc(ran.started),
        what=ran.verb if ran.verb == ran.runbook else f"{ran.verb} {ran.runbook}",
        by=ran.by,
        state=state,
        said=said,
        release=ran.release,
        took=duration(ran.ended - ran.started) if ran.ended is not None else "",
    )


# --- one run -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """One action on one machine: where it lies in time, and what it said."""

    name: str
    host: str
    phase: str
    state: str
    """`pass`, `fail`, `unknown`, `skipped` or `running`."""
    said: str
    at: str
    took: str
    x: float
    width: float
    exit_code: int | None
    reason: str
    undo: str
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One machine, with its actions in time."""

    host: str
    acts: tuple[Act, ...]


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, whole."""

    title: str
    run: str
    state: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    begin: str
    end: str
    lanes: tuple[Lane, ...]
    acts: tuple[Act, ...]
    notes: tuple[tuple[str, str], ...]
    checks: tuple[Mapping[str, Any], ...]
    hosts: tuple[tuple[str, str, str], ...]
    at: str
    running: bool


ACTED = {
    "done": ("pass", "done"),
    "failed": ("fail", "failed"),
    "unreachable": ("fail", "unreachable"),
    "unknown": ("unknown", "outcome unknown"),
    "skipped": ("skipped", "skipped"),
    "running": ("running", "has not ended"),
}
PHASES = {"do": "do", "undo": "undo", "settle": "settle", "back": "settle again"}
HERE = "this machine"


@dataclass(frozen=True, slots=True)
class Fact:
    """One record of a run; see `ports.Record`."""

    kind: str
    key: str
    at: float
    body: Mapping[str, Any]


def run_view(
    report: Mapping[str, Any], facts: Sequence[Fact], sentence: str, *, now: float
) -> RunView:
    """A run's page: `report` is what `show --json` prints, `facts` are its records."""
    started = datetime.fromisoformat(report["started_at"]).timestamp()
    last = max((fact.at for fact in facts), default=started)
    running = not report["ended_at"]
    ended = now if running else datetime.fromisoformat(report["ended_at"]).timestamp()
    acts = _acts(facts, started, max(ended, last, started + 0.001))
    state, _ = OUTCOMES.get(None if running else report["outcome"], ("unknown", ""))
    return RunView(
        title=f"Run {report['run']} on {report['target']} · Backout",
        run=report["run"],
        state=state,
        sentence=sentence,
        facts=_facts(report, ended - started),
        begin=utc(started),
        end="now" if running else utc(ended),
        lanes=_lanes(acts),
        acts=acts,
        notes=tuple(_notes(facts)),
        checks=tuple(report.get("checks") or ()),
        hosts=tuple(
            (name, f"release {host['release']}" if host.get("release") else "", host["state"])
            for name, host in (report.get("hosts") or {}).items()
        ),
        at=utc(now),
        running=running,
    )


def _facts(report: Mapping[str, Any], took: float) -> tuple[tuple[str, str], ...]:
    release = report.get("release") or {}
    both = (release.get("from") or "none", release.get("to") or "none")
    rows = (
        ("target", report["target"]),
        ("by", report.get("by") or ""),
        ("what", f"{report.get('verb') or 'run'}: runbook {report['runbook']}"),
        ("release", " → ".join(both)),
        ("took", duration(max(0.0, took))),
        ("exit code", str(report.get("exit_code", ""))),
        ("reason", report.get("reason") or ""),
        ("advice", report.get("advice") or ""),
        ("next", report.get("next") or ""),
    )
    return tuple((name, str(value)) for name, value in rows if value)


def _acts(facts: Sequence[Fact], started: float, ended: float) -> tuple[Act, ...]:
    """Every action in the order in which it began; attempts are separate."""
    acts: list[Act] = []
    begun: dict[str, Fact] = {}
    for fact in facts:
        if fact.kind == "begin":
            if fact.key in begun:
                acts.append(_act(begun[fact.key], None, started, ended))
            begun[fact.key] = fact
        elif fact.kind == "end":
            acts.append(_act(begun.pop(fact.key, None), fact, started, ended))
    acts += [_act(fact, None, started, ended) for fact in begun.values()]
    return tuple(sorted(acts, key=lambda act: (act.x, act.x + act.width)))


def _act(begin: Fact | None, end: Fact | None, started: float, ended: float) -> Act:
    known = end or begin
    assert known is not None, "an act has a beginning or an end"  # noqa: S101
    body = known.body
    seconds = float(end.body.get("seconds") or 0.0) if end else 0.0
    since = begin.at if begin else known.at - seconds
    until = end.at if end else ended
    span = ended - started
    x = round(min(99.5, max(0.0, 100 * (since - started) / span)), 2)
    state, said = ACTED.get(str(body.get("state", "running")), ("unknown", ""))
    undo = (begin.body.get("undo") or {}) if begin else {}
    return Act(
        name=str(body.get("step", "")),
        host=str(body.get("host") or ""),
        phase=PHASES.get(phase := str(body.get("phase") or "do"), phase),
        state=state if end else "running",
        said=said if end else "has not ended",
        at=clock(since),
        took=duration(max(0.0, until - since)),
        x=x,
        width=round(max(0.5, min(100 - x, 100 * (until - since) / span)), 2),
        exit_code=body.get("exit_code") if end else None,
        reason=str(body.get("reason") or ""),
        undo=str(undo.get("irreversible") or undo.get("text") or ""),
        output=str(body.get("stdout") or "").rstrip(),
        errors=str(body.get("stderr") or "").rstrip(),
    )


def _lanes(acts: Sequence[Act]) -> tuple[Lane, ...]:
    hosts = dict.fromkeys(act.host for act in acts)
    return tuple(
        Lane(host or HERE, tuple(act for act in acts if act.host == host)) for host in hosts
    )


def _notes(facts: Sequence[Fact]) -> Iterable[tuple[str, str]]:
    """The decisions of the run, each with its time."""
    for fact in facts:
        if fact.kind in ("begin", "end"):
            continue
        words = fact.body.get("reason") or fact.body.get("outcome") or ""
        yield clock(fact.at), f"{fact.kind.replace('_', ' ')}{f': {words}' if words else ''}"


# --- words -------------------------------------------------------------------------------


def utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def milliseconds(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.3g} ms" if value < 10 else f"{value:.0f} ms"


def percent(share: float | None) -> str:
    """Never rounded up to 100 %: what was not whole is not called so."""
    if share is None:
        return "–"
    if share == 1:
        return "100%"
    return f"{int(share * 10000) / 100:.2f}%"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _s(number: int) -> str:
    return "s" if number == 1 else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
