"""A TCP proxy that can cut, stall, delay and refuse the connections through it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from . import ports
from .bed import Bed

T = TypeVar("T")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy(Bed):
    """Forwards `address:port` to a target. `delay` holds each chunk back by that many seconds.
    What has the words of `losing` in it arrives, and its answer is lost with the link; once."""

    def __init__(self, target: tuple[str, int], address: str = "127.0.0.1") -> None:
        self.target = target
        self.address = address
        self.port = ports.free_port([address])
        self.delay = 0.0
        self.losing = b""
        self.accepted = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._links: set[asyncio.Task[None]] = set()

    def start(self) -> Self:
        """Listen and forward."""
        self._flowing.set()
        self._thread.start()
        self.accept()
        return self

    def stop(self) -> None:
        """Cut every connection and end the proxy."""
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        ports.release(self.port)

    def accept(self) -> None:
        """Listen (again)."""
        self._await(self._open())

    def refuse(self) -> None:
        """Refuse new connections; the open ones go on."""
        self._await(self._close())

    def cut(self) -> None:
        """Reset every open connection."""
        self._await(self._cut())

    def stall(self) -> None:
        """Accept, and pass nothing on: the far side seems to have gone silent."""
        self._call(self._flowing.clear)

    def flow(self) -> None:
        """Pass on again what was stalled."""
        self._call(self._flowing.set)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _call(self, function: Callable[[], object]) -> None:
        async def call() -> None:
            function()

        self._await(call())

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.address, self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _cut(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        writers = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            writers.append(far_writer)
            lost = asyncio.Event()
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, far_writer, lost, forth=True))
                pumps.create_task(self._pump(far_reader, writer, lost))
        except asyncio.CancelledError:
            for each in writers:
                _reset(each)
        except (OSError, BaseExceptionGroup):
            pass
        finally:
            self._links.discard(task)
            for each in writers:
                each.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        lost: asyncio.Event,
        *,
        forth: bool = False,
    ) -> None:
        while data := await source.read(65536):
            await self._flowing.wait()
            if forth and self.losing and self.losing in data:
                self.losing = b""
                lost.set()
            elif lost.is_set() and not forth:
                raise OSError("the answer is lost")
            if self.delay:
                await asyncio.sleep(self.delay)
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
