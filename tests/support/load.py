"""A steady load on one port: so many requests a second, whatever becomes of the earlier ones.

Every other request goes over a connection that is kept, the others over one of their own, and so
does one a second that takes three seconds; and one WebSocket says something all the while. A kept
connection that turns out closed before the answer began is no failure: a client asks again, once,
as RFC 9110 has it, and that is counted. A request over a connection of its own is asked once. A
WebSocket that is closed is opened again, and says again what was not answered.
"""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

PATIENCE = 30.0
"""Seconds that an answer may take."""
BEAT = 0.1
"""Seconds between two words on the WebSocket."""
LOST = (OSError, EOFError, TimeoutError)
"""How a connection ends that was not to end; an incomplete read is an `EOFError`."""


class Closed(Exception):
    """A kept connection was closed before an answer began."""


@dataclass
class Tally:
    """What became of the load, as its client saw it."""

    asked: int = 0
    late: int = 0
    """What was never asked, because this machine had no time for it: it says nothing of anybody."""
    answered: int = 0
    again: int = 0
    """Kept connections that were found closed, whose request was asked again."""
    said: int = 0
    """Words on the WebSocket that came back."""
    reopened: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    span: tuple[float, float] | None = None
    """When the first and the last one failed, in seconds since the load began."""

    @property
    def failed(self) -> int:
        return self.failures.total()

    def fail(self, why: str) -> None:
        self.failures[why[:60]] += 1
        now = time.monotonic() - self.began
        self.span = (self.span[0] if self.span else now, now)

    def __str__(self) -> str:
        words = f"{self.failed} failed of {self.asked}, {self.again} asked again,"
        words += f" WebSocket: {self.said} words, {self.reopened} times opened again"
        words += f", {self.late} never asked" if self.late else ""
        if self.span is None:
            return words
        first, last = self.span
        return f"{words}; {dict(self.failures)} from {first:.1f} to {last:.1f} s"


class Load:
    """Runs from `__enter__` to `__exit__`; then all that was asked has ended."""

    def __init__(self, port: int, rate: float = 200.0, slow: float = 3.0) -> None:
        self.port = port
        self.rate = rate
        self.slow = slow
        self.tally = Tally()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(PATIENCE * 3)

    async def _run(self) -> None:
        talking = asyncio.create_task(self._talk())
        tasks: set[asyncio.Task[None]] = set()
        began = time.monotonic()
        while not self._over.is_set():
            due = int((time.monotonic() - began) * self.rate) - self.tally.late
            if (missed := due - self.tally.asked - int(self.rate)) > 0:
                self.tally.late += missed
                due -= missed
            while self.tally.asked < due:
                tasks.add(task := asyncio.create_task(self._request(self.tally.asked)))
                task.add_done_callback(tasks.discard)
                self.tally.asked += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(talking, *tasks)
        for _, writer in self._idle:
            writer.close()

    # --- requests ------------------------------------------------------------------------

    async def _request(self, number: int) -> None:
        slow = number % max(1, int(self.rate)) == 0
        path = f"/slow/{self.slow}" if slow else "/"
        kept = not slow and number % 2 == 0
        try:
            async with asyncio.timeout(PATIENCE):
                status = await self._ask(path, kept)
        except LOST as error:
            self.tally.fail(f"{type(error).__name__}: {error}")
            return
        if status == "200":
            self.tally.answered += 1
        else:
            self.tally.fail(status)

    async def _ask(self, path: str, kept: bool) -> str:
        if kept and self._idle:
            link = self._idle.pop()
            for _ in range(2):  # what has come in meanwhile is read: it may be its end
                await asyncio.sleep(0)
            try:
                if link[0].at_eof():
                    link[1].close()
                    raise Closed
                return await self._over_link(link, path, kept, reused=True)
            except Closed:
                self.tally.again += 1
        link = await asyncio.open_connection("127.0.0.1", self.port)
        return await self._over_link(link, path, kept)

    async def _over_link(
        self,
        link: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        path: str,
        kept: bool,
        reused: bool = False,
    ) -> str:
        reader, writer = link
        way = "keep-alive" if kept else "close"
        text = f"GET {path} HTTP/1.1\r\nHost: site\r\nConnection: {way}\r\n\r\n"
        try:
            try:
                writer.write(text.encode())
                await writer.drain()
                first = await reader.readuntil(b"\r\n")
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                if reused and not getattr(error, "partial", b""):
                    raise Closed from error
                raise
            heads = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = heads.partition("content-length:")[2].partition("\r\n")[0].strip()
            await reader.readexactly(int(size or 0))
            if kept and "connection: close" not in heads:
                self._idle.append(link)
                link = (reader, None)  # type: ignore[assignment] # it is not ours to close any more
            return first.decode().split()[1]
        finally:
            if link[1] is not None:
                writer.close()

    # --- the WebSocket -------------------------------------------------------------------

    async def _talk(self) -> None:
        """One word after the other; each is said until it comes back."""
        number, opened = 0, 0
        while not self._over.is_set():
            try:
                reader, writer = await self._opened()
            except LOST as error:
                self.tally.fail(f"WebSocket: {type(error).__name__}")
                await asyncio.sleep(BEAT)
                continue
            opened += 1
            self.tally.reopened = opened - 1
            try:
                while not self._over.is_set():
                    word = str(number).encode()
                    async with asyncio.timeout(PATIENCE):
                        if await self._echo(reader, writer, word) != word:
                            raise ConnectionError("closed")
                    number += 1
                    self.tally.said = number
                    await asyncio.sleep(BEAT)
            except LOST:
                pass  # it is opened again, and says the same word again
            finally:
                writer.close()

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            "GET /ws HTTP/1.1\r\nHost: site\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        try:
            async with asyncio.timeout(PATIENCE):
                heads = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in heads.split(b"\r\n")[0]:
                raise ConnectionError(heads.split(b"\r\n")[0].decode())
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _echo(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, word: bytes
    ) -> bytes:
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(word))
        writer.write(bytes((0x81, 0x80 | len(word))) + mask + masked)
        await writer.drain()
        _, size = await reader.readexactly(2)
        return await reader.readexactly(size & 127)
