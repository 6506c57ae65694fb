"""Folders for what is started, taken away with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .guard import guard


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets and open to other users."""
    with tempfile.TemporaryDirectory(prefix="bed-", dir="/tmp") as name:
        token = guard.add(["rm", "-rf", name])
        Path(name).chmod(0o755)
        yield Path(name)
    guard.remove(token)
