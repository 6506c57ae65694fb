"""One run whole, as `show` and its page tell it: its report, and what every step said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backout.model import Outcome, Record, Release, RunRow
from backout.reports.data import outputs, run_report
from backout.reports.report import Report
from backout.runs.ended import Ended


def story(row: RunRow, records: Sequence[Record], next: str) -> Report:
    """The report that the run left, with its records; while it has not ended the one that it has
    come to so far, and what to type `next`."""
    report = Report.read(row.report) if row.report else unfinished(row, records, next)
    report = replace(report, by=row.owner, records=outputs(records))
    if row.outcome and report.steps and not report.records:
        report = replace(report, notes=("its records were pruned: what it printed is gone",))
    return report


def unfinished(row: RunRow, records: Sequence[Record], next: str = "") -> Report:
    """The report of a run that has not ended."""
    release = row.plan.get("release") or row.plan.get("to")
    previous = row.plan.get("previous")
    return run_report(
        run=row.id,
        verb=row.verb,
        target=row.target,
        runbook=row.runbook,
        started=row.started,
        ended=None,
        previous=Release(**previous) if previous else None,
        made=Release(**release) if release else None,
        outcome=Ended(Outcome.INTERRUPTED, 8, "it is not finished"),
        records=records,
        next=next,
    )
