"""`--hosts failed`: the hosts that the last run of a target left failed."""

from __future__ import annotations

from collections.abc import Iterator

from backout.errors import Mistakes
from backout.model import HostState, Outcome, RunRow, State, Target, Verdict
from backout.project.project import Workplace
from backout.reports.report import Report

FAILED = "failed"
_BAD = {State.FAILED, State.UNREACHABLE, State.UNKNOWN}
_ASIDE = {Outcome.REFUSED, Outcome.TAKEN_OVER}


def named(workplace: Workplace, target: Target, words: str | None) -> list[str]:
    """The hosts and groups that `--hosts` names. Raises Mistakes where it asks for those that
    failed, and none did. A host or a group of that name is itself."""
    given = [name for name in (words or "").split(",") if name]
    if FAILED not in given or target.select(FAILED):
        return given
    row = _last(workplace, target.name)
    found = sorted(set(failed_in(row)) & target.hosts.keys()) if row else []
    if not found:
        run = f"run {row.id}, the last one of {target.name}," if row else "no run"
        raise Mistakes(
            f"--hosts failed: {run} left no host of the inventory failed",
            where="command line",
            next=f"invoke history --target {target.name}",
        )
    return [*(name for name in given if name != FAILED), *found]


def _last(workplace: Workplace, target: str) -> RunRow | None:
    rows = workplace.journal.runs(target)
    return next((row for row in rows if row.outcome not in _ASIDE), None)


def failed_in(row: RunRow) -> Iterator[str]:
    """Hosts that a run could not bring on, or could not bring back."""
    report = Report.read(row.report) if row.report else None
    if report is None:
        return
    for name, host in report.hosts.items():
        if host.state.startswith((HostState.WITHDRAWN, HostState.STUCK)):
            yield name
    if report.outcome != Outcome.SUCCEEDED:
        yield from (s.host for s in report.steps if s.host and s.phase == "do" and s.state in _BAD)
        yield from (f.host for f in report.checks if f.host and f.verdict is Verdict.FAIL)
