"""What a worker does beside the runs that it drives: it watches, looks for those who ask, and
reaches the hosts of its zone for those who cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

from backout.commands.watch import take_back
from backout.errors import BackoutError
from backout.model import Target
from backout.ports import Hand, Screen
from backout.project.carrying import Carrying
from backout.project.project import Workplace
from backout.watch.answering import Answering
from backout.watch.process import OfWorker, Process
from backout.watch.reverting import Aside
from backout.watch.stores import open_store, questions_of

LISTENS = 0.5
"""Seconds between two looks whether the zone is asked for something."""
AGAIN = 10.0
"""Seconds after which a worker that cannot watch tries again."""


class Duty:
    """The watching of one worker, in threads of its process: it is killed, and frozen, with it."""

    def __init__(
        self, workplace: Workplace, screen: Screen, me: Hand, say: Callable[[str], None]
    ) -> None:
        self._root = workplace.root
        self._zone, self._usual = me.zone, workplace.shared.workers.zone
        self._screen = Aside(screen)
        self._screen.listen = lambda event: None if event.kind == "state" else screen.listen(event)
        self._me, self._say = me, say
        self._resources = ExitStack()
        self._over = threading.Event()
        self._process: Process | None = None
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> Duty:
        """Raises Refused."""
        with ExitStack() as stack:
            workplace = Workplace(self._root)
            stack.callback(workplace.close)
            store = stack.enter_context(open_store(workplace, workplace.redact))
            questions = questions_of(store)
            assert questions is not None  # noqa: S101 - a worker has the ledger of a team
            worker = (self._me.id, self._me.zone, self._me.by)
            self.answer = Answering(workplace, questions, worker, self._say)
            """What is to be done again and again: look for those who ask."""
            stack.callback(self.answer.close)
            carrying = Carrying(workplace.shared, self._me, self._say)
            self.carrying = stack.enter_context(carrying)
            """What it does for drivers of other zones."""
            stack.callback(self._end)
            self._thread.start()
            self._resources = stack.pop_all()
        return self

    @property
    def watches(self) -> frozenset[str]:
        """The targets that it watches now."""
        at_work = self._process
        return at_work.watches if at_work else frozenset()

    def __exit__(self, *_: object) -> None:
        """What is under way comes to its end, and others go on at once."""
        self._resources.close()

    def _end(self) -> None:
        self._over.set()
        if at_work := self._process:
            at_work.stop()
        self._thread.join()

    def _watch(self) -> None:
        """Whatever is of its zone; where that cannot be, again in a while."""
        last = ""
        while not self._over.is_set():
            try:
                self._watched()
            except BackoutError as error:
                if error.what != last:
                    self._say(f"nothing is watched from here: {error.what}")
                last = error.what
            self._over.wait(AGAIN)

    def _watched(self) -> None:
        workplace = Workplace(self._root)
        worker = OfWorker(self._me.id, self._is_ours)
        try:
            with Process(workplace, self._screen, [], take_back, worker) as at_work:
                self._process = at_work
                if not self._over.is_set():
                    at_work.work()
        finally:
            self._process = None
            workplace.close()

    def _is_ours(self, target: Target) -> bool:
        return (target.zone or self._usual) == self._zone
