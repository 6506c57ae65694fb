"""Balancers: what sends requests to hosts, and how it is asked to leave one out."""

from __future__ import annotations

from backout.registry import Table

BACKENDS = Table(
    {
        "haproxy": "backout.balancers.haproxy:HAProxy",
    },
    "backout.balancers",
)
