"""What the new hosts of a rollout are held against the old ones by, beside their checks."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from backout.model.units import Noun


class Prometheus(Noun):
    """Queries of a Prometheus about one host, each over `{{ window }}`: the time since its batch is
    watched. They are templates, as a check of that host has them."""

    url: str
    """Where its API is: `http://prometheus:9090`."""
    headers: Mapping[str, str] = Field(default_factory=dict)
    requests: str
    """How many requests the host answered."""
    errors: str
    """How many of them failed; nothing at all means none, where `requests` says something."""
    latency: str = ""
    """How many of them took how long: the buckets of a histogram in seconds, by `le`."""


class Compare(Noun):
    """Who counted the requests; the checks are always compared."""

    balancer: str = ""
    """One of the inventory's `balancers`, which counts what each member answered."""
    prometheus: Prometheus | None = None
