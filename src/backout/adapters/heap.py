"""The heap of a process with very many threads."""

from __future__ import annotations

from contextlib import suppress

_ARENA_MAX = -8
"""glibc's M_ARENA_MAX."""


def keep_one_heap() -> None:
    """From now on threads share one heap. By glibc's own rule up to eight for each processor are
    made, and each keeps what a connection needed only while it was opened. Elsewhere nothing is
    changed."""
    import ctypes

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
