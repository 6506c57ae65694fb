"""Has zones look, and waits for what they say: whoever watches asks, workers of the zones answer.

One thread looks after the answers to everything that is asked; whoever asked waits for it. A zone
is not waited for when none of its workers takes the question.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from backout.errors import Refused, TakenOver
from backout.model import Answered, Asked, CheckKey, Inventory
from backout.ports import Questions

OFTEN = 0.2
"""Seconds between two looks for answers."""
TAKEN_WITHIN = 6.0
"""Seconds after which a question that nobody took is not waited for any more: longer than a worker
may take one."""
NOBODY = Answered(taken=False, answered=False)


@dataclass(slots=True)
class _Open:
    """One look that zones were asked for."""

    asked: tuple[Asked, ...]
    patience: float
    began: float = field(default_factory=monotonic)
    over: threading.Event = field(default_factory=threading.Event)

    def is_over(self, stands: Mapping[Asked, Answered]) -> bool:
        waited = monotonic() - self.began
        if waited > self.patience:
            return True
        there = [stands.get(each, NOBODY) for each in self.asked]
        return all(each.answered or (waited > TAKEN_WITHIN and not each.taken) for each in there)


class Asking:
    """For all targets of one watcher."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._guard = threading.Lock()
        self._open: list[_Open] = []
        self._stands: Mapping[Asked, Answered] = {}
        self._ended = threading.Event()
        self._trouble = ""
        """Why it is not known what was answered; empty while it is."""
        self._any = threading.Event()
        threading.Thread(target=self._look, name="answers", daemon=True).start()

    def ask(
        self,
        check_key: CheckKey,
        zones: tuple[str, ...],
        inventory: Inventory,
        about: Mapping[str, Any],
        patience: float,
    ) -> Mapping[str, Answered]:
        """What each zone has answered, once all have or it is of no use to wait; from any thread.
        Raises Refused, and TakenOver where another process watches the target by now."""
        asked = self._questions.ask(check_key, zones, inventory, about)
        if not asked:
            raise TakenOver(f"{check_key.target} is watched by another process by now")
        mine = _Open(asked, patience)
        with self._guard:
            self._open.append(mine)
            self._any.set()
        mine.over.wait(patience + TAKEN_WITHIN)
        with self._guard:
            self._open.remove(mine)
            stands = {each.zone: self._stands.get(each, NOBODY) for each in asked}
        if self._trouble and not all(each.answered for each in stands.values()):
            raise Refused(self._trouble)
        return stands

    def close(self) -> None:
        """Nobody is waited for any more."""
        self._ended.set()
        self._any.set()

    def _look(self) -> None:
        while not self._ended.is_set():
            with self._guard:
                waiting = tuple(each for each in self._open if not each.over.is_set())
                if not waiting:
                    self._any.clear()
            if not waiting:
                self._any.wait()
                continue
            self._see(waiting)
            self._ended.wait(OFTEN)
        for each in self._open:
            each.over.set()

    def _see(self, waiting: tuple[_Open, ...]) -> None:
        try:
            stands = self._questions.stand([one for each in waiting for one in each.asked])
            self._trouble = ""
        except Refused as error:
            stands, self._trouble = self._stands, error.what
        with self._guard:
            self._stands = {**self._stands, **stands}
            known = {one for each in self._open for one in each.asked}
            self._stands = {one: said for one, said in self._stands.items() if one in known}
        for each in waiting:
            if each.is_over(self._stands):
                each.over.set()
