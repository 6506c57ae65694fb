"""A ProxyCommand, as the end of a link: how it ended, and what it said of it.

Paramiko's own waits through the whole timeout for a program that is gone, turning, and never reads
what it says: one that says much stands still.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from time import monotonic
from typing import Any

import paramiko
from paramiko.ssh_exception import ProxyCommandFailure

LONGEST = 500
"""Bytes of its last words that are kept."""
LAST_WORDS = 1.0
"""Seconds for them, once it sends nothing more: a child of its own may hold them open."""


class Proxy(paramiko.ProxyCommand):
    """A program that was started, with what Paramiko asks of a socket."""

    def __init__(self, begun: paramiko.ProxyCommand) -> None:
        self.cmd, self.process, self.timeout = begun.cmd, begun.process, begun.timeout
        ends = (self.process.stdin, self.process.stdout, self.process.stderr)
        self._in, self._out, self._err = (end.fileno() for end in ends if end)
        self._said, self._heard = b"", False
        self._poll = select.poll()
        for end in (self._out, self._err):
            self._poll.register(end, select.POLLIN)
        os.set_blocking(self._err, False)  # who sends and who receives both hear it out at its end

    def send(self, content: Any) -> int:
        """Raises ProxyCommandFailure where it has ended."""
        try:
            return os.write(self._in, content)
        except OSError as error:
            raise self._failure() from error

    def recv(self, size: int) -> bytes:
        """What has come, and nothing at the end. Raises TimeoutError, and ProxyCommandFailure where
        it ends before anything has come."""
        left = _until(self.timeout)
        while self._out not in self._ready(left()):
            if left() == 0:
                raise TimeoutError
        got = os.read(self._out, size)
        if not (got or self._heard):
            raise self._failure()
        self._heard = True
        return got

    def _ready(self, seconds: float | None) -> list[int]:
        """The ends that have something, or are over, within that time; what it says is kept."""
        found = self._poll.poll(None if seconds is None else seconds * 1000)
        ready = [end for end, _ in found]
        if self._err in ready and not self._hears():
            self._poll.unregister(self._err)
        return ready

    def _hears(self) -> bool:
        """Keeps what it says; whether it may say more."""
        try:
            words = os.read(self._err, 4096)
        except BlockingIOError:  # the other one has just read it
            return True
        self._said = (self._said + words)[-LONGEST:]
        return bool(words)

    def _failure(self) -> ProxyCommandFailure:
        last, left = select.poll(), _until(LAST_WORDS)
        last.register(self._err, select.POLLIN)
        while last.poll((left() or 0) * 1000) and left() and self._hears():
            pass
        words = " ".join(self._said.decode(errors="replace").split())
        return ProxyCommandFailure(" ".join(self.cmd), words or "it ended, and said nothing")


def _until(seconds: float | None) -> Callable[[], float | None]:
    """Says how much is left of some seconds; None where that is no matter."""
    end = None if seconds is None else monotonic() + seconds
    return lambda: None if end is None else max(0.0, end - monotonic())
