"""A shell that stays, at the other end of a channel whose link breaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from backout.adapters.transports.captured import Capture, Ran
from backout.adapters.transports.ssh_shell import PersistentShell

MARK = "mark-0123"


class Channel:
    """Says these things on stdout, one at a time; the last may be what Paramiko raises."""

    closed = False
    eof_received = False

    def __init__(self, said: Sequence[bytes | Exception]) -> None:
        self._said = list(said)
        self.sent = b""

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, size: int) -> bytes:
        assert size
        said = self._said.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    def recv_stderr_ready(self) -> bool:
        return False


@pytest.mark.parametrize("error", [EOFError(), OSError("Socket is closed")])
def test_a_link_that_breaks_while_it_is_read_leaves_the_end_unknown(error: Exception) -> None:
    channel: Any = Channel([f"{MARK} 17 run\nso far\n".encode(), error])
    ran = Ran(Capture(MARK), Capture(MARK))
    assert not PersistentShell(channel, MARK, 5).run("text", ran, 5)
    assert (ran.pid, ran.exit_code, ran.timed_out) == (17, None, False)
    assert ran.out.text() == "so far\n"
    assert channel.sent.count(b"bo_run text") == 1
