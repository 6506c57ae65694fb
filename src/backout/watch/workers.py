"""Threads that are to run as long as the watcher does: when one dies, that is told, and it is
started again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

PROVEN = 30.0
"""One that was started again is well again after so many seconds."""
LONGEST = 60.0
"""It is started again at the latest after so many seconds; at first at once."""


@dataclass(slots=True)
class Worker:
    """One thread, by name."""

    name: str
    work: Callable[[], None]
    """Returns only when it is to end."""
    deaths: int = 0
    _thread: threading.Thread | None = None
    _died: float = 0.0
    _why: str = ""
    _ended: bool = False

    def start(self) -> None:
        """Begin, or begin again."""
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def mind(self) -> str:
        """Start it again when it has died, and say so; else nothing."""
        if self.alive or self._ended or self._thread is None:
            return ""
        if monotonic() < self._died + self._pause():
            return ""
        self.start()
        return f"the {self.name} died, and was started again: {self._why}"

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def trouble(self) -> str:
        """Why it is not well; empty when it is."""
        if not self.deaths or (self.alive and monotonic() - self._died > PROVEN):
            return ""
        state = "was started again" if self.alive else "is started again soon"
        return f"the {self.name} died and {state}: {self._why}"

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self.work()
            self._ended = True
        except BaseException as error:  # noqa: BLE001 - whatever it is, the watcher is told
            self._why = f"{type(error).__name__}: {error}"
            self._died = monotonic()
            self.deaths += 1

    def _pause(self) -> float:
        return 0.0 if self.deaths < 2 else min(LONGEST, 2.0 ** min(self.deaths, 6))


@dataclass(slots=True)
class Workers:
    """All of them."""

    each: list[Worker] = field(default_factory=list)

    def start(self, name: str, work: Callable[[], None]) -> Worker:
        """One more."""
        worker = Worker(name, work)
        self.each.append(worker)
        worker.start()
        return worker

    def mind(self) -> list[str]:
        """What was started again, in words."""
        return [words for worker in self.each if (words := worker.mind())]

    @property
    def troubles(self) -> list[str]:
        return [worker.trouble for worker in self.each if worker.trouble]
