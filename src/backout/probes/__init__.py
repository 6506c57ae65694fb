"""The kinds of check."""

from backout.tables import Table

KINDS = Table(
    {
        "http": "backout.probes.http:Http",
        "tcp": "backout.probes.tcp:Tcp",
        "command": "backout.probes.command:CommandProbe",
        "service": "backout.probes.service:ServiceProbe",
    }
)
