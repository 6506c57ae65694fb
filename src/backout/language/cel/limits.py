"""How long an evaluation may take, and how much it may build."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from backout.language.cel.values import CannotTell

ROOM = 64 * 1024 * 1024
"""About so many octets may be built on the way."""


@dataclass(slots=True)
class Limit:
    """What an evaluation has."""

    seconds: float
    until: float
    room: int = ROOM

    @property
    def left(self) -> float:
        return self.until - time.monotonic()

    def goes_on(self) -> None:
        """Raises CannotTell when the time is over."""
        if self.left < 0:
            raise CannotTell(f"it came to no end within {self.seconds:g} s")

    def builds(self, size: int) -> None:
        """Something of this size is made. Raises CannotTell when all of it is too much."""
        self.room -= size
        if self.room < 0:
            raise CannotTell(f"it builds more than {ROOM // 1024**2} MiB")


_LIMIT: ContextVar[Limit | None] = ContextVar("limit", default=None)
_NONE = 1e9


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Whatever is evaluated herein takes no longer, all in all; the outermost limit counts."""
    token = _LIMIT.set(_LIMIT.get() or Limit(seconds, time.monotonic() + seconds))
    try:
        yield
    finally:
        _LIMIT.reset(token)


def limit() -> Limit:
    """The one in force."""
    return _LIMIT.get() or Limit(_NONE, time.monotonic() + _NONE)
