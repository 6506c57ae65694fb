"""Shell text: the one place where it is composed and quoted, and its answers are read.

Every command runs in a POSIX shell of its own. That shell first says `MARK PID WORD` on both
streams, so that whatever a login shell printed before is dropped and a timeout can end the
process group that PID leads; where a shell stays (`bo_kept`), stderr needs no such mark.

A command with a key runs under a *note*, files beside the host's lease::

    notes/RUN/boot          made once, when the run first comes to the machine: in which boot
    notes/RUN/KEY.start     pid, boot id and start time of the shell and the step's name, written
                            before anything runs; or the word `void`: it never will
    notes/RUN/KEY.out .err  the output, in files, so that a cut link breaks no pipe
    notes/RUN/KEY.end       the exit status and the word `end`, in one write
    notes/RUN/KEY.void      whoever asked was told that it never began
    notes/RUN/mirror        what the run has on record that concerns this host, a line each

The `.start` is made exclusively: the same key runs once at most. The programs are `adapters/shell`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shlex
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from backout.adapters.programs import program
from backout.adapters.transports.captured import KEPT
from backout.errors import Refused
from backout.model import Command

GRACE = 2.0
"""How long a process group that was asked to end is waited for before it is killed."""
PATIENT_TENTHS = round(GRACE * 10)
LOOK = 30.0
"""The timeout of our own short commands."""
MARK = f"backout-{secrets.token_hex(6)}"
"""What stands before the words of our own on a stream; nobody else can know it."""

quote = shlex.quote

SEPARATE = re.compile(r"\$\$|\$\{\$|(?<![&<>])&(?![&>])|\bkill\b")
"""What in a script asks for a process of its own: `$$`, something in the background, signals."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def path(text: str) -> str:
    """A path as shell text; one that is relative, or begins with `~/`, starts at home."""
    if text.startswith("/"):
        return quote(text)
    rest = text.removeprefix("~").strip("/")
    return f'"${{HOME:-/}}"/{quote(rest)}' if rest else '"${HOME:-/}"'


def note_names(key: str) -> tuple[str, str]:
    """The directory and the file name, both flat and safe, of the note of `run/rest`."""
    run, _, rest = key.partition("/")
    return run_name(run), _flat(rest)


def run_name(run: str) -> str:
    """The directory below `notes` that holds a run's notes."""
    return _flat(run)


def _flat(text: str) -> str:
    flat = _UNSAFE.sub("_", text).lstrip(".")[:80]
    return flat if flat == text else f"{flat}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


# --- what runs on the machine ------------------------------------------------------------

LIBRARY = program("note")
"""What every text about a note begins with, so that a shell that stays need be told it once."""


def _assign(**values: str) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items()) + "\n"


def _body(command: Command, env: Iterable[tuple[str, str]]) -> str:
    """The command proper: strict, in its directory, with its environment."""
    lines = ["set -e"]
    if command.cwd:
        lines.append(f"cd -- {path(command.cwd)} >/dev/null")
    for name, value in env:
        if not _NAME.fullmatch(name):
            raise Refused(f"{name!r} is not a name for an environment variable")
        lines.append(f"export {name}={quote(value)}")
    lines.append(f"eval {quote(command.script)}")
    return "\n".join(lines)


def _whole(text: str) -> str:
    """A shell parses all of a group before it runs any of it: a torn script runs nothing."""
    return f"{{ {text}\nexit; }} </dev/null\n"


@dataclass(frozen=True, slots=True)
class Fence:
    """The lease that a command which changes something runs under."""

    token: str = ""
    """Empty where none is asked for."""
    ttl: float = 60.0
    run: str = ""


