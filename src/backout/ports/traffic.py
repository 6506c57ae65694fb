"""The seam of a balancer: what stands in front of hosts and sends requests to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from backout.model import Balancer, Member, Options, PoolState, Result
from backout.ports.runs import Transport


class Pool(Protocol):
    """One pool of one balancer, on the machine where the balancer runs."""

    def look(self) -> PoolState:
        """What it does now, asked of what runs, not of a file that it may have read. Reads only.
        Raises Refused when it cannot be read, and Unreachable."""
        ...

    def apply(self, key: str, wanted: Sequence[Member]) -> Result:
        """Ask the balancer, under a key and in one go, to have these members as they say: `takes`,
        and then the `mark`. Others stay as they are. Idempotent; returns without waiting for what
        is open, and its exit code alone proves nothing: whoever asked looks."""
        ...

    def spelled(self, wanted: Sequence[Member]) -> str:
        """What a person would type there for that; pure."""
        ...


class BalancerBackend(Protocol):
    """A row of the table `balancers.BACKENDS`."""

    Options: ClassVar[type[Options]]
    counts: ClassVar[bool]
    """Whether it counts what each member was asked, and how often that failed."""

    def __call__(self, balancer: Balancer, transport: Transport) -> Pool: ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a step that moves traffic is given: of one balancer, on one of its machines, for one
    host."""

    balancer: Balancer
    """Rendered for the host: `member` has the names that it has in the pool."""
    pool: Callable[[], Pool]
    """Raises Unreachable."""
    begun: PoolState | None
    """The pool as it was when the run began; None before that."""
    moved: bool
    """Whether this run has moved this host here before."""
    back: bool
    """Whether this is the way back."""
    returned: bool
    """Whether the run that is taken back has put this host in here by itself."""
