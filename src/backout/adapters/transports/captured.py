"""What was seen of a shell on a machine: its words, its output within bounds, and its end."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import lru_cache

from backout.model import Result, State
from backout.model.values import Partial, cut

KEPT = 128 * 1024
"""How many bytes of a stream's head, and how many of its tail, are kept."""

LINE = 4096
"""In how many bytes a line's end is looked for."""
REASON = 200
"""So many characters of a command's last line say why it failed."""


class Capture:
    """One stream: what follows the mark, its head and its tail."""

    def __init__(self, mark: str) -> None:
        self.words: tuple[str, ...] = ()
        """What stood behind the mark; empty until it was seen."""
        self.size = 0
        self._mark = _line_of(mark)
        self._before = b""
        self._head = bytearray()
        self._tail = bytearray()

    def begin(self) -> None:
        """No mark is to be waited for: the next byte is the command's."""
        self.words = ("begun",)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self.words:
            data = self._begin(data)
        self.size += len(data)
        room = KEPT - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 4 * KEPT:
            del self._tail[:-KEPT]

    def _begin(self, data: bytes) -> bytes:
        self._before += data
        found = self._mark.match(self._before)
        if not found:
            self._before = self._before[-4096:]
            return b""
        self.words = tuple(found[1].decode().split())
        data, self._before = self._before[found.end() :], b""
        return data

    def replace_tail(self, size: int, tail: bytes) -> None:
        """Put the true end of a stream of `size` bytes behind the head."""
        self.size = size
        self._tail = bytearray(tail[-(size - len(self._head)) :] if size > len(self._head) else b"")

    def kept(self) -> bytes:
        """The bytes that were kept, without a word about those that were not."""
        return bytes(self._head + self._tail[-KEPT:])

    def packed(self) -> tuple[tuple[str, ...], int, bytes, bytes, bytes]:
        """All that is known of it: somebody else saw the stream, and hands it on."""
        return self.words, self.size, self._before, bytes(self._head), bytes(self._tail[-KEPT:])

    @classmethod
    def unpacked(
        cls, words: tuple[str, ...], size: int, before: bytes, head: bytes, tail: bytes
    ) -> Capture:
        """What `packed` gave."""
        made = cls("")
        made.words, made.size, made._before = words, size, before
        made._head, made._tail = bytearray(head), bytearray(tail)
        return made

    @property
    def preamble(self) -> str:
        """What came instead of the mark."""
        return self._before.decode(errors="replace").strip()

    def text(self) -> str:
        """The stream as text; it says how much is left out."""
        tail = self._tail[-KEPT:]
        left = self.size - len(self._head) - len(tail)
        if left <= 0:
            return _decoded(self._head + tail)
        tail = _from_a_line(tail)
        left = self.size - len(self._head) - len(tail)
        return Partial(f"{_decoded(self._head)}…\n… {left} bytes left out …\n{_decoded(tail)}")


@lru_cache
def _line_of(mark: str) -> re.Pattern[bytes]:
    """What a mark says, and whatever came before it."""
    return re.compile(rb"(?:^|.*?\n?)" + mark.encode() + rb" ([^\n]*)\n", re.DOTALL)


def _from_a_line(tail: bytearray) -> bytearray:
    """Without the line that it begins in the middle of: half a secret is not known for one. (Where
    the head ends, a `…` says that it was cut.)"""
    return tail[tail.find(b"\n", 0, LINE) + 1 :]


def _decoded(data: bytes | bytearray) -> str:
    """What a machine says is never a reference to a secret, whatever it looks like."""
    text = data.decode(errors="replace")
    return text if text.isascii() else text.translate(_NO_REFERENCE)


_NO_REFERENCE = {0xE000: 0xFFFD, 0xE001: 0xFFFD}


@dataclass(slots=True)
class Ran:
    """What was seen of one shell on the machine."""

    out: Capture
    err: Capture
    exit_code: int | None = None
    """None when the end was not seen."""
    cut: str = ""
    """Why the end was not seen."""
    timed_out: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        """The leader of its process group, 0 when it never spoke."""
        return int(self.out.words[0]) if self.out.words else 0

    @property
    def word(self) -> str:
        """What the shell said that it would do."""
        return self.out.words[1] if len(self.out.words) > 1 else ""

    @property
    def about(self) -> str:
        """What the word is about: a process group; for `fenced`, the run that holds the host."""
        return self.out.words[2] if len(self.out.words) > 2 else ""

    def unknown(self, why: str) -> Result:
        """The result of a command whose end nobody saw."""
        return self._result(State.UNKNOWN, None, why)

    def not_started(self, why: str) -> Result:
        """The result of a command that the machine refused to start."""
        return self._result(State.FAILED, None, why)

    def ended(self) -> Result:
        """The result of a command whose exit status is known."""
        if self.exit_code == 0:
            return self._result(State.DONE, 0, "")
        last = cut(self.err.text().strip().rpartition("\n")[2], REASON)
        why = f"exited {self.exit_code}" + (f": {last}" if last else "")
        return self._result(State.FAILED, self.exit_code, why)

    def _result(self, state: State, exit_code: int | None, reason: str) -> Result:
        return Result(
            state=state,
            exit_code=exit_code,
            stdout=self.out.text(),
            stderr=self.err.text(),
            reason=reason,
            seconds=time.monotonic() - self.began,
        )
