"""A rehearsal, as text."""

from __future__ import annotations

from backout.model import duration
from backout.reports.lines import one_line, page, table
from backout.reports.parts import next_lines, release_text
from backout.reports.report import Rehearsed, Returned
from backout.reports.text import run_text

VERDICTS = {True: "returned", False: "DID NOT RETURN", None: "not proved"}


def rehearsed_text(report: Rehearsed) -> str:
    """`rehearse`: what it came to, a line a step, and the run that went wrong, whole."""
    trouble = report.trouble
    return page(
        [_summary(report)],
        table(map(_row, report.steps)),
        run_text(trouble).splitlines() if trouble else [],
        next_lines(report.next) if not trouble else [],
    )


def _summary(report: Rehearsed) -> str:
    what = f"{one_line(report.runbook)} on {one_line(report.target)}"
    steps = report.steps
    back = sum(row.returned is True for row in steps)
    if report.exit_code == 0:
        return (
            f"Rehearsed {what}: it failed {back} times on purpose, and each time came back to"
            f" {release_text(report.release)}, proved by its checks."
        )
    why = one_line(report.reason)
    return f"THE WAY BACK IS NOT PROVED: {what}: {back} of {len(steps)} returned; {why}"


def _row(row: Returned) -> tuple[str, str, str, str]:
    release = release_text(row.release) if row.run else ""
    proof = f"proved by {', '.join(row.proof)}" if row.proof else ""
    took = f" ({duration(row.seconds)})" if row.seconds else ""
    told = one_line(row.reason) if row.returned is not True else f"{release}, {proof}{took}"
    return (f"after {one_line(row.name)}", VERDICTS[row.returned], told, row.run or "")
