"""How long whoever needs the ledger waits for it when it is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from backout.adapters.storage.postgres.session import Lost
from backout.adapters.storage.tables import T

PAUSE = 0.2
"""Seconds between two tries at first; later up to `LONGEST`."""
LONGEST = 2.0
EVERY = 10.0
"""So often it is said that the ledger is awaited."""


class Patience:
    """For a verb that only looks it is none; a run that is under way waits. Once it has run out,
    nobody waits again until the ledger answers."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.say: Callable[[str], None] = _nobody
        self.going_on = ""
        """What to type when it has run out; for a run that is under way."""
        self._lock = Lock()
        self._over = False
        self._awaited = 0.0
        """How long somebody has waited in vain."""
        self._said = 0.0

    def wait(self, ask: Callable[[], T], where: str) -> T:
        """The answer. Raises Lost when there was none within that time."""
        begun, pause = time.monotonic(), PAUSE
        while True:
            try:
                answer = ask()
            except Lost as error:
                waited = time.monotonic() - begun
                if self._over or waited >= self.seconds:
                    self._over = self.seconds > 0
                    self._awaited = max(self._awaited, waited)
                    raise Lost(f"{error}{_told(self._awaited)}") from error
                self._tell(error, where, self.seconds - waited)
                time.sleep(min(pause, self.seconds - waited))
                pause = min(2 * pause, LONGEST)
            else:
                self._over, self._awaited, self._said = False, 0.0, 0.0
                return answer

    def _tell(self, error: Lost, where: str, left: float) -> None:
        with self._lock:
            now = time.monotonic()
            if self._said and now - self._said < EVERY:
                return
            self._said = now
        self.say(
            f"waiting for the ledger {where}, {left:.0f} s more: {error}; nothing more starts"
            " meanwhile, and what has begun goes on"
        )


def _told(seconds: float) -> str:
    return f"; it was awaited for {seconds:.0f} s" if seconds >= 1 else ""


def _nobody(_: str) -> None:
    """Nobody listens."""
