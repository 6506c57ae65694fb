"""What `plan` and `diff` answer: what would run where, and what would ship."""

from __future__ import annotations

from dataclasses import dataclass

from backout.reports.report import CheckReport, Ends
from backout.reports.told import Told, named, sometimes


@dataclass(frozen=True, slots=True)
class PlannedAction(Told):
    """One step on one machine, and its way back."""

    name: str
    host: str | None = None
    """None on this machine."""
    does: str = ""
    undo: str = ""
    undo_summary: str = ""
    irreversible: str = ""
    """Why it has no way back; empty when it has one."""
    net: tuple[str, ...] = sometimes(())
    """The checks that must pass right before it."""
    readonly: bool = False
    when: str = ""


@dataclass(frozen=True, slots=True)
class PlannedBatch(Told):
    """Hosts that go together."""

    number: int
    hosts: tuple[str, ...]
    actions: tuple[PlannedAction, ...] = ()
    settle: tuple[PlannedAction, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedStage(Told):
    """What runs on this machine, or batch by batch on hosts."""

    here: tuple[PlannedAction, ...] = sometimes(())
    batches: tuple[PlannedBatch, ...] = sometimes(())

    @property
    def actions(self) -> tuple[PlannedAction, ...]:
        """All of them, settling last."""
        batches = (each for batch in self.batches for each in (*batch.actions, *batch.settle))
        return (*self.here, *batches)


@dataclass(frozen=True, slots=True)
class ShippedCommit(Told):
    """One commit."""

    commit: str
    author: str
    subject: str


@dataclass(frozen=True, slots=True)
class ShippedFile(Told):
    """One file, as git words what became of it: `M`, `A`, `D`, `R100` …"""

    status: str
    path: str


@dataclass(frozen=True, slots=True)
class Ships(Told):
    """What lies between what runs and what would run."""

    start: str | None = named("from", default=None)
    """The commit that runs now."""
    to: str | None = None
    commits: tuple[ShippedCommit, ...] = ()
    """Newest first."""
    withdrawn: tuple[ShippedCommit, ...] = ()
    """Those that run now and would not any more."""
    files: tuple[ShippedFile, ...] = ()
    uncommitted: tuple[str, ...] = ()
    """Files of the working copy that differ from its last commit."""
    unknown: str = ""
    """Why nobody can tell; empty when one can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Ships):
    """`diff`."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class RehearsalNote(Told):
    """The last rehearsal of a runbook."""

    run: str
    target: str
    at: str
    seconds: float
    """How long ago."""
    outcome: str | None
    changed: bool
    """Whether the runbook has changed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport(Told):
    """`plan`."""

    verb: str = ""
    target: str
    runbook: str
    ends: Ends = named("release", default=Ends())
    hosts: tuple[str, ...] = ()
    preflight: tuple[PlannedAction, ...] = ()
    stages: tuple[PlannedStage, ...] = ()
    finals: tuple[PlannedAction, ...] = named("finally", default=())
    checks: tuple[CheckReport, ...] = ()
    """What they say now: the baseline."""
    refused: tuple[str, ...] = ()
    """Why it would be refused."""
    notes: tuple[str, ...] = ()
    ships: Ships | None = None
    rehearsed: RehearsalNote | None = None
    approvals: int = sometimes(0)
    """How many other people have to agree to it."""
    frozen: str = sometimes("")
    """Until when it would be refused, and why."""
    digest: str = sometimes("")
    """SHA-256 of what it comes to and rests on; of a plan that is saved, or needs an approval."""
    saved: str = sometimes("")
    """The file that it was saved in."""
    next: str = ""

    @property
    def actions(self) -> tuple[PlannedAction, ...]:
        """All that change something, in order."""
        return tuple(each for stage in self.stages for each in stage.actions)
