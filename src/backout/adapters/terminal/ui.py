"""What the person sees: live on a terminal, plain lines elsewhere, log groups in CI.

Everything that reaches a terminal or a log goes through `clean`: a host's output, or a name
somebody chose, cannot move the cursor, colour the screen or speak to the CI runner.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self, TextIO, cast

from backout.adapters.terminal.streams import Enduring, unwritten
from backout.model import Event, duration

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC: titles, links, clipboard
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"
)
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SECRET = re.compile("\ue000([^\ue000\ue001\n]*)\ue001")
_LONG = 10.0
"""A step that takes longer is mentioned while it runs, and again each time this has trebled."""


_HASHES = re.compile(r"##(?=\w*\[)")
"""How commands begin for Azure (`##vso[`), TeamCity (`##teamcity[`) and, of old, GitHub (`##[`),
anywhere in a line."""
_COMMAND = re.compile(r"^([ \t]*)::(?=[^\n]*::)", re.MULTILINE)
"""How they begin for GitHub, in front."""


def clean(text: str) -> str:
    """`text` without anything that a terminal or a CI runner would obey; a secret's reference
    reads as its name."""
    text = _SECRET.sub(r"[secret \1]", text)
    text = _SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _HARMFUL.sub("\N{REPLACEMENT CHARACTER}", text)
    return _COMMAND.sub(r"\1: :", _HASHES.sub("# #", text))


def inert(json: str) -> str:
    """The same JSON, in which no CI runner finds a command."""
    return json.replace("##", r"#\u0023")


def one_line(text: str) -> str:
    """`clean`, on one line."""
    return " ".join(clean(text).split())


def title_of(event: Event) -> str:
    """What is being done, for one line."""
    name = one_line(event.step or event.text)
    return f"undo {name}" if event.kind == "step" and event.phase == "undo" else name


@dataclass(slots=True)
class _Waiting:
    """A step that has begun."""

    event: Event
    since: float
    tell_after: float = _LONG


class Ui:
    """Plain lines, one when a step has ended. Safe to call from any thread."""

    tick_every = 1.0
    live = False

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        json: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.out = cast("TextIO", Enduring(out))
        self.err = cast("TextIO", Enduring(err))
        self.json = json
        self.monotonic = monotonic
        self.lock = threading.RLock()
        self._waiting: dict[tuple[str, str, str], _Waiting] = {}
        self._held: list[Event] | None = None
        self._soon: SimpleQueue[str | None] = SimpleQueue()
        """Errors that wait to be told, from signal handlers; None ends the telling."""
        self._ticker: threading.Thread | None = None

    # --- what others call ----------------------------------------------------------------

    def __enter__(self) -> Self:
        self._ticker = threading.Thread(target=self._tick_on, name="ui", daemon=True)
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._soon.put(None)
        if self._ticker:
            self._ticker.join()
        with self.lock:
            self.finish()

    def close(self) -> None:
        """Nothing more is told. What was lost on stdout is said on stderr."""
        if why := cast("Enduring", self.out).over():
            self.write(self.err, unwritten(clean(why)))
        cast("Enduring", self.err).over()

    def listen(self, event: Event) -> None:
        """Something happened."""
        with self.lock:
            if self._held is None:
                self.hear(event)
            else:
                self._held.append(event)

    def print(self, text: str) -> None:
        """The result, on stdout: a report, or with `--json` the one object."""
        with self.lock:
            self.finish()
            self.write(self.out, inert(text) if self.json else clean(text))

    def error(self, text: str) -> None:
        """An error, on stderr."""
        with self.lock:
            self.finish()
            self.write(self.err, clean(text))

    def error_soon(self, text: str) -> None:
        """An error, from a signal handler: whoever it interrupted may be in the middle of
        writing, so somebody else tells it."""
        self._soon.put(text)

    @contextmanager
    def pause(self) -> Iterator[TextIO]:
        """Stand still while the person is asked something; gives the stream to ask on. What
        happens meanwhile is told afterwards, and nobody who tells it has to wait."""
        with self.lock:
            self.stand_still()
            self._held = []
        try:
            yield self.progress
        finally:
            with self.lock:
                held, self._held = self._held, None
                for event in held:
                    self.hear(event)

    # --- what the kinds of screen do differently -------------------------------------------

    @property
    def progress(self) -> TextIO:
        """Where events go: never where the one JSON object goes."""
        return self.err if self.json else self.out

    def hear(self, event: Event) -> None:
        if event.kind in ("output", "saying"):
            self._write_lines(event)
            return
        key = (event.host, event.step or event.text, event.phase)
        if event.kind == "step" and event.state == "running":
            self._waiting[key] = _Waiting(event, self.monotonic())
            return
        self._waiting.pop(key, None)
        self._write_lines(event)

    def _write_lines(self, event: Event) -> None:
        for line in lines_of(event):
            self.write(self.progress, line)

    def finish(self) -> None:
        """Nothing more is about to happen to what was begun on the screen."""

    def mark(self, text: str) -> None:
        """A line that is meant for the CI runner; nobody reads it elsewhere."""

    def stand_still(self) -> None:
        """Leave the place below what is shown to somebody else."""

    def tick(self) -> None:
        """Mention what has been running for long."""
        for each in self._waiting.values():
            running = self.monotonic() - each.since
            if running >= each.tell_after:
                each.tell_after *= 3
                told = f"{_place(each.event)}{title_of(each.event)} … still running"
                self.write(
                    self.progress, f"{_clock(datetime.now(UTC))} {told} ({duration(running)})"
                )

    def _tick_on(self) -> None:
        while (text := self._await()) is not None:
            with self.lock:
                if text:
                    self.error(text)
                elif self._held is None:
                    self.tick()

    def _await(self) -> str | None:
        try:
            return self._soon.get(timeout=self.tick_every)
        except Empty:
            return ""

    def write(self, stream: TextIO, text: str) -> None:
        """One write per text, so that lines of several threads do not mix."""
        encoding = stream.encoding or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
        stream.write(f"{text}\n")
        stream.flush()


def lines_of(event: Event) -> list[str]:
    """An event as plain, timestamped lines."""
    at, place, title = _clock(event.at), _place(event), title_of(event)
    match event.kind:
        case "state" | "saying":
            return []
        case "output":
            return [f"{at} {place}| {clean(event.text).rstrip()}"]
        case "phase" | "batch":
            return [f"{at} == {title}"]
        case "warning":
            return [f"{at} {place}WARNING: {title}"]
        case "note":
            return [f"{at} {place}{title}"]
    name = f"check {title}" if event.kind == "check" else title
    took = f" ({duration(event.seconds)})" if event.seconds else ""
    first = f"{at} {place}{name} … {event.state}{took}"
    return [first, *(f"    {line}" for line in clean(event.detail).strip().splitlines())]


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%H:%M:%SZ")


def _place(event: Event) -> str:
    return f"{one_line(event.host)}  " if event.host else ""


# --- CI ------------------------------------------------------------------------------------


class GroupedUi(Ui):
    """Plain lines in one log group per phase."""

    def __init__(self, out: TextIO, err: TextIO, *, json: bool = False) -> None:
        super().__init__(out, err, json=json)
        self._groups = 0
        self._open = ""

    def hear(self, event: Event) -> None:
        if event.kind not in ("phase", "batch"):
            super().hear(event)
            return
        self.finish()
        self._groups += 1
        self._open = f"backout_{os.getpid()}_{self._groups}"
        self.mark(self.begin(self._open, title_of(event)))

    def finish(self) -> None:
        if self._open:
            self.mark(self.end(self._open))
        self._open = ""

    def mark(self, text: str) -> None:
        """A line that is meant for the CI runner."""
        super().write(self.progress, text)

    def begin(self, group: str, title: str) -> str:
        raise NotImplementedError

    def end(self, group: str) -> str:
        raise NotImplementedError


class GitHubUi(GroupedUi):
    """`::group::`. A line of somebody else's that looks like a command is defused."""

    def begin(self, group: str, title: str) -> str:  # noqa: ARG002 - groups have no id here
        return f"::group::{title}"

    def end(self, group: str) -> str:  # noqa: ARG002
        return "::endgroup::"

    def write(self, stream: TextIO, text: str) -> None:
        if not self.json or stream is not self.out:
            text = re.sub(r"^(\s*):(?=:)", r"\1: ", text, flags=re.MULTILINE)
            text = text.replace("##[", "## [")
        super().write(stream, text)


class GitLabUi(GroupedUi):
    """`section_start` and `section_end`, with ids that are unique within the job."""

    def begin(self, group: str, title: str) -> str:
        return f"\x1b[0Ksection_start:{int(time.time())}:{group}\r\x1b[0K{title}"

    def end(self, group: str) -> str:
        return f"\x1b[0Ksection_end:{int(time.time())}:{group}\r\x1b[0K"


def choose(
    stream: TextIO, json: bool, environ: Mapping[str, str], *, err: TextIO | None = None
) -> Ui:
    """The screen that suits where the output goes. `stream` is stdout."""
    import sys

    err = err or sys.stderr
    if environ.get("GITHUB_ACTIONS") == "true":
        return GitHubUi(stream, err, json=json)
    if environ.get("GITLAB_CI") == "true":
        return GitLabUi(stream, err, json=json)
    dumb = environ.get("TERM", "dumb") in ("", "dumb", "unknown")
    utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    if json or dumb or not utf8 or not stream.isatty():
        return Ui(stream, err, json=json)
    from backout.adapters.terminal.live import Screen

    return Screen(stream, err, color=not environ.get("NO_COLOR"))
