"""`log`: what the service wrote since the last look."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import ClassVar

from pydantic import Field

from backout.model import Observation, Options
from backout.ports import Look
from backout.probes.base import EXCERPT, Kind


class LogOptions(Options):
    """How far back to look at most; the first look judges all of it."""

    short: ClassVar[str] = "last"
    last: int = Field(default=200, ge=10, le=10_000)


class Log(Kind):
    """Remembers the lines it saw, as hashes. When it cannot tell which lines are new (a log that
    repeats itself), it judges all: an old error seen twice is better than a new one missed."""

    Options: ClassVar[type[Options]] = LogOptions
    names: ClassVar[Mapping[str, str]] = {"lines": "the lines written since the last look"}

    def observe(self, look: Look) -> Observation:
        """Ask the restart backend for the last lines, and leave out those seen before. A log
        that cannot be read is refused by the backend, and so is never judged."""
        started = time.monotonic()
        wanted = int(look.options.last)
        lines = look.restarter().logs(wanted).splitlines()[-wanted:]
        elapsed = (time.monotonic() - started) * 1000
        if not lines:
            return Observation(error="the service's log is empty", elapsed_ms=elapsed)
        marks = [_mark(line) for line in lines]
        new = lines[_seen(look.memory.get("marks", []), marks, wanted) :]
        look.memory["marks"] = marks
        facts = {"lines": new, "elapsed_ms": elapsed}
        return Observation(facts, elapsed_ms=elapsed, excerpt="\n".join(new)[-EXCERPT:])


def _mark(line: str) -> str:
    return blake2b(line.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _seen(before: Sequence[str], now: Sequence[str], window: int) -> int:
    """How many of the lines at hand were there at the last look."""
    if len(now) < window:
        return len(before) if list(now[: len(before)]) == list(before) else 0
    overlaps = [size for size in range(1, len(now) + 1) if now[:size] == before[-size:]]
    longest = max(overlaps, default=0)
    repeats = any(len(now) <= 3 * size < 3 * longest for size in overlaps)
    return 0 if repeats else longest
