"""One run as its page shows it: its facts, its lanes in time, its decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from backout.model import duration
from backout.reports.parts import bare_release, release_text
from backout.reports.report import CheckReport, Report
from backout.status_page.facts import Fact
from backout.status_page.views import OUTCOMES
from backout.status_page.words import clock, utc


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
    checks: tuple[CheckReport, ...]
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


def run_view(report: Report, facts: Sequence[Fact], sentence: str, *, now: float) -> RunView:
    """A run's page: `report` is its story, `facts` are its records."""
    started = datetime.fromisoformat(report.started_at).timestamp()
    last = max((fact.at for fact in facts), default=started)
    running = not report.ended_at
    ended = datetime.fromisoformat(report.ended_at).timestamp() if report.ended_at else now
    acts = _acts(facts, started, max(ended, last, started + 0.001))
    state, _ = OUTCOMES.get(None if running else report.outcome, ("unknown", ""))
    return RunView(
        title=f"Run {report.run} on {report.target} · Backout",
        run=report.run,
        state=state,
        sentence=sentence,
        facts=_facts(report, ended - started),
        begin=utc(started),
        end="now" if running else utc(ended),
        lanes=_lanes(acts),
        acts=acts,
        notes=tuple(_notes(facts)),
        checks=report.checks,
        hosts=tuple(
            (name, release_text(host.release) if host.release else "", host.state)
            for name, host in report.hosts.items()
        ),
        at=utc(now),
        running=running,
    )


def _facts(report: Report, took: float) -> tuple[tuple[str, str], ...]:
    both = (bare_release(end) if end else "none" for end in (report.ends.start, report.ends.to))
    rows = (
        ("target", report.target),
        ("by", report.by),
        ("what", f"{report.verb or 'run'}: runbook {report.runbook}"),
        ("release", " → ".join(both)),
        ("took", duration(max(0.0, took))),
        ("exit code", str(int(report.exit_code))),
        ("reason", report.reason),
        ("advice", report.advice),
        ("next", report.next),
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
