"""Commands and files on a machine: over SSH, or here. A host's `connection` names its row."""

from __future__ import annotations

from backout.registry import Table

TRANSPORTS = Table(
    {
        "local": "backout.adapters.transports.local:LocalTransport",
        "ssh": "backout.adapters.transports.ssh:SshTransport",
    },
    "backout.transports",
)
