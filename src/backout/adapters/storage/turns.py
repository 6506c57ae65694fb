"""One process at a time writes a database.

Before 3.51.3 SQLite can damage a file in WAL mode when two connections write or checkpoint at the
same moment. There every transaction takes its turn by a lock of the kernel's, which ends with its
holder, however that ends. It is on another file or on the directory: whoever opens and closes the
database's own file gives up the locks that SQLite has on it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MENDED = (3, 51, 3)
PAUSE = 0.005


def needed() -> bool:
    """Whether this SQLite needs it."""
    return sqlite3.sqlite_version_info < MENDED


def version() -> str:
    """Which SQLite this is, and what follows from that; for `doctor`."""
    turns = f"; its writers take turns (mended in {'.'.join(map(str, MENDED))})"
    return sqlite3.sqlite_version + (turns if needed() else "")


@contextmanager
def turn(place: Path, patience: float) -> Iterator[None]:
    """Be the only one who locks `place`, a directory or a file that is made; where there is no
    need, nobody waits. Raises sqlite3.OperationalError after `patience` seconds, or where the
    lock cannot be made."""
    if not needed():
        yield
        return
    try:
        how = os.O_RDONLY if place.is_dir() else os.O_RDWR | os.O_CREAT
        lock = os.open(place, how | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise sqlite3.OperationalError(f"{place}: {error.strerror}") from error
    try:
        _take(lock, patience)
        yield
    finally:
        os.close(lock)


def _take(lock: int, patience: float) -> None:
    limit = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > limit:
                raise sqlite3.OperationalError("database is locked") from None
        time.sleep(PAUSE)
