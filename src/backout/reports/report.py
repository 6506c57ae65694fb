"""What a run or a look came to: the same object for text, pages, `--json` and Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
from backout.model import Outcome, Release, RunRow, State, Verdict
from backout.reports.told import Data, Told, named, sometimes

Known = Release | str | None
"""A release; runs of the first versions have it in words; None where none is known."""

_RAISED = {
    each.exit_code: each
    for each in (Refused, BackedOut, Incomplete, Unhealthy, Held, Interrupted, Inconclusive)
}


@dataclass(frozen=True, slots=True)
class StepReport(Told):
    """One action: what became of a step on a machine."""

    name: str
    host: str | None
    """None on this machine."""
    phase: str
    """`do`, `undo` or `settle`."""
    state: State | Literal["running"]
    seconds: float = 0.0
    exit_code: int | None = None
    net: tuple[CheckReport, ...] = sometimes(())
    """What the checks said right before it, where it cannot be undone."""


@dataclass(frozen=True, slots=True)
class ZoneReport(Told):
    """What one zone says of a check, or that it says nothing."""

    zone: str
    verdict: Verdict | None
    """None of a zone that says nothing."""
    by: str = ""
    """The worker that looked last."""
    at: str | None = None
    """When it did; None when nobody ever has."""
    elapsed_ms: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport(Told):
    """One check's verdict, on one host or on none."""

    name: str
    host: str | None
    verdict: Verdict
    elapsed_ms: float = 0.0
    queued_ms: float = 0.0
    """How long it waited for its turn."""
    failed: tuple[str, ...] = ()
    """The expectations that did not hold."""
    reason: str = ""
    excerpt: str = ""
    """The end of what it saw, when it does not pass."""
    zones: tuple[ZoneReport, ...] = sometimes(())
    """Of a check that zones look at: what each of them says."""


@dataclass(frozen=True, slots=True)
class HostReport(Told):
    """A host at the end: the release that it says it is on, and what was done to it."""

    release: Known
    state: str


@dataclass(frozen=True, slots=True)
class Failure(Told):
    """Something that went wrong, with the end of what it said."""

    name: str
    host: str | None = None
    phase: str = "do"
    reason: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class StepRecord(Told):
    """One action whole: what it said, and its way back."""

    name: str
    state: str
    host: str | None = None
    phase: str = "do"
    seconds: float = 0.0
    exit_code: int | None = None
    at: str = ""
    undo: str = ""
    undo_summary: str = ""
    stdout: str = ""
    stderr: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HeldStep(Told):
    """A step that failed, and for which the run was held."""

    step: str
    host: str | None
    """None on this machine."""
    why: str
    since: str
    until: str
    """When it is backed out, if nobody answers."""
    by: str
    """Whose run it was."""
    answer: str = ""
    """`again`, `done` or `back-out`; empty while nobody has answered."""
    answered_by: str = ""
    """Empty where nobody answered in time."""
    answered_at: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorReport(Told):
    """Why a run was refused."""

    what: str
    where: str = ""
    state: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class Ends(Told):
    """Which release a run began on, and which it leads to when it succeeds."""

    start: Known = named("from", default=None)
    to: Known = None