class Luggage:
    """Lines for a host's mirror, which go along with the next command that changes it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._guard = threading.Lock()

    def add(self, lines: Iterable[str]) -> None:
        with self._guard:
            self._lines += lines

    def waiting(self) -> Sequence[str]:
        with self._guard:
            return tuple(self._lines)

    def arrived(self, lines: Sequence[str]) -> None:
        """These were written there. Lines that were lost on the way go again, and a line that
        arrives twice says nothing else than once."""
        with self._guard:
            if self._lines[: len(lines)] == list(lines):
                del self._lines[: len(lines)]


def plain(
    command: Command,
    env: Iterable[tuple[str, str]],
    mark: str,
    home: str = "",
    fence: Fence | None = None,
    lines: Sequence[str] = (),
) -> str:
    """A command that leaves no note: it only reads, or changes something under the `fence` that
    is as it was when it is done twice."""
    said = f'echo {mark} $$ read; [ "$bo_kept" ] || echo {mark} $$ >&2'
    if fence:
        folder = path(f"{home}/notes/{run_name(fence.run)}")
        given = _assign(bo_mark=mark, bo_folder=folder) + _lease(fence, home, "", lines)
        refusals = "bo_ours || { bo_say fenced $bo_pid; exit 1; }\n"
        refusals += "bo_keep || { bo_say full; exit 1; }\n" if lines else ""
        said = f"{given}{LIBRARY}{refusals}{said}"
    if command.puts:
        staged = f'({_body(command, env)}\n) >"$bo_new" && bo_put {command.puts}'
        return _whole(f"{said}\nbo_stage {command.puts}; {staged}")
    return _whole(f"{said}\n{_body(command, env)}")


def noted(
    command: Command,
    env: Iterable[tuple[str, str]],
    mark: str,
    home: str,
    fence: Fence,
    lines: Sequence[str] = (),
) -> str:
    """A command that changes something, under its note; first the `lines` are in the mirror."""
    step = command.title or command.key.partition("/")[2] or command.key
    given = _note(command.key, mark, home) + _lease(fence, home, " ".join(step.split()), lines)
    wait = _assign(bo_wait=str(ceil(command.timeout)))
    return _whole(
        f"{given}{wait}{LIBRARY}bo_begin; bo_say $bo_word $bo_pid\n"
        f"case $bo_word in\nrun)\n"
        f'({_body(command, env)}\n) >"$bo_note.out" 2>"$bo_note.err"\nbo_code=$?\n'
        "bo_end ;;\n"
        "ended) ;;\n*) exit 1 ;;\nesac\nbo_show\nexit $bo_code"
    )


def recall(key: str, mark: str, home: str) -> str:
    """What the note of `key` says."""
    return _whole(f"{_note(key, mark, home)}{LIBRARY}{program('recall')}")


def rest(key: str, stream: str, home: str) -> str:
    """The size and the tail of a noted stream (`out` or `err`)."""
    directory, name = note_names(key)
    file = path(f"{home}/notes/{directory}/{name}.{stream}")
    return f"wc -c <{file}; tail -c {KEPT} {file}"


def since(key: str, out: int, err: int, home: str) -> str:
    """What a noted command has written on either stream beyond that many bytes; of each no more
    than `KEPT`. A negative count is that many bytes before the end."""
    directory, name = note_names(key)
    note = path(f"{home}/notes/{directory}/{name}")

    def read(stream: str, at: int) -> str:
        begin = f"+{at + 1}" if at >= 0 else str(at)
        return f"tail -c {begin} -- {note}.{stream} 2>/dev/null | head -c {KEPT}"

    return f"{read('out', out)}; {read('err', err)} >&2"


def end_group(pid: int) -> str:
    """End a process group: asked first, killed after a grace."""
    return f"{program('end_group')}bo_end_group {pid} {PATIENT_TENTHS}\n"


def _note(key: str, mark: str, home: str) -> str:
    directory, name = note_names(key)
    folder = path(f"{home}/notes/{directory}")
    note = f"{folder}/{quote(name)}"
    return _assign(bo_mark=mark, bo_folder=folder, bo_note=note, bo_limit=str(KEPT + 1))


def _lease(fence: Fence, home: str, step: str, lines: Sequence[str]) -> str:
    return _assign(
        bo_token=quote(fence.token),
        bo_ttl=str(round(fence.ttl)),
        bo_lock=path(f"{home}/lock"),
        bo_step=quote(step),
        bo_lines=quote("\n".join(lines)) if lines else "",
    )
