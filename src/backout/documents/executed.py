"""A run -> the note as it was executed: when, who, with which evidence, and what was undone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backout.model import duration, seconds

Report = Mapping[str, Any]
MOST = 40
"""Lines of one step's output; `show` has all of them."""
_PHASES = {
    "preflight": "Before the first change",
    "do": "Steps",
    "settle": "Settling",
    "undo": "What was undone",
}
_OUTCOMES = {
    "succeeded": "Done",
    "backed_out": "Failed, and backed out",
    "backout_incomplete": "Failed, and NOT backed out: a person is needed",
    "refused": "Refused before any change",
    "interrupted": "Not finished",
}


def executed(summary: str, report: Report, scripts: Mapping[str, str], ships: Report) -> str:
    """The note. `report` is the run's, with its `records`; `scripts` has what the steps of shell
    text run, by name; `ships` the commits and files between its releases."""
    parts = [
        f"# {_line(summary or report['runbook'])}, as executed",
        "\n".join(_about(report)),
        _list("Hosts", _hosts(report)),
        _list("Commits", (f"`{c['commit'][:7]}` {_line(c['subject'])}" for c in ships["commits"])),
        _list("Files changed", (f"`{_line(f['path'])}` ({f['status']})" for f in ships["files"])),
        *(_phase(phase, title, report, scripts) for phase, title in _PHASES.items()),
        _list("Checks", map(_check, report["checks"])),
        _list("What went wrong", map(_failure, report.get("failures") or ())),
        f"Next: `{_line(report['next'])}`" if report.get("next") else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(report: Report) -> Iterator[str]:
    outcome = _OUTCOMES.get(str(report["outcome"]), str(report["outcome"]))
    why = f": {_line(report['reason'])}" if report.get("reason") else ""
    yield f"- Outcome: **{outcome}**{why}"
    yield f"- Run: `{report['run']}` (`{_line(report['runbook'])}` on `{_line(report['target'])}`)"
    yield f"- By: {_line(report['by'])}"
    yield f"- From {report['started_at']} to {report['ended_at'] or '…'}"
    old, new = _release(report, "from"), _release(report, "to")
    done = report["outcome"] == "succeeded"
    yield f"- Release: {old} → {new}" if done else f"- Release: {old} ({new} was meant)"
    if report.get("advice"):
        yield f"- Advice: {_line(report['advice'])}"


def _release(report: Report, end: str) -> str:
    found = report["release"].get(end)
    if not found:
        return "none known"
    commit = str(found.get("commit") or "")[:7]
    return f"{found['number']}" + (f" (`{commit}`)" if commit else "")


def _hosts(report: Report) -> Iterator[str]:
    for name, row in report["hosts"].items():
        found = row.get("release")
        on = f"release {found['number']}" if found else "no known release"
        yield f"`{_line(name)}`: {_line(row['state'])}, on {on}"


def _phase(phase: str, title: str, report: Report, scripts: Mapping[str, str]) -> str:
    rows = [row for row in report["records"] if (row["phase"] or "do") == phase]
    told = [_record(row, scripts if phase in ("do", "preflight") else {}) for row in rows]
    return "\n\n".join((f"## {title}", *told)) if told else ""


def _record(row: Report, scripts: Mapping[str, str]) -> str:
    where = f" on `{_line(row['host'])}`" if row.get("host") else ""
    took = f", {duration(seconds(row['seconds']))}" if row.get("seconds") else ""
    code = f", exit code {row['exit_code']}" if row.get("exit_code") else ""
    head = f"### {_line(row['name'])}{where}: {row['state']}"
    ran = row["undo"] if row["phase"] == "undo" else scripts.get(row["name"], "")
    said = "\n".join(text.rstrip() for text in (row["stdout"], row["stderr"]) if text.strip())
    parts = [
        head,
        f"{row['at']}{took}{code}" + (f": {_line(row['reason'])}" if row.get("reason") else ""),
        _fence(ran, "sh") if ran.strip() else "",
        _fence(_tail(said), "text") if said.strip() else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _check(row: Report) -> str:
    host = f" on `{_line(row['host'])}`" if row.get("host") else ""
    why = f": {_line(row['reason'])}" if row.get("reason") else ""
    return f"`{_line(row['name'])}`{host}: **{row['verdict']}**, {row['elapsed_ms']} ms{why}"


def _failure(row: Report) -> str:
    host = f"`{_line(row['host'])}`: " if row.get("host") else ""
    return f"{host}{_line(row['name'])}: {_line(row['reason'])}"


def _list(title: str, rows: Iterator[str]) -> str:
    lines: Sequence[str] = [f"- {row}" for row in rows]
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
