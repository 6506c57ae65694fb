"""What the verbs that look around answer, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from backout.reports.lines import one_line, page, table
from backout.reports.objects import HostLog, Logs, Looked, TargetLine, TargetList
from backout.reports.parts import bare_release, count_of, next_lines


def targets_text(report: TargetList) -> str:
    """`objects.TargetList`."""
    rows = report.targets
    if not rows:
        return page(["No target yet: inventories/ has none."], next_lines(report.next))
    head = ("target", "hosts", "release", "checks", "last run", "")
    lines = [head, *(_target(row) for row in rows)]
    broken = [f"{one_line(row.target)}: {one_line(row.problem)}" for row in rows if row.problem]
    return page(table(lines, indent=""), broken, next_lines(report.next))


def _target(row: TargetLine) -> tuple[str, ...]:
    release = bare_release(row.release) if row.release else "-"
    doubt = " (never proved)" if row.release and not row.known_good else ""
    until = f"FROZEN {one_line(row.frozen)}"
    known = {
        _protected(row): row.protected,
        until: row.frozen,
        "example": row.example,
        "BROKEN": row.problem,
    }
    marks = [word for word, is_so in known.items() if is_so]
    counts = str(len(row.hosts)), str(len(row.checks))
    return (row.target, counts[0], release + doubt, counts[1], _last(row), ", ".join(marks))


def _protected(row: TargetLine) -> str:
    approvals = f" ({count_of(row.approvals, 'approval')})" if row.approvals else ""
    return f"protected{approvals}"


def _last(row: TargetLine) -> str:
    last = row.last_run
    if not last:
        return "-"
    verb = f"run {last.runbook}" if last.verb == "run" else last.verb
    return f"{last.started_at[:16]}Z {verb}: {last.outcome or 'not finished'}"


def logs_text(report: Logs) -> str:
    """`objects.Logs`."""
    several = len(report.logs) > 1
    blocks = [_log(each, several) for each in report.logs]
    return page(*blocks, next_lines(report.next))


def _log(row: HostLog, several: bool) -> list[str]:
    if row.reason:
        return [f"{row.host}: its log cannot be read: {one_line(row.reason)}"]
    lines = row.lines or ["(it wrote nothing)"]
    return list(labelled(row.host, lines)) if several else list(lines)


def labelled(host: str, lines: Iterable[str]) -> Iterator[str]:
    """Each line with the host that it is from."""
    return (f"{host} | {line}" for line in lines)


def looked_text(report: Looked) -> str:
    """`objects.Looked`: hosts that said the same are told together."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in report.outputs:
        same = (row.state, row.exit_code, row.stdout, row.stderr, row.reason)
        groups.setdefault(same, []).append(row.host)
    blocks = [_said(hosts, *same) for same, hosts in groups.items()]
    return page(*blocks, next_lines(report.next))


def _said(
    hosts: Sequence[str], state: str, code: int | None, out: str, err: str, reason: str
) -> list[str]:
    how = f"exit code {code}" if code is not None else state
    why = f": {one_line(reason)}" if reason else ""
    lines = [*out.splitlines(), *(f"stderr: {line}" for line in err.splitlines())]
    more = ":" if lines else ""
    return [f"{', '.join(hosts)} ({how}{why}){more}", *(f"  {line}" for line in lines)]
