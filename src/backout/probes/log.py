"""`log`: what the service wrote since the last look."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import ClassVar

from pydantic import Field

from backout.model import Observation, Options
from backout.model.values import Partial
from backout.ports import ProbeRequest
from backout.probes.base import Kind, ending

GAP = (
    "what was written since the last look cannot all be read: the log was rotated, emptied, or"
    " grew by more than `last` lines"
)
TOO_LONG = "not all of the lines that `last` asks for can be read: they are too long; ask for fewer"
RECENT = 10
"""So many of the last lines tell whether a log that is not quite in order goes on."""
Marks = Sequence[str]


class LogOptions(Options):
    """How far back to look at most; the first look judges all of it."""

    short: ClassVar[str] = "last"
    last: int = Field(default=200, ge=10, le=10_000)


class Log(Kind):
    """Remembers the lines it saw of each stream, as hashes. When it cannot tell which lines are
    new (a log that repeats itself), it judges all: an old error seen twice is better than a new
    one missed. When none of those that it saw is there any more, lines in between may be lost:
    then nothing passes."""

    Options: ClassVar[type[Options]] = LogOptions
    names: ClassVar[Mapping[str, str]] = {"lines": "the lines written since the last look"}
    kinds: ClassVar[Mapping[str, str]] = {"elapsed_ms": "a number", "lines": "a list"}

    def observe(self, look: ProbeRequest) -> Observation:
        """Ask the restart backend for the last lines, and leave out those seen before. A log
        that cannot be read is refused by the backend, and so is never judged."""
        started = time.monotonic()
        wanted = int(look.options.last)
        written = look.restarter().streams(wanted)
        elapsed = (time.monotonic() - started) * 1000
        streams = {name: text.splitlines()[-wanted:] for name, text in written.items()}
        before: Mapping[str, Marks] = look.memory.get("streams", {})
        if not (any(streams.values()) or before.keys() & streams.keys()):
            return Observation(error="the service's log is empty", elapsed_ms=elapsed)
        new, gap, marks = list[str](), False, dict[str, Marks]()
        for name, lines in streams.items():
            marks[name] = [_mark(line) for line in lines]
            known, lost = _seen(before.get(name), marks[name], wanted)
            new, gap = [*new, *lines[known:]], gap or lost
        look.memory["streams"] = marks
        return Observation(
            {"lines": new, "elapsed_ms": elapsed},
            elapsed_ms=elapsed,
            excerpt=ending("\n".join(new)),
            unread=_unread(written, gap=gap),
        )


def _unread(written: Mapping[str, str], *, gap: bool) -> str:
    """Why lines may be missing among those that were read; empty when none are."""
    if any(isinstance(text, Partial) for text in written.values()):
        return TOO_LONG
    return GAP if gap else ""


def _mark(line: str) -> str:
    return blake2b(line.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _seen(before: Marks | None, now: Marks, window: int) -> tuple[int, bool]:
    """How many of the lines at hand were there at the last look, and whether lines in between
    may be lost. `before` is None when there was no last look."""
    if before is None:
        return 0, False
    whole = len(now) < window  # then it is all that there is, and it grows from its beginning
    if whole and (grown := _grown(before, now)) is not None:
        return grown, False
    overlaps = [size for size in range(1, len(now) + 1) if now[:size] == before[-size:]]
    longest = max(overlaps, default=0)
    if any(len(now) <= 3 * size < 3 * longest for size in overlaps):
        return 0, False  # it repeats itself
    if whole and longest and not _meet(before[-longest:], now):
        longest = 0
    shuffled = {*before} <= {*now} if whole else _meet(before[-RECENT:], now)
    return longest, not (longest or shuffled)


def _grown(before: Marks, now: Marks) -> int | None:
    """How many of the lines were there, when those before are at the beginning; the last one may
    have been half a line."""
    if len(before) > len(now):
        return None
    same = next((at for at, mark in enumerate(before) if mark != now[at]), len(before))
    return same if same == len(before) or 0 < same == len(before) - 1 else None


def _meet(before: Marks, now: Marks) -> bool:
    """Whether most of the lines are there again, and not as any others of the same words."""
    again = [mark for mark in before if before.count(mark) == now.count(mark) == 1]
    return 2 * len(again) > len(before)
