"""What a watcher keeps: looks, incidents, messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backout.model.results import Verdict


@dataclass(frozen=True, slots=True, order=True)
class CheckKey:
    """One check of one target, on one host or on none: what has a schedule and a history."""

    target: str
    check: str
    host: str = ""

    @property
    def key(self) -> str:
        return f"{self.check}@{self.host}" if self.host else self.check

    def __str__(self) -> str:
        return f"{self.target}/{self.key}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a check key, as history keeps it."""

    check_key: CheckKey
    at: float
    """Seconds since the epoch."""
    verdict: Verdict
    elapsed_ms: float
    queued_ms: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Streak:
    """What is remembered of a check key from look to look."""

    ill: str = ""
    """The kind of the open alert: `fail`, `unknown`, or none."""
    bad: int = 0
    """Looks in a row that did not pass."""
    fails: int = 0
    """Looks in a row that failed: no doubt about them."""
    good: int = 0
    last: str = ""
    """The last looks, newest at the end: p, f, e, i."""
    since: float = 0.0
    """When it began to be bad; zero while it is not."""
    opened: tuple[float, ...] = ()
    """When an alert opened lately."""
    green: bool = False
    """It passed at least once."""

    @property
    def flaps(self) -> int:
        """How often it has opened lately, beyond the first time."""
        return max(0, len(self.opened) - 1)

    def record(self) -> dict[str, Any]:
        several = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in several if value}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Streak:
        return cls(**{**record, "opened": tuple(record.get("opened", ()))})


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that is wrong from `since` until `resolved`."""

    check_key: CheckKey
    kind: str
    """`fail` when it is seen to be wrong, `unknown` when nobody can tell."""
    since: float
    opened: float
    evidence: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    told: float | None = None
    """When it was last written to somebody; None while it is kept quiet."""
    acked: str = ""
    """Who knows about it."""
    resolved: float | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a receiver made of a message; delivered when there is no failure."""

    failure: str = ""
    unfit: bool = False
    """The receiver will never take this message."""
    closed: bool = False
    """The destination will take nothing until a person mends it."""
    wait: float = 0.0
    """How many seconds the receiver asks for before the next attempt."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """A deploy that is, or was, taken back by itself."""

    run: str
    target: str
    why: str
    """The checks that went bad, by name."""
    ended: float | None = None
    """When somebody was told how it ended; None while it is under way, or broke off."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one destination, until it is delivered."""

    target: str
    destination: str
    kind: str
    """`open`, `worse`, `remind`, `resolve`, `note` or `digest`."""
    key: str
    """The same for every attempt: a receiver that honours it sees the message once."""
    title: str
    body: str
    created: float
    incident: int = 0
    id: int = 0
    attempts: int = 0
    retry_at: float = 0.0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    """Whose it is to watch a target, as it was seen."""

    epoch: int
    """How often it has changed hands."""
    beat: int
    """Grows while that process lives."""
    by: str
    since: datetime


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """One thread that is to run as long as the watcher does."""

    name: str
    alive: bool
    deaths: int


@dataclass(frozen=True, slots=True)
class WatcherHealth:
    """Whether the watching itself is well."""

    status: str
    """`ok`, `overdue`, `starting`, or `standby`: others watch all of it."""
    reasons: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    checks: int = 0
    held: tuple[tuple[str, str], ...] = ()
    """Targets that a run holds, each with that run."""
    broken: tuple[str, ...] = ()
    """Targets whose inventory cannot be read."""
    workers: tuple[WorkerHealth, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    """Targets that another process watches, each with whose it is."""

    @property
    def well(self) -> bool:
        return self.status in ("ok", "standby")

    def to_data(self) -> dict[str, Any]:
        """What `/health` answers."""
        return {
            "status": self.status,
            "reasons": list(self.reasons),
            "targets": list(self.targets),
            "checks": self.checks,
            "held": dict(self.held),
            "broken": list(self.broken),
            "others": dict(self.others),
            "workers": {w.name: {"alive": w.alive, "deaths": w.deaths} for w in self.workers},
        }


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a question is about: a target as whoever asks has it."""

    digest: str = ""
    body: str = "{}"
    """As JSON."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to one zone: the `number`th about this check key."""

    check_key: CheckKey
    zone: str
    number: int


@dataclass(frozen=True, slots=True)
class Answered:
    """How a question stands."""

    taken: bool
    """A worker of the zone looks, or has looked."""
    answered: bool
    by: str = ""
    """Who answered last, this question or an older one."""
    at: float | None = None
    """When, by the database's clock; None when nobody ever has."""
    findings: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """A question that a worker has taken: nobody else answers it."""

    asked: Asked
    digest: str
    """Of the inventory that it is about."""
    about: Mapping[str, Any]
    """What is deployed, as whoever asks knows it."""
    memory: Mapping[str, Any]
    """What the zone's last look left to be found again."""
