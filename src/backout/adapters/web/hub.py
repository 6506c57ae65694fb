"""What changes, to everybody who watches it: looked at once, however many there are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass

PACE = 1.0
"""Seconds between two looks."""
QUIET = 15.0
"""After so many seconds without news a sign of life is sent."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page that changes, and whether nothing more will come."""

    html: str
    over: bool = False


class _Channel:
    def __init__(self) -> None:
        self.readers = 0
        self.version = 0
        self.seen: Hashable = None
        self.part: Part | None = None
        self.body = b""
        self.news = asyncio.Event()


class Hub:
    """The channels, by the path of their page. `render` is asked in a thread of its own, and only
    when `changed` has another answer than before."""

    def __init__(
        self, render: Callable[[str], Part | None], changed: Callable[[], Hashable]
    ) -> None:
        self._render, self._changed = render, changed
        self._channels: dict[str, _Channel] = {}
        self._task: asyncio.Task[None] | None = None

    async def follow(self, path: str) -> AsyncIterator[bytes]:
        """Events for one reader: the part as it is, and again when it is another one."""
        channel = self._channels.setdefault(path, _Channel())
        channel.readers += 1
        self._wake()
        seen = 0
        try:
            while True:
                if channel.version != seen:
                    seen = channel.version
                    yield channel.body
                    if channel.part is None or channel.part.over:
                        return
                news = channel.news
                try:
                    await asyncio.wait_for(news.wait(), QUIET)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            channel.readers -= 1
            if not channel.readers:
                self._channels.pop(path, None)

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while self._channels:
            try:
                now: Hashable = await asyncio.to_thread(self._changed)
            except Exception:  # noqa: BLE001 - a ledger that is away comes back; readers wait
                now = None
            for path, channel in list(self._channels.items()):
                if channel.version == 0 or (now is not None and now != channel.seen):
                    channel.seen = now
                    await self._show(path, channel)
            await asyncio.sleep(PACE)

    async def _show(self, path: str, channel: _Channel) -> None:
        try:
            part = await asyncio.to_thread(self._render, path)
        except Exception:  # noqa: BLE001 - likewise
            return
        if channel.version and part == channel.part:
            return
        channel.part, channel.version = part, channel.version + 1
        kind = "over" if part is None or part.over else "part"
        data = json.dumps(part.html if part else "")
        channel.body = f"event: {kind}\ndata: {data}\n\n".encode()
        channel.news, waiting = asyncio.Event(), channel.news
        waiting.set()
