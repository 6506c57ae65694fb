"""How a run ended, and the record of it that is made while its hosts are still held: whoever goes
on after a crash then only closes it, for by then the hosts may be somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from backout.errors import ExitCode
from backout.model import Finding, HostEnd, HostState, Outcome, Release
from backout.runs.decisions import Decisions

OVER = "over"
"""The record that all is done, on the hosts as well. What is missing is to let them go, and to
close the run."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. The report is made of this and of the journal."""

    outcome: Outcome
    exit_code: int
    reason: str = ""
    hosts: Mapping[str, HostEnd] = field(default_factory=dict)
    release: Release | None = None
    findings: tuple[Finding, ...] = ()
    advice: str = ""
    """What the runbook's `diagnose` said when a check had failed."""

    def record(self) -> dict[str, Any]:
        """Plain data for the journal."""
        findings = [finding.record() for finding in self.findings]
        return {**asdict(replace(self, findings=())), "findings": findings}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Ended:
        """What `record` made plain."""
        return cls(
            **{
                **record,
                "outcome": Outcome(record["outcome"]),
                "hosts": {host: _end(end) for host, end in record["hosts"].items()},
                "release": _release(record["release"]),
                "findings": tuple(Finding.of(row) for row in record["findings"]),
            }
        )


def put_on_record(decisions: Decisions, ended: Ended) -> Ended:
    """Right before the hosts are let go. What is incomplete is not over: it stays open."""
    if ended.exit_code != ExitCode.INCOMPLETE:
        decisions.note(OVER, ended.record())
    return ended


def on_record(decisions: Decisions) -> Ended | None:
    """How the run ended, where only its closing is missing."""
    over = decisions.noted(OVER)
    return None if over is None else Ended.of(over)


def _end(record: Mapping[str, Any]) -> HostEnd:
    state = HostState(record["state"])
    return HostEnd(state, _release(record["release"]), record["why"])


def _release(record: Mapping[str, Any] | None) -> Release | None:
    return Release(**record) if record else None
