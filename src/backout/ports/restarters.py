"""The seams of restart backends: of one service on one machine, and of one that has two slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from backout.model import Identity, Member, Result


class Restarter(Protocol):
    """A restart backend, for one service on one machine."""

    def identity(self) -> Identity:
        """Who serves now. Never raises for an unknown service: that is `known=False`."""

    def restart(self, key: str) -> Result:
        """Ask the backend to restart; its exit code alone proves nothing."""

    def stop(self, key: str) -> Result:
        """Stop the service: the way back to a machine where it did not run."""

    def logs(self, lines: int) -> str:
        """The last lines that the service wrote; empty when it wrote none. Raises Refused when
        they cannot be read, and Unreachable."""

    def streams(self, lines: int) -> Mapping[str, str]:
        """The last lines of each stream that the service writes by itself, in the order in which
        they were written, on from the files that were rotated away. Raises as `logs` does."""

    def find(self) -> Sequence[Mapping[str, str]]:
        """Services by this name that this backend knows here, as inventory lines; for doctor."""


@runtime_checkable
class Lasting(Protocol):
    """A restart backend that can tell cheaply that nobody else serves by now."""

    def still(self, seen: Identity) -> bool:
        """Whether the very processes live on that were seen; False when that cannot be told."""
        ...


@runtime_checkable
class Marked(Protocol):
    """A restart backend whose processes can be known again without its manager being asked."""

    def mark(self, seen: Identity) -> str:
        """The processes of an identity, as the kernel knows them; empty where nobody can tell."""
        ...

    def bears(self, mark: str) -> bool:
        """Whether all the processes of a mark live on; False where that cannot be told."""
        ...


@runtime_checkable
class Defined(Protocol):
    """A restart backend that can tell how its service is defined."""

    def definition(self) -> Mapping[str, str | None]:
        """By name, the text of its unit file, program section, Compose file and such; None for one
        that is not there. Raises Refused when it cannot be read, and Unreachable."""
        ...


@runtime_checkable
class Slotted(Protocol):
    """A service with two slots, on one machine: one is live, the other one idle."""

    def live(self) -> str:
        """The slot that traffic goes to now, asked. Raises Refused where that is none of them, or
        nobody can tell, and Unreachable."""
        ...

    def move(self, key: str, to: str) -> Result:
        """Send all traffic to that slot, by one write under the caller's key."""
        ...

    def found(self, to: str) -> Member | None:
        """How whatever sends traffic finds that slot now; None where it does not look at any.
        Raises Refused, and Unreachable."""
        ...

    def slot(self, name: str) -> Restarter:
        """The restart backend of one slot."""
        ...

    def title(self, name: str) -> str:
        """How what runs in a slot is called."""
        ...

    def other(self, name: str) -> str:
        """The other slot."""
        ...

    def mark(self, name: str, seen: Identity) -> str:
        """See `Marked`; of what runs in a slot."""
        ...

    def bears(self, name: str, mark: str) -> bool:
        """See `Marked`; of what ran in a slot."""
        ...

    def answers(self, name: str) -> Result:
        """Whether what runs in a slot answers well on its own port."""
        ...

    def kept(self) -> str:
        """The identity of what was left running in the idle slot, on the word of the machine;
        empty where nothing was. Raises Unreachable."""
        ...

    def keep(self, key: str, name: str, seen: Identity) -> Result:
        """Leave what runs in a slot as it is, for the way back, and put that on record."""
        ...

    @property
    def contested(self) -> bool:
        """Whether the machine itself ends what is kept, after a while."""
        ...

    def claim(self) -> Result:
        """From now on nothing is on record as kept, and nobody begins to end what was. It says so
        on stdout where somebody had begun, and has not come to the end: that one is as good as
        gone."""
        ...

    def within(self, wrap: Callable[[Restarter], Restarter]) -> Slotted:
        """The same, each slot's backend within another one."""
        ...
