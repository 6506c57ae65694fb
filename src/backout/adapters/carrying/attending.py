"""One thread and one session with the ledger's database: it has its turn when it is called, from
there or from here, and after a while in any case, for a link can be half open."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from backout.adapters.storage.postgres.address import EXTRA, Address
from backout.adapters.storage.postgres.session import Session, direct, told
from backout.adapters.storage.postgres.watchdog import Watch
from backout.adapters.storage.tables import Tables
from backout.postgres.driver import driver

SILENT = 10.0
"""Seconds that an answer of the database may take."""
AGAIN = 0.5
"""Seconds after which a database that is gone is asked again."""


class Attending:
    """Whoever does something at each turn."""

    def __init__(
        self,
        address: Address,
        channel: str,
        turn: Callable[[Tables], float],
        away: Callable[[str], None],
    ) -> None:
        """`turn` gives the seconds after which it is to be called anyway; `away` hears why it could
        not be. Both in the thread, and neither raises anything but what the database says."""
        self._channel, self._turn, self._away = channel, turn, away
        self._watch = Watch(SILENT)
        self.session = Session(address, self._watch)
        self._inner, self._outer = socket.socketpair()
        self._inner.setblocking(False)
        self._outer.setblocking(False)
        self._connection: Any = None
        self._called = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="carrying", daemon=True)
        self._thread.start()

    def call(self) -> None:
        """From any thread: there is something to do."""
        with suppress(BlockingIOError, OSError):
            self._outer.send(b".")

    def close(self) -> None:
        """After one more turn."""
        self._over.set()
        self.call()
        self._thread.join()
        self.session.drop()
        self._watch.close()
        self._inner.close()
        self._outer.close()

    def _attend(self) -> None:
        while True:
            last = self._over.is_set()
            try:
                pause = self.session.ask(self._once)
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for this thread
                self.session.drop()
                self._away(told(error))
                pause = AGAIN
            if last:
                return
            self._rest(pause)

    def _once(self, db: Tables) -> float:
        connection = getattr(db, "connection", None)
        if connection is not self._connection:
            _listen(db, connection, self._channel, self._hear)
            self._connection = connection
        self._called = False
        return self._turn(db)

    def _hear(self, _: object) -> None:
        self._called = True

    def _rest(self, pause: float) -> None:
        if self._called or self._over.is_set():
            return
        links: list[Any] = [self._inner]
        if self._connection is not None and not self._connection.closed:
            links.append(self._connection.fileno())
        ready = select.select(links, [], [], pause)[0]
        with suppress(BlockingIOError):
            while self._inner in ready and self._inner.recv(4096):
                pass
        if len(links) > 1 and links[1] in ready:
            self._heard(self._connection)

    def _heard(self, connection: Any) -> None:
        """What was called is no more than a call; a link that has ended is let go of."""
        try:
            connection.pgconn.consume_input()
            while connection.pgconn.notifies():
                pass
        except driver(EXTRA).Error:
            self.session.drop()


def _listen(db: Tables, connection: Any, channel: str, hear: Callable[[object], None]) -> None:
    """Where no pooler stands in between, which would give the session to others."""
    connection.add_notify_handler(hear)
    if direct(connection):
        db.execute(f'LISTEN "{channel}"')
