"""What is known -> what the status page shows. Pure: words, no HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from backout.model import Incident, Verdict, duration
from backout.model.units import APART
from backout.status_page.curves import Curve, Strip, curve, strip
from backout.status_page.facts import DAY, Deployed, History, Ran, Watched
from backout.status_page.words import count, lower, milliseconds, plural, utc
from backout.watch import alerts

MANY = 200
"""When there are more checks than this, those that pass have no curve: the page stays light."""
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
    "failed": ("unknown", "failed, and changed nothing"),
    "taken_over": ("unknown", "taken over by another machine"),
    None: ("running", "not finished"),
}


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
    asks: str = ""
    doc: str = ""
    acknowledge: str = ""


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
    state, sentence = _with_incidents(state, sentence, len(opened))
    if unwell and state == "pass":
        state, sentence = "unknown", "Not everything is watched as it should be."
    return StatusView(
        title=f"{sentence.rstrip('.')} · Backout",
        state=state,
        sentence=sentence,
        about=f"{count(len(targets), 'target')} · {count(len(opened), 'open incident')}",
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
    opened = sum(each.resolved is None for each in watched.incidents)
    state, said = _with_incidents(*_whole(checks), opened)
    current = next((each for each in watched.releases if each.current), None)
    return TargetView(
        name=watched.name,
        state=state,
        said=said,
        release=f"{current}, since {utc(current.at)}" if current else "no known release",
        silenced=watched.silenced,
        checks=checks,
        runs=tuple(run_line(each) for each in watched.runs),
    )


def _whole(checks: Sequence[CheckView]) -> tuple[str, str]:
    """The worst of all, and all of it in a sentence. Nothing looked at is not health."""
    seen = Counter(check.state for check in checks)
    if not seen:
        return "idle", "Nothing is watched yet."
    words = {
        "fail": f"{seen['fail']} of {count(len(checks), 'check')} fail{plural(seen['fail'])}",
        "unknown": f"{count(seen['unknown'], 'check')} cannot be told",
        "idle": f"{count(seen['idle'], 'check')} not looked at yet",
    }
    bad = [words[state] for state in words if seen[state]]
    if bad:
        return next(state for state in words if seen[state]), f"{'; '.join(bad)}."
    return "pass", "The check passes." if len(checks) == 1 else f"All {len(checks)} checks pass."


def _with_incidents(state: str, sentence: str, opened: int) -> tuple[str, str]:
    """An open incident is not health, whatever the last looks said."""
    if not opened or state not in ("pass", "idle"):
        return state, sentence
    return "unknown", f"{count(opened, 'incident')} open; {lower(sentence)}"


def _check(history: History, watched: Watched, now: float, *, many: bool) -> CheckView:
    last, check_key = history.last, history.check_key
    verdict = last.verdict if last else None
    spared = many and verdict is Verdict.PASS
    doubt = _doubt(history, now) if verdict is Verdict.PASS else ""
    return CheckView(
        name=check_key.check,
        host=check_key.host,
        state="unknown" if doubt else _state(verdict),
        said=f"cannot be told: {doubt}" if doubt else SAID[verdict],
        reason=last.reason if last else "",
        latency=milliseconds(last.elapsed_ms) if last and last.elapsed_ms else "",
        looked=utc(last.at) if last else "",
        rhythm=history.rhythm,
        expect=tuple(history.expect),
        strip=strip(history.days, int(now // DAY)),
        curve=None if spared else curve(history, now, watched.releases),
    )


def _doubt(history: History, now: float) -> str:
    """Why a look that passed proves nothing any more; empty while it does."""
    if history.last and history.last.at > now + APART:
        return "its last look is of the future, a clock is wrong"
    return "not looked at in time" if history.due is not None and now > history.due else ""


def _state(verdict: Verdict | None) -> str:
    if verdict is None:
        return "idle"
    return {Verdict.PASS: "pass", Verdict.FAIL: "fail"}.get(verdict, "unknown")


def _incident(one: Incident, watched: Watched, now: float) -> IncidentView:
    seen, check_key = one.evidence, one.check_key
    open_ = one.resolved is None
    deploy = str(seen.get("deploy") or "") or _deployed_then(watched.releases, one.since)
    command = f"invoke verify --target {check_key.target} --check {check_key.check}"
    return IncidentView(
        target=check_key.target,
        title=f"{check_key.key} {_ails(one)}"
        if check_key.check
        else str(seen.get("what") or "notice"),
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
        last_deploy=deploy,
        next=str(seen.get("next") or command) if open_ else "",
        asks=str(seen.get("asks") or ""),
        doc=str(seen.get("doc") or ""),
        acknowledge=alerts.acknowledging(check_key) if open_ and not one.acked else "",
    )


def _deployed_then(releases: Sequence[Deployed], at: float) -> str:
    """The release that was in force at that moment."""
    there = [each for each in releases if each.at <= at and not (each.undone and each.undone <= at)]
    found = max(there, key=lambda each: each.at, default=None)
    return f"{found}, {utc(found.at)}" if found else ""


def _ails(one: Incident) -> str:
    past = one.resolved is not None
    if one.kind == "fail":
        return "failed" if past else "fails"
    if one.kind == "unknown":
        return "could not be told to be healthy" if past else "cannot be told to be healthy"
    return str(one.evidence.get("what") or one.kind)


def run_line(ran: Ran) -> RunLine:
    """A run in a list."""
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
