"""What serves an application on a host, in one place or in two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from backout.model.operands import Operand
from backout.model.units import Noun, Port, Span, TemplateText


class Slot(Noun):
    """One of the two places where a service may run."""

    port: Port | TemplateText
    member: str = ""
    """What it is called in the balancer; unsaid, as the slot is."""


class Switch(Noun):
    """What sends traffic to one slot: a balancer, or two texts of shell on the service's host.
    `read` prints the name of the slot that traffic goes to now, `move` sends it to `slot`, by one
    write."""

    balancer: str = ""
    read: str = ""
    move: str = ""


class Service(Noun):
    """What `restart` restarts. `options` is what the backend's own model made of the rest."""

    name: Operand = Field(min_length=1)
    backend: str
    directory: Operand = ""
    port: Port | TemplateText | None = None
    """When given, a restart is proved only if the new process owns this listening port."""
    strategy: Literal["replace", "bluegreen"] = "replace"
    """`bluegreen`: the new one comes up beside the old one, in the slot that is idle."""
    slots: Mapping[str, Slot] = Field(default_factory=dict)
    """Two of them; `slot.name` and `slot.port` stand for them in the service's own words."""
    prove: str = ""
    """Shell on the host that succeeds once what runs in `slot` answers well on its own port; of a
    service that is reloaded, once the release that is live on disk is what answers."""
    switch: Switch | None = None
    keep_old: Span | None = None
    """How long the old one stays beside the new one; unsaid, until the next deploy."""
    options: Any = None

    @property
    def bluegreen(self) -> bool:
        """Whether it has two slots."""
        return self.strategy == "bluegreen"
