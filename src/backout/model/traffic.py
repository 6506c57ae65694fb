"""What a balancer does now: its members, and which of them it sends requests to."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Member:
    """One thing that a balancer can send requests to: a host, or an instance on it."""

    name: str
    takes: bool
    """Whether new requests go to it, as the balancer is set."""
    up: bool | None = None
    """Whether the balancer finds it well; None where it does not look."""
    open: int | None = None
    """What the balancer has open there: requests and connections; None where it cannot tell."""
    mark: str = ""
    """How it is set when it takes requests, in the balancer's own words: its weight."""
    asked: int | None = None
    """How many requests it was sent so far, by the balancer's count; None where nobody counts."""
    failed: int | None = None
    """How many of those failed, by the same count."""
    wavers: bool = False
    """Whether `up` is not what all the balancer's last looks say: it has only begun to look, or has
    just seen one fail."""
    backup: bool = False
    """Whether it is sent requests only when nobody else can be."""

    @property
    def serves(self) -> bool:
        """Whether it is counted on: it takes requests, and nothing says that it is ill."""
        return self.takes and self.up is not False

    @property
    def ill(self) -> str:
        """Why it is not to be relied on, as the balancer finds; empty where it is."""
        if self.up is False:
            return "is down"
        return "is not yet well" if self.wavers else ""

    @property
    def told(self) -> str:
        """How it is set, for a person."""
        return f"{'in' if self.takes else 'out of'} traffic ({self.mark})"

    def out(self) -> Member:
        """The same one, to which nothing new is sent."""
        return replace(self, takes=False)

    def set_as(self, other: Member) -> bool:
        """Whether it is set in the same way; what goes on there is another matter."""
        return self.takes == other.takes and (not self.takes or self.mark == other.mark)


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool as its balancer has it now."""

    members: tuple[Member, ...] = ()
    layout: str = ""
    """All that is set beside what takes members out and puts them in, as text: whoever finds
    another one knows that somebody changed it."""
    risk: str = ""
    """What a move may cost requests here whatever is awaited, and what prevents that."""

    def member(self, name: str) -> Member | None:
        return next((each for each in self.members if each.name == name), None)

    def changed(self, now: PoolState) -> str:
        """How the layout differs by now, line by line; empty where it is the same."""
        lines = difflib.unified_diff(
            self.layout.splitlines(), now.layout.splitlines(), "as it was", "now", lineterm="", n=1
        )
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """Plain data for the journal."""
        return {
            "members": [asdict(each) for each in self.members],
            "layout": self.layout,
            "risk": self.risk,
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> PoolState:
        """What `record` made plain."""
        members = tuple(Member(**row) for row in record["members"])
        return cls(members, record["layout"], record.get("risk", ""))
