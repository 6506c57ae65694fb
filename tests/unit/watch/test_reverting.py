"""What is told of a release that went bad, and of what taking it back came to."""

from __future__ import annotations

from backout.model import Outcome
from backout.reports.answer import Answer
from backout.reports.report import Report
from backout.watch.reverting import _outcome


def test_an_earlier_release_that_did_not_come_up_is_told_as_not_reverted() -> None:
    report = Report.read(
        {
            "run": "r",
            "target": "shop",
            "runbook": "deploy",
            "outcome": str(Outcome.BACKED_OUT),
            "exit_code": 4,
            "reason": "web1: Restart failed",
            "next": "invoke show r",
        }
    )
    title, story = _outcome("release 2", Answer("run", report, 4))
    assert title == "release 2 was NOT reverted, and is there as before: web1: Restart failed"
    assert story == "next: invoke show r"
