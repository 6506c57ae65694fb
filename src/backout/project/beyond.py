"""Hosts that another zone alone reaches: which ones those are here, and who goes there."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING

from backout.adapters.vault import Vault
from backout.errors import Unreachable
from backout.language import templates
from backout.model import Host, Observation, Target
from backout.ports import Probe, ProbeRequest, Transport
from backout.project.carrying import question
from backout.project.shared_ledger import SharedLedger

if TYPE_CHECKING:
    from backout.adapters.carrying.sender import Sender
    from backout.adapters.transports.carried import CarriedTransport


class Beyond:
    """As one process sees it."""

    def __init__(self, shared: SharedLedger) -> None:
        self._shared = shared
        self._guard = threading.Lock()
        self._sender: Sender | None = None

    def has(self, host: Host | None) -> bool:
        """Whether a host is reached by another zone alone. Raises Mistakes."""
        return bool(host and host.zone and host.zone != self._zone)

    def reach(self, host: Host, target: Target, home: str, vault: Vault) -> Transport:
        """Raises Unreachable, also where there is no ledger over which to ask."""
        transport = self._transport(host, target, home, vault)
        transport.open()
        return transport

    def observe(self, kind: type[Probe], look: ProbeRequest) -> Observation:
        """What a probe sees: one that connects to a host does so from where that can be done.
        Raises Unreachable."""
        host = look.host
        if host is None or not self.has(host) or not getattr(kind, "connects", False):
            return kind().observe(look)
        names = templates.references(look.options.model_dump_json())
        transport = self._transport(host, look.target, "", Vault({}))
        seen, memory = transport.observe(question(look, names), look.timeout)
        look.memory.update(memory)
        return seen

    def close(self) -> None:
        """Nobody is sent any more."""
        if self._sender:
            self._sender.close()

    def _transport(self, host: Host, target: Target, home: str, vault: Vault) -> CarriedTransport:
        from backout.adapters.transports.carried import CarriedTransport

        return CarriedTransport(host, target.ssh, home, vault, self._sends(host, target))

    def _sends(self, host: Host, target: Target) -> Sender:
        with self._guard:
            if self._sender is None:
                if self._shared.address() is None:
                    raise _alone(host, target)
                self._sender = self._shared.sender()
            return self._sender

    @cached_property
    def _zone(self) -> str:
        return self._shared.zone


def _alone(host: Host, target: Target) -> Unreachable:
    return Unreachable(
        f"{host.name} is reached by the workers of zone {host.zone} alone, and there is no ledger"
        " of a team over which to ask them",
        where=target.file,
        next="name a PostgreSQL in backout.yaml: ledger: {secret: …}, see docs/workers.md; on a"
        f" machine of that zone itself: BACKOUT_ZONE={host.zone}",
    )
