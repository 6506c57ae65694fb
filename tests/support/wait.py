"""The one place that polls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NeverHappened(AssertionError):
    """What a test waited for did not come true in time."""


def eventually(
    predicate: Callable[[], T],
    *,
    within: float = 150.0,
    every: float = 0.02,
    saying: str = "the awaited condition",
    ignoring: tuple[type[BaseException], ...] = (OSError,),
) -> T:
    """Return the first truthy value of `predicate`, or fail after `within` seconds.

    Exceptions listed in `ignoring` count as "not yet"; the last one is named in the failure.
    """
    deadline = time.monotonic() + within
    while True:
        seen: object
        try:
            value = predicate()
            if value:
                return value
            seen = value
        except ignoring as error:
            seen = error
        if time.monotonic() > deadline:
            raise NeverHappened(f"{saying} did not happen within {within} s; last seen: {seen!r}")
        time.sleep(every)


def throughout(predicate: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Say whether `predicate` held at every look during `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not predicate():
            return False
        time.sleep(every)
    return predicate()
