"""A run that others can follow: what its screen hears goes into the journal too, beside the run,
with signs of life; and whoever wishes that it stops is heard."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import Event as Flag
from threading import Thread

from backout.adapters.storage.journal import RunJournal
from backout.adapters.storage.telling import STOP, Telling
from backout.errors import BackoutError
from backout.model import Event
from backout.ports import Operator, Screen
from backout.runs.decisions import Stop

UNTOLD = ("state", "saying", "output")
"""Kinds of events that are only for who looks at that moment."""
PACE, SHARED_PACE = 0.25, 1.0
"""Seconds between two looks; each is a round trip to a ledger elsewhere."""
BEAT = 4.0
"""Seconds between two signs of life."""
MOST = 500
"""So many events wait at most; then the oldest are not told."""


class Overheard:
    """`ports.Screen`: the operator's own. What it hears waits until a run is on record."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._waiting: deque[Event] = deque(maxlen=MOST)
        self.beat = BEAT
        """Seconds between two signs of life of a run."""
        self.heeds_all = False
        """Whether what was wished of the run before counts too: nobody has typed since that it goes
        on."""
        self.print = screen.print
        self.over = screen.over
        self.interrupted = screen.interrupted
        self.left = screen.left

    @property
    def operator(self) -> Operator:
        return self._screen.operator

    @property
    def live(self) -> bool:
        return self._screen.live

    def listen(self, event: Event) -> None:
        """From any thread."""
        self._screen.listen(event)
        if event.kind not in UNTOLD:
            self._waiting.append(event)

    @contextmanager
    def followed(self, journal: RunJournal, run: str, stop: Stop) -> Iterator[None]:
        """Meanwhile `run` can be followed from elsewhere, and stopped."""
        beside = _Beside(self, journal, run, stop)
        beside.begin(heeds_all=self.heeds_all)
        beside.thread.start()
        try:
            yield
        finally:
            beside.over.set()
            beside.thread.join()

    def take(self) -> list[Event]:
        """What was heard and not yet told, once."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]


class _Beside:
    """The thread beside a run. Nothing that it meets disturbs the run: it is told, or it is not."""

    def __init__(self, screen: Overheard, journal: RunJournal, run: str, stop: Stop) -> None:
        self.over = Flag()
        self.thread = Thread(target=self._run, name="telling", daemon=True)
        self._screen, self._run_id, self._stop = screen, run, stop
        self._pace = min(SHARED_PACE if journal.shared else PACE, screen.beat)
        self._telling = Telling(journal)
        self._known: set[str] = set()
        self._beaten = -screen.beat

    def begin(self, *, heeds_all: bool) -> None:
        """What was wished so far is heard before anything is begun, or was meant for another."""
        with suppress(BackoutError):
            if heeds_all:
                self._hear()
            self._known = {each.id for each in self._telling.wishes(self._run_id)}

    def _run(self) -> None:
        while not self.over.wait(self._pace):
            with suppress(BackoutError):
                self._tell()
                self._hear()
        with suppress(BackoutError):
            self._tell()

    def _tell(self) -> None:
        alive = time.monotonic() - self._beaten >= self._screen.beat
        events = self._screen.take()
        if events or alive:
            self._telling.tell(self._run_id, events, alive=alive)
            self._beaten = time.monotonic() if alive else self._beaten

    def _hear(self) -> None:
        for wish in self._telling.wishes(self._run_id):
            if wish.id not in self._known and wish.what == STOP:
                words = f"stopped by {wish.who}"
                self._screen.listen(Event(datetime.now(UTC), "warning", words))
                self._stop(words)
            self._known.add(wish.id)
