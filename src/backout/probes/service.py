"""`service`: what the restart backend says about the service."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

from backout.model import Observation, Words
from backout.ports import ProbeRequest
from backout.probes.base import Kind


class ServiceProbe(Kind):
    """Passes by itself when the backend knows the service and calls it up."""

    names: ClassVar[Mapping[str, str]] = {
        "service": "up, identity, detail; restarts and uptime where the backend counts them",
    }
    kinds: ClassVar[Mapping[str, str]] = {"service": "a mapping", "service.up": "a boolean"}
    expects: ClassVar[Words] = ("service.up",)
    judges_itself: ClassVar[bool] = True

    def observe(self, look: ProbeRequest) -> Observation:
        """Ask the backend who serves."""
        started = time.monotonic()
        seen = look.restarter().identity()
        elapsed = (time.monotonic() - started) * 1000
        if not seen.known:
            reason = seen.detail or "nobody could tell"
            return Observation(error=f"the service is not known: {reason}", elapsed_ms=elapsed)
        facts = {"up": seen.up, "identity": seen.value, "detail": seen.detail}
        counted = {"restarts": seen.restarts, "uptime": seen.uptime}
        facts |= {name: value for name, value in counted.items() if value is not None}
        return Observation({"service": facts}, elapsed_ms=elapsed, excerpt=seen.detail)
