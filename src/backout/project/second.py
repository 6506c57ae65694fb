"""Another person's yes in the middle of a run, at a step that asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from backout.adapters.person import person
from backout.adapters.storage.approvals import Approvals
from backout.adapters.storage.journal import RunJournal
from backout.errors import BackoutError
from backout.model.people import Request
from backout.ports import Clock
from backout.runs.decisions import Stop
from backout.runs.picture import digest_of

PAUSE = 0.5
TELL = (5.0, 15.0, 30.0)
"""After so many seconds it is said again who is waited for, at last each time."""


class SecondPerson:
    """`ports.SecondPerson` for one run: what it asks lies in the journal, so that whoever goes on
    with the run goes on waiting for the same answer."""

    def __init__(
        self, journal: RunJournal, target: str, run: str, clock: Clock, stop: Stop
    ) -> None:
        self._journal = journal
        self._store = Approvals(journal)
        self._target = target
        self._run = run
        self._clock = clock
        self._stop = stop

    def agree(self, key: str, question: str, lasting: float, say: Callable[[str], None]) -> str:
        """Why it is no yes; empty for a yes."""
        self._ask(key, question, lasting)
        words = f"somebody else has to say yes: {question} (invoke approve {self._run})"
        telling = _telling(words, say)
        while True:
            request = self._known(key)
            if (why := self._verdict(request)) is not None:
                return why
            telling(self._clock.monotonic())
            self._clock.sleep(PAUSE)

    def _ask(self, key: str, question: str, lasting: float) -> None:
        now = self._journal.clock()
        self._store.ask(
            Request(
                id=self._run,
                target=self._target,
                step=key,
                digest=digest_of(self._plan()),
                needed=1,
                asker=person(os.environ),
                asked=now,
                expires=now + timedelta(seconds=lasting),
                body={"question": question},
            )
        )

    def _plan(self) -> Any:
        try:
            return dict(self._journal.run(self._run).plan)
        except BackoutError:
            return {}

    def _known(self, key: str) -> Request:
        return next(each for each in self._store.named(self._run) if each.step == key)

    def _verdict(self, request: Request) -> str | None:
        """None while it is not decided."""
        now = self._journal.clock()
        if no := request.refusal:
            return f"{no.by.name} said no: {no.reason}"
        if request.used_by or request.yes_for(person(os.environ)):
            return "" if self._store.use(request, self._run, now) else None
        if self._stop.reason:
            return self._stop.reason
        return "nobody else has said yes in time" if now >= request.expires else None


def _telling(words: str, say: Callable[[str], None]) -> Callable[[float], None]:
    pauses: Iterator[float] = iter(TELL)
    due = [0.0]

    def tell(now: float) -> None:
        if now >= due[0]:
            say(words)
            due[0] = now + next(pauses, TELL[-1])

    return tell
