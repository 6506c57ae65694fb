"""The seams: of a run, of a check, of a balancer, of a watcher.

A seam is a Protocol that the core talks to and that a plug-in or an adapter fills. Whatever
fills one raises only what its docstring names, and translates every upstream exception there.
"""

from __future__ import annotations

from collections.abc import Callable

from backout.model import Event
from backout.ports.checks import Probe, ProbeRequest, Recorded
from backout.ports.metrics import Labels, Metrics
from backout.ports.people import Operator, Said, Screen, SecondPerson
from backout.ports.restarters import Defined, Lasting, Marked, Restarter, Slotted
from backout.ports.runs import (
    ANSWERED,
    AWAITS_APPROVAL,
    GOES_ON,
    HEARD,
    HELD,
    NEEDS_PERSON,
    OWN,
    PAUSES,
    READY,
    TAKEN,
    Bodies,
    Claim,
    Clock,
    Journal,
    Lock,
    RestartBackend,
    StepContext,
    StepKind,
    Transport,
    Vault,
)
from backout.ports.traffic import BalancerBackend, Pool, Traffic
from backout.ports.watch import (
    HealthChange,
    HealthHistory,
    HealthStore,
    Outbox,
    OutboxChange,
    Posts,
    Questions,
)
from backout.ports.workers import (
    ASK,
    BACK_OUT,
    CONFIRMED,
    HANDED,
    HERE,
    RESCUED,
    RESUME,
    Doorbell,
    Hand,
    InHand,
    Shift,
    Tick,
    place_of,
)

Listener = Callable[[Event], None]
"""Whoever wants to hear what happens: the screen, the log."""

__all__ = [
    "ANSWERED",
    "ASK",
    "AWAITS_APPROVAL",
    "BACK_OUT",
    "CONFIRMED",
    "GOES_ON",
    "HANDED",
    "HEARD",
    "HELD",
    "HERE",
    "NEEDS_PERSON",
    "OWN",
    "PAUSES",
    "READY",
    "RESCUED",
    "RESUME",
    "TAKEN",
    "BalancerBackend",
    "Bodies",
    "Claim",
    "Clock",
    "Defined",
    "Doorbell",
    "Hand",
    "HealthChange",
    "HealthHistory",
    "HealthStore",
    "InHand",
    "Journal",
    "Labels",
    "Lasting",
    "Listener",
    "Lock",
    "Marked",
    "Metrics",
    "Operator",
    "Outbox",
    "OutboxChange",
    "Pool",
    "Posts",
    "Probe",
    "ProbeRequest",
    "Questions",
    "Recorded",
    "RestartBackend",
    "Restarter",
    "Said",
    "Screen",
    "SecondPerson",
    "Shift",
    "Slotted",
    "StepContext",
    "StepKind",
    "Tick",
    "Traffic",
    "Transport",
    "Vault",
    "place_of",
]
