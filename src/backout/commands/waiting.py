"""`--wait`: in order for a target or for somebody's yes, with a sign of life every now and then."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from backout.adapters.clock import SystemClock
from backout.adapters.person import person
from backout.adapters.storage.line import Line, Waiter
from backout.commands.planning import new_run
from backout.errors import BackoutError, Held, Mistakes
from backout.model import Event, duration, seconds
from backout.ports import Clock, Screen
from backout.project.project import Workplace

PAUSE = 0.5
"""Seconds between two looks."""
TELL = (5.0, 15.0, 30.0)
"""After so many seconds it is said again what is waited for, at last each time."""
LOCK, APPROVAL = "lock", "approval"

ProbeRequest = Callable[[], BackoutError | None]
"""What stands in the way; nothing when the way is free."""


def patience(words: str | None) -> float | None:
    """The seconds of `--wait`. Raises Mistakes."""
    try:
        return None if words is None else seconds(words)
    except ValueError as error:
        raise Mistakes(
            f"--wait {words}: {error}", where="command line", next="invoke --help deploy"
        ) from error


class Waiting:
    """One who wants to begin a run of a target; to be entered, and to leave the line behind."""

    def __init__(
        self,
        workplace: Workplace,
        screen: Screen,
        target: str,
        patience: float | None,
        clock: Clock | None = None,
    ) -> None:
        """With a `patience` of None nothing is waited for."""
        self.patience = patience
        self._screen = screen
        self._target = target
        self._clock = clock or SystemClock()
        self._line = Line(workplace.journal, target, self._clock.monotonic)
        self._me = person(os.environ)
        self._id, self._began = new_run(), self._clock.monotonic()
        self._joined = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """The line is for others."""
        if self._joined:
            self._line.leave(self._id)
            self._joined = False

    def turn(self, busy: ProbeRequest) -> None:
        """Until nothing holds the target and nobody waits before us. Raises Held."""
        if self.patience is None:
            self._refuse_to_overtake()
        else:
            self.until(lambda: busy() or self._behind(), LOCK)

    def until(self, look: ProbeRequest, waits_for: str) -> None:
        """Until nothing stands in the way. Raises what does, when time is over."""
        telling = _Telling(self._screen, self._target, self._clock)
        while (obstacle := look()) is not None:
            left = self._began + (self.patience or 0.0) - self._clock.monotonic()
            if left <= 0:
                raise self._in_vain(obstacle)
            self._line.join(self._id, self._me.name, waits_for, datetime.now(UTC))
            self._joined = True
            telling.about(obstacle, self._place(), left)
            self._clock.sleep(min(PAUSE, left))

    def _in_vain(self, obstacle: BackoutError) -> BackoutError:
        if self.patience:
            waited = f"{duration(self.patience)} were waited for it"
            obstacle.state = "; ".join(each for each in (obstacle.state, waited) if each)
        return obstacle

    def _refuse_to_overtake(self) -> None:
        """Of a waiter on another machine only signs of life are seen."""
        while ahead := self._ahead():
            if any(map(self._line.is_alive, ahead)):
                raise _queued(ahead, self._target)
            self._clock.sleep(PAUSE)

    def _behind(self) -> Held | None:
        ahead = self._ahead()
        return _queued(ahead, self._target) if ahead else None

    def _ahead(self) -> Sequence[Waiter]:
        ahead: list[Waiter] = []
        for each in self._line.waiting():
            if each.id == self._id:
                break
            ahead.append(each)
        return [each for each in ahead if each.waits_for == LOCK]

    def _place(self) -> int:
        """Our place among all who wait, from 1."""
        ids = [each.id for each in self._line.look()]
        return ids.index(self._id) + 1 if self._id in ids else len(ids) + 1


class _Telling:
    """Says what is waited for: at once, when it is something else, and every now and then."""

    def __init__(self, screen: Screen, target: str, clock: Clock) -> None:
        self._screen = screen
        self._target = target
        self._clock = clock
        self._words = ""
        self._next = 0.0
        self._pauses = list(TELL)

    def about(self, obstacle: BackoutError, place: int, left: float) -> None:
        words = f"waiting for {self._target}, number {place} in line: {obstacle.what}"
        now = self._clock.monotonic()
        if words == self._words and now < self._next:
            return
        pause = self._pauses.pop(0) if len(self._pauses) > 1 else self._pauses[0]
        self._words, self._next = words, now + pause
        event = Event(datetime.now(UTC), "note", f"{words}; {duration(left)} left")
        self._screen.listen(event)


def _queued(ahead: Sequence[Waiter], target: str) -> Held:
    first = ahead[0]
    who = f"{first.person} on {first.machine}, since {first.since:%H:%M:%S}Z"
    more = f", and {len(ahead) - 1} more" if len(ahead) > 1 else ""
    return Held(
        f"{who}{more} waits for {target} already",
        where=target,
        state="nothing was changed",
        next="the same command with --wait 15m, which waits in order",
    )
