"""The first signal stops a run, the second leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backout.errors import Refused
from backout.ports import Screen
from backout.runs.decisions import Stop


@contextmanager
def interruptible(stop: Stop, screen: Screen, going_on: Callable[[], str]) -> Iterator[None]:
    """From before a run is on record until all of its end is. The first signal stops the run,
    which backs out; the second leaves at once, and says what goes on with it. Beside the main
    thread, signals are another's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: object) -> None:
        name = {signal.SIGINT: "Ctrl-C"}.get(signal.Signals(number), signal.Signals(number).name)
        if stop.reason:
            stop.leave()
            leave(screen, going_on())
        stop(f"interrupted by {name}")
        if screen.operator.asking:
            raise Refused(f"not confirmed: interrupted by {name}")
        screen.interrupted()

    before = [(number, signal.signal(number, handle)) for number in ending()]
    try:
        yield
    finally:
        screen.over()
        for number, handler in before:
            signal.signal(number, handler)


def ending() -> tuple[signal.Signals, ...]:
    """The signals that end a process. Under `nohup` a terminal that goes away is none of them."""
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if nohup else (signal.SIGHUP,)))


def leave(screen: Screen, going_on: str) -> None:
    """At once, with the journal as it is."""
    state = "the run is journaled; commands that had started may still be running"
    screen.left(
        "interrupted twice: left at once",
        state=state if going_on else "nothing was changed",
        next=going_on or "the same command again",
    )
    os._exit(8)


@contextmanager
def heard() -> Iterator[list[str]]:
    """Meanwhile a signal ends nothing: its name is in the list, for whoever looks. Beside the main
    thread, signals are another's."""
    names: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield names
        return

    def handle(number: int, _frame: object) -> None:
        names.append(signal.Signals(number).name)

    before = [(number, signal.signal(number, handle)) for number in ending()]
    try:
        yield names
    finally:
        for number, handler in before:
            signal.signal(number, handler)
