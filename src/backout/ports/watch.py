"""The seams of a watcher: what checks said, and what was told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from backout.model import (
    Answered,
    Asked,
    CheckKey,
    Incident,
    Inventory,
    Message,
    Post,
    Reverted,
    Sample,
    Streak,
    Taken,
)
from backout.ports.runs import Bodies

Body = Mapping[str, Any]


class OutboxChange(Protocol):
    """What one transaction makes of messages."""

    def post(self, message: Message) -> None:
        """A message that is to be delivered, once for its key and destination."""

    def move(self, message: int, destinations: Sequence[str]) -> None:
        """To other destinations, as if it had been written to them."""

    def bundle(self, messages: Sequence[Message], digest: Message) -> None: ...
    def attempt(self, message: int, retry_at: float) -> None: ...
    def failed(self, message: int, retry_at: float, failure: str) -> None: ...
    def delivered(self, message: int, at: float, outcome: str = "delivered") -> None: ...


class Outbox(Protocol):
    """Messages, until each is delivered."""

    def write(self) -> AbstractContextManager[OutboxChange]:
        """One transaction: all of it is durable at its end, or none. Raises Unwritten."""
        ...

    def waiting(self, destination: str | None = None) -> tuple[Message, ...]:
        """Those that are not delivered yet, in order."""
        ...


class HealthChange(OutboxChange, Protocol):
    """One transaction of a `HealthStore`. What is written is redacted first."""

    def look(
        self,
        sample: Sample,
        streak: Streak,
        *,
        memory: Mapping[str, Any] | None = None,
        tick: float | None = None,
    ) -> None:
        """One look, with the counters as they are after it."""

    def streak(self, check_key: CheckKey, streak: Streak) -> None: ...
    def snapshot(self, check_key: CheckKey, release: int, at: float, body: Any) -> None: ...
    def incident(self, check_key: CheckKey) -> Incident | None:
        """The one that is open there."""

    def incidents(self) -> tuple[Incident, ...]:
        """All that are open."""

    def open(self, incident: Incident) -> int: ...
    def worsen(self, incident: int, kind: str, evidence: Mapping[str, Any]) -> None: ...
    def told(self, incident: int, at: float) -> None: ...
    def resolve(self, incident: int, at: float) -> None: ...
    def silenced(self, check_key: CheckKey, now: float) -> bool: ...
    def in_hand(self, incident: int, destination: str) -> bool:
        """Whether a message about it is still on its way there."""

    def told_at(self, incident: int) -> frozenset[str]:
        """The destinations that were told of it, or will be by what waits for them."""


class HealthHistory(Protocol):
    """What checks said, when, and what was made of it. Raises Refused when it cannot be read."""

    redact: Callable[[str], str]

    def check_keys(self, target: str | None = None) -> tuple[CheckKey, ...]: ...
    def looks(
        self, check_key: CheckKey, since: float = 0.0, limit: int = -1
    ) -> tuple[Sample, ...]: ...
    def looks_after(self, seq: int, limit: int = 100_000) -> tuple[tuple[int, Sample], ...]: ...
    def rolled_up(self, days: float, hours: float) -> tuple[int, Bodies, Bodies]: ...
    def hours(self, check_key: CheckKey, since: float = 0.0) -> dict[int, bytes]:
        """Tallies by the beginning of their hour; see `rollups.decode`."""

    def days(self, check_key: CheckKey, since: float = 0.0) -> dict[int, bytes]: ...
    def incidents(
        self, target: str | None = None, *, open: bool = False, since: float = 0.0, limit: int = -1
    ) -> tuple[Incident, ...]:
        """Newest first; all that were open at some time after `since`."""

    def silences(self, now: float) -> tuple[tuple[str, str, float, str], ...]: ...
    def snapshot(self, check_key: CheckKey) -> tuple[int, Any] | None: ...


class Posts(Protocol):
    """Which targets this process watches, where several could. Raises Unwritten."""

    @property
    def held(self) -> frozenset[str]:
        """Those that are its own, as far as it knows."""

    def stand(self, names: Collection[str]) -> Mapping[str, Post]:
        """Say that it is there, and take what is free. Gives whose the others are."""

    def relieve(self, name: str, seen: Post) -> bool:
        """Take the place of one that has given no sign since it was seen."""

    def leave(self, names: Collection[str]) -> None:
        """From now on they are anybody's."""


class HealthStore(HealthHistory, Protocol):
    """The same, to be written by one watcher."""

    name: str
    """Tells the messages of this store from those of others."""

    def write(self) -> AbstractContextManager[HealthChange]:
        """One transaction: all of it is durable at its end, or none. Raises Unwritten."""

    def settled(self, token: str) -> bool:
        """Whether a transaction was written of which that was not known. Raises Unwritten."""

    def roll_up(self, now: float) -> int: ...
    def streaks(
        self,
    ) -> Mapping[CheckKey, tuple[Streak, Mapping[str, Any], float | None]]:
        """Counters, probe memory and last tick of every check key."""

    def waiting(self, destination: str | None = None) -> tuple[Message, ...]:
        """Letters that are not delivered yet, in order."""

    def reverts(self) -> tuple[Reverted, ...]:
        """The runs that were reverted by themselves, the oldest first."""


class Questions(Protocol):
    """What zones are asked to look at, and what they answer."""

    def ask(
        self, check_key: CheckKey, zones: Sequence[str], inventory: Inventory, about: Body
    ) -> tuple[Asked, ...]:
        """Durably: what was asked before is asked no more. None where another process watches the
        target by now. Raises Unwritten."""
        ...

    def stand(self, asked: Collection[Asked]) -> Mapping[Asked, Answered]:
        """How these questions stand. Raises Refused."""
        ...

    def take(self, zone: str, by: str, worker: str, most: int) -> tuple[Taken, ...]:
        """Durably: what waits there for an answer is this worker's to answer. Raises Unwritten."""
        ...

    def inventory(self, target: str) -> Inventory:
        """What questions about it are about; nothing when there were none. Raises Refused."""
        ...

    def answer(self, asked: Asked, worker: str, findings: Sequence[Body], memory: Body) -> bool:
        """Durably, unless it was asked anew meanwhile: whether it counts. Raises Unwritten."""
        ...
