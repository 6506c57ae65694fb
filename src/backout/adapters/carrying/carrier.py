"""A worker as a carrier: takes what is addressed to it, has it done beside, and answers.

It lives and dies with the worker. What it took when it was frozen, and is not awaited any more,
it does not begin.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from backout.adapters.carrying import parcels, tables
from backout.adapters.carrying.attending import SILENT, Attending
from backout.adapters.carrying.sealing import Seal, Unsealed
from backout.adapters.carrying.tables import Known
from backout.adapters.storage.postgres.address import EXTRA, Address
from backout.adapters.storage.postgres.session import Lost, Session
from backout.adapters.storage.postgres.watchdog import Watch
from backout.adapters.storage.tables import Tables
from backout.errors import Unreachable
from backout.postgres.driver import driver

WIDTH = 128
"""How many it does at the same time: two runs, as wide as runs are."""
POLL = 0.5
"""Seconds between two looks for what nobody called about."""
BEATS = 6.0
"""So many signs of life are given within the time after which a carrier is gone."""
FRESH = 1.0
"""Seconds after which it is asked once more whether what was taken is still awaited."""
TIDY = 30.0

Do = Callable[[bytes, Callable[[], None]], bytes]
"""What was asked -> what is answered. The other is called right before it begins, and raises
Unreachable where that is too late."""


class Carrier:
    """One worker's, while it is entered."""

    def __init__(
        self,
        address: Address,
        who: tuple[str, str, str],
        after: float,
        do: Do,
        say: Callable[[str], None],
        tidy: Callable[[], object] = lambda: None,
    ) -> None:
        """`who` is the worker's id, its zone, and whose it is; `tidy` is done once in a while."""
        self._seal = Seal()
        self._me = Known(*who, self._seal.public, 0, stopping=False, alive=True)
        self._every = min(5.0, after / BEATS)
        self._do, self._say, self._clear = do, say, tidy
        self._watch = Watch(SILENT)
        self._asking = Session(address, self._watch)
        self._pool = ThreadPoolExecutor(WIDTH, "carrying")
        self._guard = threading.Lock()
        self._taken: dict[str, float] = {}
        """What it has in hand, and since when."""
        self._answers: list[tuple[str, bytes]] = []
        self._beaten = self._tidied = 0.0
        self._lost = False
        self.stopping = False
        """It takes no more."""
        channel = tables.channel(self._me.id)
        self._attending = Attending(address, channel, self._turn, self._away)

    @property
    def at_work(self) -> int:
        """How many it has in hand."""
        with self._guard:
            return len(self._taken)

    def stop(self) -> None:
        """Take no more; what is in hand is done."""
        self.stopping = True
        self._attending.call()

    def close(self) -> None:
        """What is done by now is said first."""
        self.stopping = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._attending.close()
        with suppress(Lost, driver(EXTRA).Error):
            self._asking.ask(lambda db: tables.leave(db, self._me.id))
        self._asking.drop()
        self._watch.close()

    # --- in its thread -------------------------------------------------------------------

    def _turn(self, db: Tables) -> float:
        now = time.monotonic()
        if now - self._beaten >= self._every or self.stopping:
            tables.beat(db, self._me, stopping=self.stopping)
            self._beaten = now
        if self._lost:
            self._own_up(db)
        self._answer(db)
        if not self.stopping:
            self._take(db)
            self._tidy(db, now)
        return min(POLL, self._every)

    def _take(self, db: Tables) -> None:
        free = WIDTH - self.at_work
        for id, theirs, sealed in tables.take(db, self._me.id, free) if free else ():
            with self._guard:
                self._taken[id] = _now()
            self._pool.submit(self._carry, id, theirs, sealed)

    def _tidy(self, db: Tables, now: float) -> None:
        if now - self._tidied >= TIDY:
            tables.tidy(db)
            self._pool.submit(self._clear)
            self._tidied = now

    def _answer(self, db: Tables) -> None:
        with self._guard:
            answers = list(self._answers)
        for id, sealed in answers:
            tables.answer(db, id, sealed)
            with self._guard:
                self._answers.remove((id, sealed))
                self._taken.pop(id, None)

    def _own_up(self, db: Tables) -> None:
        """What was taken by words whose answer was lost was never begun."""
        with self._guard:
            known = set(self._taken)
        for id, theirs in tables.taken(db, self._me.id).items():
            if id not in known:
                error = Unreachable("the ledger was lost when it was taken up")
                tables.answer(db, id, self._sealed(id, theirs, parcels.unreached(error)))
        self._lost = False

    def _away(self, why: str) -> None:
        if not self._lost:
            self._say(f"nothing is carried from here: {why}")
        self._lost = True

    # --- beside it -----------------------------------------------------------------------

    def _carry(self, id: str, theirs: bytes, sealed: bytes) -> None:
        try:
            words = self._seal.opened(theirs, f"request {id}", sealed)
            said = self._do(words, lambda: self._refuse_late(id))
        except Unsealed:
            said = parcels.unreached(Unreachable("what was asked was not sealed for this worker"))
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            said = parcels.broken(f"{type(error).__name__}: {error}")
        with self._guard:
            self._answers.append((id, self._sealed(id, theirs, said)))
        self._attending.call()

    def _sealed(self, id: str, theirs: bytes, said: bytes) -> bytes:
        return self._seal.closed(theirs, f"answer {id}", said)

    def _refuse_late(self, id: str) -> None:
        with self._guard:
            since = self._taken[id]
        if _now() - since < FRESH:
            return
        try:
            late = not self._asking.ask(lambda db: tables.awaited(db, id))
        except (Lost, driver(EXTRA).Error):
            late = True
        if late:
            raise Unreachable("it came too late: nobody waits for it any more")


def _now() -> float:
    """Goes on while the machine sleeps, where its kernel can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
