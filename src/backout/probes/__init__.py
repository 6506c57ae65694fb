"""The kinds of check."""

from backout.registry import Table

KINDS = Table(
    {
        "http": "backout.probes.http:Http",
        "tcp": "backout.probes.tcp:Tcp",
        "tls": "backout.probes.tls:Tls",
        "command": "backout.probes.command:CommandProbe",
        "service": "backout.probes.service:ServiceProbe",
        "log": "backout.probes.log:Log",
        "sql": "backout.probes.sql:Sql",
        "release": "backout.probes.release:Release",
        "parse-schema": "backout.probes.parse_schema:ParseSchema",
    },
    "backout.probes",
    "backout.ports.strangers:PROBE",
)
