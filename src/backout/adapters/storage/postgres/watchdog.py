"""A database that has gone silent: its links are cut, so that nobody waits for ever."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

SILENT = 30.0
"""Seconds that an answer may take."""


class Watch:
    """Looks at what is being asked, once in a while, from a thread of its own: a server that is
    frozen, or behind a link that passes nothing on, tells the driver nothing."""

    def __init__(self, silent: float | None = None) -> None:
        self._silent = SILENT if silent is None else silent
        self._asked: dict[int, float] = {}
        self._over = Event()
        self._thread = Thread(target=self._look, name="ledger", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()

    @contextmanager
    def over(self, connection: Any) -> Iterator[None]:
        """While something is asked through that connection."""
        link = connection.fileno()
        self._asked[link] = time.monotonic()
        try:
            yield
        finally:
            self._asked.pop(link, None)

    def _look(self) -> None:
        while not self._over.wait(self._silent / 10):
            late = time.monotonic() - self._silent
            for link, since in list(self._asked.items()):
                if since < late:
                    _cut(link)


def _cut(link: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(link)) as connected:
        connected.shutdown(socket.SHUT_RDWR)
