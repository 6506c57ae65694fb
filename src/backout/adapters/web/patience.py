"""Connections on which no request comes do not keep others out: each has so long to ask, and when
there are many, those that have waited longest make room."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 10.0
"""How long a request may take to be there whole."""
ROOM = 100
"""Connections that wait for a request at the same time, before the oldest of them makes room;
those that are being answered keep nobody out."""
CROWD = 500
"""The same where many come at once, to follow."""


class Patient(H11Protocol):
    """HTTP as uvicorn speaks it, with an end to waiting."""

    _limit: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since = time.monotonic()
        self._wait()
        open_now = [c for c in self.connections if not c.transport.is_closing()]
        waiting = [c for c in open_now if isinstance(c, Patient) and c._may_make_room_for(self)]
        if len(waiting) >= self._room:
            min(waiting, key=lambda c: c._since).transport.abort()

    @property
    def _room(self) -> int:
        return ROOM

    def _may_make_room_for(self, newest: Patient) -> bool:
        """Whoever has only just come may be about to ask, though all before are being answered."""
        return self is not newest and not self._busy

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._busy:
            self._rest()
        elif self._limit is None:
            self._limit = self.loop.call_later(SECONDS, self.transport.abort)

    def _rest(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


class Crowded(Patient):
    """For a server that many follow."""

    @property
    def _room(self) -> int:
        return CROWD
