"""Paramiko's channels, with an end to every wait."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator

import paramiko

from backout.adapters.transports.captured import Ran

PIECE = 128 * 1024
QUIET = 0.3
"""How long a finished command's output may stay open, held by a child it left behind."""


def gather(channel: paramiko.Channel, ran: Ran, deadline: float) -> bool:
    """Read both streams until the command has ended; False when the deadline came first."""
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        over = channel.eof_received or channel.closed
        while channel.recv_ready():
            ran.out.feed(channel.recv(65536))
        while channel.recv_stderr_ready():
            ran.err.feed(channel.recv_stderr(65536))
        left = deadline - time.monotonic()
        if over:
            return channel.status_event.wait(max(0.0, left))
        if left <= 0:
            return False
        ended = channel.exit_status_ready()  # before it is listened to: so nothing is missed
        if not poll.poll(min(left, QUIET) * 1000) and ended:
            return True


class Answer(threading.Event):
    """Paramiko waits for the answer to a request without end. Here the wait has one, after
    which Paramiko finds that there is no answer and raises."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, but not for ever."""
        if not super().wait(timeout or self._patience):
            self.set()
        return True


def pieces(data: bytes) -> Iterator[bytes]:
    """Paramiko copies all that is left for every packet that it sends."""
    return (data[at : at + PIECE] for at in range(0, len(data), PIECE))
