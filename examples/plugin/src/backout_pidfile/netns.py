"""`connection: netns`: a host that is a network namespace of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from backout.adapters.transports.local import LocalTransport


class Netns(LocalTransport):
    """Commands run in the namespace that the host's address names; files are this machine's."""

    def shell(self) -> Sequence[str]:
        return ("ip", "netns", "exec", self.host.address, "/bin/sh")
