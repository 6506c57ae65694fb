"""What a run is put together from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from backout.model import Balancer, Finding
from backout.ports import (
    Clock,
    Journal,
    Listener,
    Lock,
    Metrics,
    Operator,
    Pool,
    Restarter,
    Said,
    SecondPerson,
    StepKind,
    Transport,
    Vault,
)
from backout.ports.abreast import abreast
from backout.runs.decisions import Stop
from backout.runs.once import Asked

WIDTH = 64
"""Hosts that are worked on side by side, at most."""

Must = Callable[[Sequence[Finding]], Collection[str]]
"""Which of these findings have to pass, by key."""
Red = Callable[[], tuple[Finding, ...]]
"""Looks, and says what must pass and does not."""
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is put together from; see `app`."""

    journal: Journal
    lock: Lock
    clock: Clock
    vault: Vault
    operator: Operator
    emit: Listener
    steps: Mapping[str, type[StepKind]]
    reach: Callable[[str], Transport]
    """The transport of a host by name; this machine for an empty name. Raises Unreachable."""
    restarter: Callable[[str], Restarter]
    """The restart backend of a host by name. Raises Refused."""
    examine: Callable[..., tuple[Finding, ...]]
    """(names, hosts, baseline, release, patient) -> findings; see `examiner.Examiner`."""
    pool: Callable[[Balancer, str], Pool]
    """A rendered balancer on a machine by name, this one for an empty name. Raises Unreachable."""
    metrics: Callable[[str, Mapping[str, str]], Metrics]
    """(address, headers) -> a store of metrics that can be asked; both may refer to secrets."""
    stop: Stop = field(default_factory=Stop)
    once: Asked = field(default_factory=Asked)
    second: SecondPerson | None = None
    said: Callable[[], Sequence[Said]] = tuple
    """What was answered so far, from wherever, while the run is held."""
    me: str = ""
    """Who is at work here: `ann@laptop`."""
    leaves: bool = False
    """True for a process that leaves a held run to whoever answers, where nobody is asked here."""


def side_by_side(do: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """Every item's outcome, in the items' order; see `abreast`."""
    return abreast(do, items, WIDTH)
