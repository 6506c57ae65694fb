"""What is said of a target: what runs there, what it lacks, who holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from backout.reports.approvals import Asked
from backout.reports.report import HeldStep, Known
from backout.reports.told import Told, sometimes


@dataclass(frozen=True, slots=True)
class AtWork(Told):
    """A command that is alive."""

    run: str
    step: str
    pid: int
    since: str


@dataclass(frozen=True, slots=True)
class EndedCommand(Told):
    """A command that was ended; `host` is None on this machine."""

    host: str | None
    run: str
    step: str
    pid: int
    since: str


@dataclass(frozen=True, slots=True)
class HostStatus(Told):
    """What a host says of itself."""

    release: Known
    state: str
    run: str | None = None
    """The run that brought it there."""
    unfinished: tuple[str, ...] = ()
    """Runs that have begun there and not ended."""
    at_work: tuple[AtWork, ...] = ()
    holder: str = sometimes("")
    """Who holds it for a run; left out where nobody does."""
    left: str = sometimes("")
    """The run that is over, and whose lease is still there: the next run takes it."""
    reachable: bool = True
    up: bool | Literal[""] | None = sometimes("")
    """Whether its service is up; null when nobody can tell; left out where it has none."""
    uptime: float | None = None
    commit: str | None = None
    """What is on its disk."""


@dataclass(frozen=True, slots=True)
class OutOfTraffic(Told):
    """A member of a balancer that takes no requests, or a balancer that cannot be asked."""

    balancer: str
    on: str
    """The host where the balancer runs; `here` is this machine."""
    host: str | None = None
    member: str = ""
    """What the host, or one instance on it, is called there."""
    run: str | None = None
    """The run that has not ended, and found it in traffic when it began."""
    unknown: str = ""
    """Why the balancer cannot be asked."""


@dataclass(frozen=True, slots=True)
class DayOfCheck(Told):
    """The last day of one check, as the watcher saw it."""

    name: str
    spark: str
    uptime: float
    p95_ms: float | None
    alert: str | None


@dataclass(frozen=True, slots=True)
class InLine(Told):
    """One who waits for a target."""

    place: int
    """From 1."""
    person: str
    machine: str
    waits_for: str
    """`lock` or `approval`."""
    since: str


@dataclass(frozen=True, slots=True)
class HoldReport(Told):
    """`hold`: what a run that is held asks, and what was answered just now."""

    run: str
    target: str
    held: tuple[HeldStep, ...]
    answered: str = ""
    """The step, its host and the answer; empty when nothing was said."""
    next: str = ""


@dataclass(frozen=True, slots=True)
class StatusReport(Told):
    """`status` of one target."""

    target: str
    release: Known = None
    """In force, by the ledger."""
    known_good: bool = False
    hosts: Mapping[str, HostStatus] = field(default_factory=dict)
    differs: tuple[str, ...] = ()
    """Where the hosts and the ledger do not agree."""
    out_of_traffic: tuple[OutOfTraffic, ...] = sometimes(())
    """Asked of the balancers."""
    unfinished: str | None = None
    held: tuple[HeldStep, ...] = sometimes(())
    """What a run that is held asks."""
    asked: tuple[Asked, ...] = ()
    """What waits for somebody else's yes."""
    queue: tuple[InLine, ...] = ()
    """Who waits, in order."""
    frozen: str = sometimes("")
    """Until when nothing is deployed, and why."""
    freeze_broken: str = sometimes("")
    """Why the run that brought this release broke a freeze."""
    health: tuple[DayOfCheck, ...] = ()
    untold: tuple[str, ...] = sometimes(())
    """Messages of its runs that nobody has taken yet, and why."""
    next: str = ""


@dataclass(frozen=True, slots=True)
class Statuses(Told):
    """`status` of several targets."""

    targets: tuple[StatusReport, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis(Told):
    """One thing that a deploy needs."""

    name: str
    host: str | None
    """None on this machine."""
    ok: bool | None
    """Null is a hint."""
    detail: str = ""
    fix: str = ""
    """How to get it."""


@dataclass(frozen=True, slots=True)
class DoctorReport(Told):
    """`doctor`."""

    target: str
    findings: tuple[Diagnosis, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class HeldLock(Told):
    """The lease on one host."""

    host: str
    owner: str
    run: str
    since: str
    expires: str | None = None
    step: str = ""
    fence: int | None = None
    alive: bool | None = None
    """Whether its holder is; null when nobody can tell."""
    over: bool = sometimes(False)
    """Whether that run is known to be over: the next one takes the lease."""
    at_work: tuple[AtWork, ...] = ()


@dataclass(frozen=True, slots=True)
class UnlockReport(Told):
    """`unlock`."""

    target: str
    held: tuple[HeldLock, ...]
    ended: tuple[EndedCommand, ...] = ()
    """Commands that were still alive, and were ended."""
    goes_on: tuple[str, ...] = ()
    """Steps that may still be at work on the machines of whoever held it: nobody ends them from
    here, and what they change beyond the hosts is changed all the same."""
    freed: bool = False
    reason: str = ""
    """Why it was not freed."""
    given_up: str = ""
    """The run that was given up as it is."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """Hosts that could not be asked, and why."""
    next: str = ""
