"""Hosts that are called before they are needed, beside what else there is to do meanwhile."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from backout.ports import Transport

AT_ONCE = 16
"""How many hosts are called at the same time."""

Way = tuple[Any, ...]
"""All that a connection is made of; the host comes first."""


@dataclass(frozen=True, slots=True)
class _Call:
    way: Way
    answer: Future[Transport] = field(default_factory=Future)


class Ahead:
    """Connections on their way. Whoever needs one takes it, with what became of it; nobody waits
    for those that are not needed after all."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    def call(self, ways: Iterable[Way], connect: Callable[..., Transport]) -> None:
        """Begin to `connect(*way)` to hosts that were not called yet."""
        fresh = [_Call(way) for way in ways if way[0].name not in self._calls]
        self._calls |= {call.way[0].name: call for call in fresh}
        waiting = deque(fresh)
        for _ in fresh[:AT_ONCE]:
            threading.Thread(target=_work, args=(waiting, connect), daemon=True).start()

    def take(self, way: Way) -> Transport | None:
        """What was called by exactly this way, once it is there; None where nobody has begun to.
        Raises Unreachable."""
        call = self._calls.pop(way[0].name, None)
        if call is None or call.answer.cancel():
            return None
        if call.way != way:
            _let_go(call)
            return None
        return call.answer.result()

    def close(self) -> None:
        """Let go of what nobody took."""
        while self._calls:
            _let_go(self._calls.popitem()[1])


def _work(waiting: deque[_Call], connect: Callable[..., Transport]) -> None:
    while waiting:
        try:
            call = waiting.popleft()
        except IndexError:  # another thread was faster
            return
        if call.answer.set_running_or_notify_cancel():
            try:
                call.answer.set_result(connect(*call.way))
            except Exception as error:  # noqa: BLE001 - whoever takes it is to have it
                call.answer.set_exception(error)


def _let_go(call: _Call) -> None:
    if not call.answer.cancel():
        call.answer.add_done_callback(_hang_up)


def _hang_up(answer: Future[Transport]) -> None:
    if answer.exception() is None:
        answer.result().close()
