"""A witness that looks at all hosts all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from peers.estate import Estate

from support.witness import Host, Look, State

EVERY = 0.03
STILL = 1.0
"""Seconds without a change, after which what is seen is what is left."""


class Watch:
    """Looks from the beginning of its context to the end; hosts that are down are left out."""

    def __init__(self, estate: Estate, down: Sequence[str] = ()) -> None:
        self._estate = estate
        self._names = [name for name in estate.names if name not in down]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.looks: list[Look] = [self._now()]

    @property
    def state(self) -> State:
        return self.looks[-1].state

    def until(self, condition: Callable[[State], bool], running: Callable[[], bool]) -> bool:
        """Wait for a state, as long as something runs; says whether it came."""
        while running():
            if condition(self.state):
                return True
            time.sleep(0.005)
        return condition(self.state)

    def settled(self) -> State:
        """What is left: the state that has not changed for a while."""
        begun = time.perf_counter()
        while True:
            now = self.looks[-1]
            since = next((x.at for x in reversed(self.looks) if x.state != now.state), begun)
            if time.perf_counter() - max(begun, since) > STILL and now.at > begun:
                return now.state
            time.sleep(EVERY)

    def _now(self) -> Look:
        estate = self._estate
        state = {name: Host(estate.disk(name), estate.answer(name)) for name in self._names}
        return Look(time.perf_counter(), state)

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            self.looks.append(self._now())

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
