"""The seams of a check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from backout.model import (
    Check,
    Host,
    Observation,
    Options,
    Release,
    Target,
    Words,
)
from backout.ports.restarters import Restarter
from backout.ports.runs import Transport, Vault


class Probe(Protocol):
    """A row of the table `probes.KINDS`."""

    Options: ClassVar[type[Options]]
    names: ClassVar[Mapping[str, str]]
    """What `expect` may use beside what is always in scope: name -> what it is."""
    expects: ClassVar[Words]
    """What holds when all is well: judges a cleanup, and a check of a kind that judges itself."""
    judges_itself: ClassVar[bool]
    """True when a check of this kind may do without `expect`."""

    def observe(self, look: ProbeRequest) -> Observation:
        """Look once. Never raises for illness."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of a host when a check has looked at what is there."""

    under_way: str = ""
    """The run that is open on it, in words."""
    release: Release | None = None
    """The newest one in force that was brought to it, by the ledger."""
    code: str = ""
    """The commit of the newest one that brought code."""
    says: Release | None = None
    """The one that the host's own record names."""
    same_run: bool = False
    """Whether that record is of the run that the ledger means."""
    missed: Release | None = None
    """A newer one that ought to have come to this host too."""
    standing: tuple[str, ...] | None = None
    """What the run that led there has found at its end; None where that is not on record."""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """All that a probe may use: one check, rendered, on one host or on none."""

    check: Check
    options: Any
    host: Host | None
    timeout: float
    transport: Transport
    """The host's, or this machine's when the check has no host."""
    restarter: Callable[[], Restarter]
    """The service's restart backend on that host; Refused when the target has no service."""
    vault: Vault
    target: Target
    env: tuple[tuple[str, str], ...] = ()
    """What the secrets in the options' shell texts need."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What the probe wants to find again at its next look (a log's position); JSON data."""
    known_good: Any = None
    """The fact `snapshot` of this check when the last known-good release had proved itself."""
