"""Balancers: what sends requests to hosts, and how it is asked to leave one out."""

from __future__ import annotations

from backout.registry import Table

BACKENDS = Table(
    {
        "caddy": "backout.balancers.caddy:Caddy",
        "command": "backout.balancers.command:Command",
        "haproxy": "backout.balancers.haproxy:HAProxy",
        "nginx": "backout.balancers.nginx:Nginx",
    },
    "backout.balancers",
    "backout.ports.strangers:BALANCER",
)
