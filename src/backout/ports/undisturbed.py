"""What this process has for all of its parts, put back when a plug-in has changed it.

The directory that relative paths begin in, the variables that commands are started with, the
streams, and who hears a signal: none of them is a plug-in's to keep. What it adds to the
environment stays, its own libraries may need it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class _Surroundings:
    place: str | None
    variables: dict[str, str]
    out: TextIO
    err: TextIO

    def put_back(self) -> None:
        sys.stdout, sys.stderr = self.out, self.err
        for name, value in self.variables.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        if self.place and _place() != self.place:
            with suppress(OSError):
                os.chdir(self.place)


@dataclass(slots=True)
class _Visits:
    """Plug-ins that are at work: what is put back is how it was before the first of them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    inside: int = 0
    before: _Surroundings | None = None


_VISITS = _Visits()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Around each call of a plug-in, in whichever thread."""
    with _VISITS.lock:
        if not _VISITS.inside or _VISITS.before is None:
            _VISITS.before = _now()
        before = _VISITS.before
        _VISITS.inside += 1
    heard = _heard()
    try:
        yield
    finally:
        with _VISITS.lock:
            _VISITS.inside -= 1
            before.put_back()
        for number, handler in heard.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)


def _now() -> _Surroundings:
    return _Surroundings(_place(), dict(os.environ), sys.stdout, sys.stderr)


def _place() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - as it is, and not as a Path
    except OSError:
        return None


def _heard() -> dict[signal.Signals, Any]:
    """Who hears which signal; only the main thread may change that."""
    mine = threading.current_thread() is threading.main_thread()
    return {number: signal.getsignal(number) for number in _HEARD} if mine else {}
