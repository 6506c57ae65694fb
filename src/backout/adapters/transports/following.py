"""What a command says while it runs.

Its output goes into files on its machine, so that a cut link breaks nothing; somebody who looks
has a reader beside it, about once a second. What the reader cannot see it leaves out: the command,
and the run, know nothing of it.
"""

from __future__ import annotations

import re
import threading
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from typing import Protocol

from backout.adapters.transports.captured import KEPT
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.vault import Vault
from backout.model import Event
from backout.ports import Listener

EVERY = 1.0
"""Seconds between two looks at a command, and before the first."""
SHARE = 4
"""A round of looks may take this part of the time, no more."""
END = 2048
"""Bytes of a stream in which its last line is looked for."""
_OURS = b"=== "
"""What stands behind such a line a command tells Backout, and nobody else."""
AT_THE_END = 64
"""So many full looks are made for what a command that has ended still wrote."""

Look = Callable[[int, int], tuple[bytes, bytes] | None]
"""What stands in either stream beyond so many bytes; see `ShellTransport.written`."""
Tell = Callable[[str, str], None]
"""An event's kind and its text."""


class Follower:
    """Tells a listener what commands say: every line (`whole`), or only the last one so far."""

    def __init__(self, tell: Listener, vault: Vault, *, whole: bool) -> None:
        self._tell = tell
        self._vault = vault
        self._whole = whole
        self._readers: list[_Reader] = []
        self._guard = threading.Lock()
        self._looking = False

    @contextmanager
    def follow(self, host: str, transport: ShellTransport, key: str, title: str) -> Iterator[None]:
        """While this is held, the command of `key` is looked at."""

        def tell(kind: str, text: str) -> None:
            self._tell(Event(datetime.now(UTC), kind, text, step=title, host=host))

        look = partial(transport.written, key)
        reader: _Reader = _Lines(look, tell, self._vault) if self._whole else _LastLine(look, tell)
        with self._guard:
            self._readers.append(reader)
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._look_on, name="follow", daemon=True).start()
        try:
            yield
        finally:
            with self._guard:
                self._readers.remove(reader)
            reader.end()

    def _look_on(self) -> None:
        """Until nothing is at work any more."""
        pause = EVERY
        while True:
            time.sleep(pause)
            with self._guard:
                readers = tuple(self._readers)
                self._looking = bool(readers)
            if not readers:
                return
            began = time.monotonic()
            for reader in readers:
                reader.look()
            pause = max(EVERY, (time.monotonic() - began) * SHARE)


class _Reader(Protocol):
    """Of one command."""

    def look(self) -> None:
        """Tell what there is to tell now."""

    def end(self) -> None:
        """The command has ended."""


class _LastLine:
    """Whole lines only, for half a secret is not known for one. Where both streams have news,
    what stands on stdout is the news."""

    def __init__(self, look: Look, tell: Tell) -> None:
        self._look = look
        self._tell = tell
        self._told = [b"", b""]
        self._over = False

    def look(self) -> None:
        ends = self._look(-END, -END) or (b"", b"")
        for n in (1, 0):
            last = _last_line(ends[n])
            if last and last != self._told[n] and not self._over:
                self._told[n] = last
                self._tell("saying", last.decode(errors="replace"))

    def end(self) -> None:
        self._over = True


def _last_line(data: bytes) -> bytes:
    """The last whole line that says something; what stands in front may be torn off."""
    lines = _LINE_END.split(data)
    whole = lines[1:-1] if len(data) >= END else lines[:-1]
    told = takewhile(lambda line: not line.startswith(_OURS), whole)
    return next((line for line in reversed([*told]) if line.strip()), b"")


_LINE_END = re.compile(rb"[\r\n]+")


class _Lines:
    """Every line of both streams; at the end, what stands there without a line's end, too."""

    def __init__(self, look: Look, tell: Tell, vault: Vault) -> None:
        self._look = look
        self._streams = (_Stream(tell, vault), _Stream(tell, vault))
        self._turn = threading.Lock()
        self._over = False

    def look(self) -> None:
        with self._turn:
            if not self._over:
                self._read()

    def end(self) -> None:
        with self._turn:
            self._over = True
            for _ in range(AT_THE_END):
                if not self._read():
                    break
            for stream in self._streams:
                stream.flush()

    def _read(self) -> bool:
        """Whether there may be more already."""
        out, err = self._streams
        news = self._look(out.size, err.size)
        if news is None:
            return False
        for stream, data in zip(self._streams, news, strict=True):
            stream.feed(data)
        return any(len(data) >= KEPT for data in news)


class _Stream:
    """One stream as lines, without secrets."""

    def __init__(self, tell: Tell, vault: Vault) -> None:
        self.size = 0
        self._tell = tell
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._redacted = vault.stream()
        self._rest = ""

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._show(self._redacted.feed(self._decode(data)))

    def flush(self) -> None:
        """Nothing more will come."""
        self._show(self._redacted.flush())
        if self._rest:
            self._tell("output", self._rest)

    def _show(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._tell("output", _last_drawn(line))


def _last_drawn(line: str) -> str:
    """What a terminal would show in the end where a line is drawn over itself."""
    drawn = [part for part in line.split("\r") if part.strip()]
    return drawn[-1] if drawn else ""
