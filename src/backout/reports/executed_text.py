"""A run -> the note as it was executed: when, who, with which evidence, and what was undone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from backout.model import Outcome, Release, duration, seconds
from backout.reports.plans import Ships
from backout.reports.report import CheckReport, Failure, Known, Report, StepRecord

MOST = 40
"""Lines of one step's output; `show` has all of them."""
_PHASES = {
    "preflight": "Before the first change",
    "do": "Steps",
    "settle": "Settling",
    "undo": "What was undone",
}
_OUTCOMES = {
    Outcome.SUCCEEDED: "Done",
    Outcome.BACKED_OUT: "Failed, and backed out",
    Outcome.BACKOUT_INCOMPLETE: "Failed, and NOT backed out: a person is needed",
    Outcome.REFUSED: "Refused before any change",
    Outcome.INTERRUPTED: "Not finished",
    Outcome.FAILED: "Failed; there is nothing to go back from",
    Outcome.TAKEN_OVER: "Taken over on another machine",
}


def executed(summary: str, report: Report, scripts: Mapping[str, str], ships: Ships) -> str:
    """The note. `report` is the run's, with its `records`; `scripts` has what the steps of shell
    text run, by name; `ships` the commits and files between its releases."""
    parts = [
        f"# {_line(summary or report.runbook)}, as executed",
        "\n".join(_about(report)),
        _list("Hosts", _hosts(report)),
        _list("Commits", (f"`{each.commit[:7]}` {_line(each.subject)}" for each in ships.commits)),
        _list("Files changed", (f"`{_line(f.path)}` ({f.status})" for f in ships.files)),
        *(_phase(phase, title, report, scripts) for phase, title in _PHASES.items()),
        _list("Checks", map(_check, report.checks)),
        _list("What went wrong", map(_failure, report.failures or ())),
        f"Next: `{_line(report.next)}`" if report.next else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(report: Report) -> Iterator[str]:
    yield f"- Outcome: **{_OUTCOMES[report.outcome]}**" + _after(report.reason)
    yield f"- Run: `{report.run}` (`{_line(report.runbook)}` on `{_line(report.target)}`)"
    yield f"- By: {_line(report.by)}"
    yield f"- From {report.started_at} to {report.ended_at or '…'}"
    old, new = _release(report.ends.start), _release(report.ends.to)
    done = report.outcome is Outcome.SUCCEEDED
    yield f"- Release: {old} → {new}" if done else f"- Release: {old} ({new} was meant)"
    if report.advice:
        yield f"- Advice: {_line(report.advice)}"


def _release(known: Known) -> str:
    if not isinstance(known, Release):
        return _line(known or "none known")
    return f"{known.number}" + (f" (`{known.commit[:7]}`)" if known.commit else "")


def _hosts(report: Report) -> Iterator[str]:
    for name, host in report.hosts.items():
        on = f"release {_number(host.release)}" if host.release else "no known release"
        yield f"`{_line(name)}`: {_line(host.state)}, on {on}"


def _number(known: Known) -> str:
    return str(known.number) if isinstance(known, Release) else _line(known)


def _phase(phase: str, title: str, report: Report, scripts: Mapping[str, str]) -> str:
    records = [each for each in report.records or () if (each.phase or "do") == phase]
    told = [_record(each, scripts if phase in ("do", "preflight") else {}) for each in records]
    return "\n\n".join((f"## {title}", *told)) if told else ""


def _record(record: StepRecord, scripts: Mapping[str, str]) -> str:
    took = f", {duration(seconds(record.seconds))}" if record.seconds else ""
    code = f", exit code {record.exit_code}" if record.exit_code else ""
    ran = record.undo if record.phase == "undo" else scripts.get(record.name, "")
    said = "\n".join(text.rstrip() for text in (record.stdout, record.stderr) if text.strip())
    parts = [
        f"### {_line(record.name)}{_on(record.host)}: {record.state}",
        f"{record.at}{took}{code}{_after(record.reason)}",
        _fence(ran, "sh") if ran.strip() else "",
        _fence(_tail(said), "text") if said.strip() else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _check(check: CheckReport) -> str:
    found = f"**{check.verdict.value}**, {check.elapsed_ms} ms"
    return f"`{_line(check.name)}`{_on(check.host)}: {found}{_after(check.reason)}"


def _failure(failure: Failure) -> str:
    host = f"`{_line(failure.host)}`: " if failure.host else ""
    return f"{host}{_line(failure.name)}: {_line(failure.reason)}"


def _on(host: str | None) -> str:
    return f" on `{_line(host)}`" if host else ""


def _after(reason: str) -> str:
    return f": {_line(reason)}" if reason else ""


def _list(title: str, rows: Iterable[str]) -> str:
    lines = [f"- {row}" for row in rows]
    return "\n".join((f"## {title}", "", *lines)) if lines else ""


def _tail(text: str) -> str:
    lines = text.rstrip().splitlines()
    left = len(lines) - MOST
    return "\n".join(([f"… {left} lines before"] if left > 0 else []) + lines[-MOST:])


def _fence(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}{language}\n{text.rstrip()}\n{mark}"


def _line(text: object) -> str:
    return re.sub(r"\s+", " ", str(text)).strip()
