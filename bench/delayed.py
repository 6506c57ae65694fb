"""A proxy that makes a link longer: every chunk arrives so much later than it was sent, each way,
however many are on their way at once.

As a program it stands before many servers: python delayed.py SECONDS ADDRESS:PORT=TARGET:PORT …
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

Place = tuple[str, int]


class End(asyncio.Protocol):
    """One end of a link. What comes in leaves by the other end, in order and so much later."""

    def __init__(self, seconds: float, target: Place | None = None) -> None:
        self.seconds = seconds
        self.target = target
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[bytes] = deque()
        """On its way out by this end."""
        self.early = b""
        """What came before there was another end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.target:
            self.connecting = asyncio.ensure_future(self.connect(*self.target))

    async def connect(self, address: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        _, far = await loop.create_connection(lambda: End(self.seconds), address, port)
        self.other, far.other = far, self
        if self.early:
            far.later(self.early)

    def data_received(self, data: bytes) -> None:
        if self.other:
            self.other.later(data)
        else:
            self.early += data

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the seam's form
        if self.other:
            self.other.later(b"")

    def later(self, data: bytes) -> None:
        self.waiting.append(data)
        asyncio.get_running_loop().call_later(self.seconds, self.leave)

    def leave(self) -> None:
        data = self.waiting.popleft()
        assert self.transport is not None
        self.transport.write(data) if data else self.transport.close()


async def run(seconds: float, pairs: Iterable[str]) -> None:
    for pair in pairs:
        place, target = (side.rsplit(":", 1) for side in pair.split("="))
        make = partial(End, seconds, (target[0], int(target[1])))
        await asyncio.get_running_loop().create_server(make, place[0], int(place[1]))
    print("ready", flush=True)
    await asyncio.Event().wait()


@contextmanager
def proxies(seconds: float, pairs: Iterable[tuple[Place, Place]]) -> Iterator[None]:
    """Stand before these servers, as a process of its own."""
    words = [f"{a}:{b}={c}:{d}" for (a, b), (c, d) in pairs]
    argv = [sys.executable, __file__, str(seconds), *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(run(float(sys.argv[1]), sys.argv[2:]))
