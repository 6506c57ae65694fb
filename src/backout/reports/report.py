"""What a run or a look came to, typed: the same as `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backout.errors import (
    BackedOut,
    ExitCode,
    Held,
    Incomplete,
    Inconclusive,
    Interrupted,
    Refused,
    Unhealthy,
)
from backout.model import Outcome, Release, State, Verdict

Data = Mapping[str, Any]

_RAISED = {
    each.exit_code: each
    for each in (Refused, BackedOut, Incomplete, Unhealthy, Held, Interrupted, Inconclusive)
}


@dataclass(frozen=True, slots=True)
class StepReport:
    """One action: what became of a step on a machine."""

    name: str
    host: str | None
    phase: str
    """`do`, `undo` or `settle`."""
    state: State | None
    """None while it runs."""
    seconds: float
    exit_code: int | None

    @classmethod
    def from_data(cls, data: Data) -> StepReport:
        state = None if data["state"] == "running" else State(data["state"])
        known = (data["name"], data["host"], data["phase"], state)
        return cls(*known, data["seconds"], data["exit_code"])


@dataclass(frozen=True, slots=True)
class CheckReport:
    """One check's verdict, on one host or on none."""

    name: str
    host: str | None
    verdict: Verdict
    elapsed_ms: float
    failed: tuple[str, ...]
    """The expectations that did not hold."""
    reason: str

    @classmethod
    def from_data(cls, data: Data) -> CheckReport:
        verdict, failed = Verdict(data["verdict"]), tuple(data["failed"])
        return cls(data["name"], data["host"], verdict, data["elapsed_ms"], failed, data["reason"])


@dataclass(frozen=True, slots=True)
class HostReport:
    """A host at the end: the release that it says it is on, and what was done to it."""

    release: Release | None
    state: str


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended.

    >>> data = {"run": "r", "target": "prod", "runbook": "deploy", "outcome": "backed_out",
    ...         "exit_code": 4, "reason": "Restart failed", "next": "invoke show r"}
    >>> report = Report.from_data(data)
    >>> report.outcome, report.exit_code
    (<Outcome.BACKED_OUT: 'backed_out'>, <ExitCode.BACKED_OUT: 4>)
    >>> report.raise_for_outcome()
    Traceback (most recent call last):
    ...
    backout.errors.BackedOut: Restart failed
    next:  invoke show r
    """

    run: str
    target: str
    runbook: str
    outcome: Outcome
    exit_code: ExitCode
    reason: str
    previous: Release | None
    release: Release | None
    """The release that the run leads to when it succeeds."""
    steps: tuple[StepReport, ...]
    checks: tuple[CheckReport, ...]
    hosts: Mapping[str, HostReport]
    next: str
    """What to type next."""
    data: Data
    """The whole object of `--json`."""

    @property
    def ok(self) -> bool:
        """Done, and proved where the target has a check."""
        return self.exit_code == ExitCode.DONE

    def raise_for_outcome(self) -> None:
        """Raise the error of the tree that belongs to the exit code; nothing when it is 0."""
        if kind := _RAISED.get(self.exit_code):
            raise kind(self.reason, next=self.next)

    @classmethod
    def from_data(cls, data: Data) -> Report:
        """From the object of `--json`."""
        ends = data.get("release") or {}
        return cls(
            run=data["run"],
            target=data["target"],
            runbook=data["runbook"],
            outcome=Outcome(data["outcome"]),
            exit_code=ExitCode(data["exit_code"]),
            reason=data.get("reason", ""),
            previous=_release(ends.get("from")),
            release=_release(ends.get("to")),
            steps=tuple(map(StepReport.from_data, data.get("steps", ()))),
            checks=tuple(map(CheckReport.from_data, data.get("checks", ()))),
            hosts={
                name: HostReport(_release(host["release"]), host["state"])
                for name, host in data.get("hosts", {}).items()
            },
            next=data.get("next", ""),
            data=data,
        )


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What the checks said: healthy, unhealthy, or nobody can tell."""

    target: str
    verdict: Verdict
    exit_code: ExitCode
    checks: tuple[CheckReport, ...]
    data: Data

    @property
    def ok(self) -> bool:
        return self.exit_code == ExitCode.DONE

    @classmethod
    def from_data(cls, data: Data, exit_code: int) -> VerifyReport:
        checks = tuple(map(CheckReport.from_data, data["checks"]))
        return cls(data["target"], Verdict(data["verdict"]), ExitCode(exit_code), checks, data)


def _release(data: Data | None) -> Release | None:
    return Release(data["number"], data["commit"]) if data else None