def ends_of(row: RunRow) -> Ends:
    """The releases of a run that has left a report."""
    return Ends.read((row.report or {}).get("release") or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Told):
    """How a run ended.

    >>> data = {"run": "r", "target": "prod", "runbook": "deploy", "outcome": "backed_out",
    ...         "exit_code": 4, "reason": "Restart failed", "next": "invoke show r"}
    >>> report = Report.read(data)
    >>> report.outcome, report.exit_code
    (<Outcome.BACKED_OUT: 'backed_out'>, <ExitCode.BACKED_OUT: 4>)
    >>> report.raise_for_outcome()
    Traceback (most recent call last):
    ...
    backout.errors.BackedOut: Restart failed
    next:  invoke show r
    """

    run: str
    verb: str = ""
    target: str
    runbook: str
    outcome: Outcome
    exit_code: ExitCode
    reason: str = ""
    started_at: str = ""
    ended_at: str | None = None
    """None while it has not ended."""
    ends: Ends = named("release", default=Ends())
    steps: tuple[StepReport, ...] = ()
    """Every action's latest outcome, in the order in which they ended."""
    checks: tuple[CheckReport, ...] = ()
    hosts: Mapping[str, HostReport] = field(default_factory=dict)
    failures: tuple[Failure, ...] | None = sometimes()
    """What went wrong, in order; the first versions did not say."""
    advice: str = ""
    """What the runbook's `diagnose` says of a failed check."""
    logs: Mapping[str, str] = field(default_factory=dict)
    """The services' last log lines when a check had failed, by host."""
    next: str = ""
    """What to type next."""
    approved_by: tuple[str, ...] = sometimes(())
    """Who else has said yes to the plan that it was."""
    held: tuple[HeldStep, ...] = sometimes(())
    """What it was held for, and what people answered."""
    freeze_broken: str = sometimes("")
    """Which freeze was broken, by whom and why."""
    error: ErrorReport | None = sometimes()
    """Of a run that was refused."""
    by: str = sometimes("")
    """Who started it; of `show`."""
    records: tuple[StepRecord, ...] | None = sometimes()
    """Every action whole; of `show`."""
    notes: tuple[str, ...] = sometimes(())
    rehearsal: Rehearsed | None = sometimes()
    """Of a line of the history that says what a rehearsal came to."""

    @property
    def ok(self) -> bool:
        """Done, and proved where the target has a check."""
        return self.exit_code == ExitCode.DONE

    @property
    def previous(self) -> Release | None:
        """The release that it began on."""
        return self.ends.start if isinstance(self.ends.start, Release) else None

    @property
    def release(self) -> Release | None:
        """The release that the run leads to when it succeeds."""
        return self.ends.to if isinstance(self.ends.to, Release) else None

    @property
    def data(self) -> Data:
        """The whole object of `--json`."""
        return self.to_data()

    def raise_for_outcome(self) -> None:
        """Raise the error of the tree that belongs to the exit code; nothing when it is 0."""
        if kind := _RAISED.get(self.exit_code):
            raise kind(self.reason, next=self.next)


@dataclass(frozen=True, slots=True)
class Returned(Told):
    """What one failure on purpose showed of the way back."""

    name: str
    """The step after which it failed."""
    run: str | None = None
    returned: bool | None = None
    """Whether the target is on the release it had, and healthy; None where nobody can tell."""
    reason: str = ""
    """Why not; empty when it is."""
    release: Known = None
    """What it is on."""
    proof: tuple[str, ...] = ()
    """The checks that passed at the end."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Rehearsed(Told):
    """`rehearse`: the steps, and what can be held against the runbook later."""

    rehearsal: str
    target: str
    runbook: str
    digest: str
    """SHA-256 of the runbook, as it was understood."""
    version: str
    """Backout's."""
    outcome: str
    exit_code: int
    reason: str
    release: Known
    started_at: str
    ended_at: str
    steps: tuple[Returned, ...]
    next: str
    trouble: Report | None = None
    """The report of the run that went wrong."""
    crossed: tuple[str, ...] = sometimes(())
    """The steps that cannot be undone, and beside which the code before them was healthy."""


@dataclass(frozen=True, slots=True)
class VerifyReport(Told):
    """What the checks said: healthy, unhealthy, or nobody can tell."""

    target: str
    verdict: Verdict
    checks: tuple[CheckReport, ...] = ()
    next: str = ""

    @property
    def exit_code(self) -> ExitCode:
        return CODES[self.verdict]

    @property
    def ok(self) -> bool:
        return self.exit_code == ExitCode.DONE

    @property
    def data(self) -> Data:
        """The whole object of `--json`."""
        return self.to_data()


CODES = {
    Verdict.PASS: ExitCode.DONE,
    Verdict.FAIL: ExitCode.UNHEALTHY,
    Verdict.ERROR: ExitCode.INCONCLUSIVE,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}
"""How a look leaves."""
