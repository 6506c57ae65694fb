"""What the journal keeps: runs, their records, the ledger of releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backout.model.results import Release

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as it was opened; `outcome` and what follows when it is closed."""

    id: str
    target: str
    verb: str
    runbook: str
    plan: Body
    owner: str
    started: datetime
    options: Body
    ended: datetime | None = None
    outcome: str | None = None
    exit_code: int | None = None
    report: Body | None = None

    @property
    def open(self) -> bool:
        return self.outcome is None

    @property
    def going_on(self) -> str:
        """What to type while it is unfinished. A rollback without hosts has one way only."""
        resume = f"invoke resume --target {self.target}"
        one_way = self.verb == "rollback" and self.plan.get("one_way", True)
        return resume if one_way else f"{resume}, or invoke abort --target {self.target}"


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended, for whoever counts them."""

    target: str
    verb: str
    started: float
    """In seconds since 1970."""
    needs_person: bool
    """It stands still until somebody decides."""


@dataclass(frozen=True, slots=True)
class Driving:
    """Who goes on with a run."""

    ours: bool = True
    """Whether that is this working copy."""
    by: str = ""
    epoch: int = 0
    """How often it was taken over."""
    free: bool = False
    """Whether nobody does: it waits for a worker."""
    zone: str = ""
    """The workers that it was handed over to, if it was."""


@dataclass(frozen=True, slots=True)
class Record:
    """One durable fact of a run: `begin`, `end`, or the kind that `note` was given."""

    seq: int
    kind: str
    key: str
    at: datetime
    body: Body


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One release of a target."""

    target: str
    number: int
    commit: str
    run: str
    at: datetime
    known_good: bool
    covers: tuple[str, ...]
    """The hosts that it was brought to; empty means all of them."""
    current: bool
    restored: tuple[str, ...]
    """Every rollback that came back to it, in order."""
    undone_by: str
    """The run that undid it; empty while it is in force."""

    @property
    def release(self) -> Release:
        return Release(self.number, self.commit)

    @property
    def restored_by(self) -> str:
        """The last rollback that came back to it; empty when none did."""
        return self.restored[-1] if self.restored else ""
