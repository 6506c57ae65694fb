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
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from backout.adapters.programs import program
from backout.adapters.transports.captured import KEPT, Capture, Ran
from backout.errors import Refused, Unreachable
from backout.model import Command, Host, Result, State
from backout.ports import Vault

GRACE = 2.0
"""How long a process group that was asked to end is waited for before it is killed."""
PATIENT_TENTHS = round(GRACE * 10)
LOOK = 30.0
"""The timeout of our own short commands."""
MARK = f"backout-{secrets.token_hex(6)}"
"""What stands before the words of our own on a stream; nobody else can know it."""

quote = shlex.quote

_SEPARATE = re.compile(r"\$\$|\$\{\$|(?<![&<>])&(?![&>])|\bkill\b")
"""What in a script asks for a process of its own: `$$`, something in the background, signals."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def path(text: str) -> str:
    """A path as shell text; one that is relative, or begins with `~/`, starts at home."""
    if text.startswith("/"):
        return quote(text)
    rest = text.removeprefix("~").strip("/")
    return f'"$HOME"/{quote(rest)}' if rest else '"$HOME"'


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
    return _whole(
        f"{given}{LIBRARY}bo_begin; bo_say $bo_word $bo_pid\n"
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


STOPPED = "its note has a start and no end: the machine or its shell was stopped meanwhile"


def taken(host: str, by: str = "") -> str:
    """A lease that is no longer ours, in words."""
    if by:
        return f"another run has taken the lock of {host}: {by}"
    return f"the lease on {host} is gone: it was taken away, or removed with its directory"


def _unfollowed(key: str, title: str) -> AbstractContextManager[None]:  # noqa: ARG001
    return nullcontext()


class ShellTransport(ABC):
    """Commands and their notes on one machine; how its shell is reached is left open."""

    followed: Callable[[str, str], AbstractContextManager[None]] = staticmethod(_unfollowed)
    """Held while the command of a key, under a title, is at work; see `following`."""

    def __init__(self, host: Host, home: str, vault: Vault) -> None:
        self.host = host
        self.home = home
        self.fence = Fence()
        """The lease: while it has a token, nothing that changes runs under another's."""
        self.needs_lease = False
        """Whether nothing that changes runs here without one."""
        self.luggage = Luggage()
        """What waits to be written into the host's mirror of the run."""
        self.at_work = 0
        """How many commands of ours are under their notes now, as far as was seen."""
        self._counting = threading.Lock()
        self._vault = vault
        self._mark = MARK
        self._too_long: dict[str, str] = {}
        """By key, what was said of a command that outlasted its timeout and was ended for it."""

    def run(self, command: Command) -> Result:
        """Run `command` to its end; see `ports.Transport`."""
        changes = bool(command.key) or command.fenced
        if changes and self.needs_lease and not self.fence.token:
            name = self.host.name
            return Result(State.FAILED, reason=f"{name} was not there when the lock was taken")
        env = tuple((name, self._vault.reveal(value)) for name, value in command.env)
        lines = self.luggage.waiting() if changes and self.fence.token else ()
        if command.key:
            with self._counted(), self.followed(command.key, command.title):
                text = noted(command, env, self._mark, self.home, self.fence, lines)
                return self._carrying(lines, command, env, text)
        fence = self.fence if command.fenced else None
        text = plain(command, env, self._mark, self.home, fence, lines)
        return self._carrying(lines, command, env, text)

    def _carrying(
        self,
        lines: Sequence[str],
        command: Command,
        env: Sequence[tuple[str, str]],
        text: str,
    ) -> Result:
        result = self._run(command, env, text)
        if lines and result.exit_code is not None:
            self.luggage.arrived(lines)
        return result

    def _run(self, command: Command, env: Sequence[tuple[str, str]], text: str) -> Result:
        brief = command.brief or not (command.key or _SEPARATE.search(command.script))
        ran = self._execute(text, command.timeout, private=bool(env), brief=brief)
        if ran.exit_code is None:
            return self._timed_out(command.key, ran) if ran.timed_out else ran.unknown(ran.cut)
        return self._judged(command.key, ran)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            self.at_work += 1
        try:
            yield
        finally:
            with self._counting:
                self.at_work -= 1

    def recall(self, key: str, wait: float) -> Result | None:
        """What became of the command that ran under `key`; see `ports.Transport`."""
        with self.followed(key, ""):
            ran = self._watch(key, wait)
        why = self._lost(ran)
        if ran.word == "running":
            self._end(int(ran.about))
            ran = self._look_up(key)
            why = f"it still ran after {wait:g} s, and its process group was ended"
        if ran.word == "none":
            return None
        why = self._too_long.get(key, why)
        return self._judged(key, ran) if ran.word == "ended" else ran.unknown(why)

    def unexplained(self, run: str, keys: Iterable[str]) -> Sequence[str]:
        """The notes of a run that are of none of these keys; see `ports.Transport`."""
        folder = path(f"{self.home}/notes/{run_name(run)}")
        script = f'cd {folder} 2>/dev/null || exit 0; for f in *.start; do echo "$f"; done'
        listed = self.run(Command(script, timeout=LOOK, brief=True))
        if not listed.ok:
            raise Unreachable(f"{self.host.name} does not say what ran there: {listed.reason}")
        known = {"*", *(note_names(key)[1] for key in keys)}
        names = (line.removesuffix(".start") for line in listed.stdout.splitlines())
        return [name for name in names if name not in known]

    def written(self, key: str, out: int, err: int) -> tuple[bytes, bytes] | None:
        """What the command of a key has written beyond so many bytes of either stream, as
        `since` says; None where that cannot be seen now. It never disturbs the command."""
        text = plain(Command(since(key, out, err, self.home)), (), self._mark)
        ran = self._glance(text)
        return (ran.out.kept(), ran.err.kept()) if ran and ran.exit_code == 0 else None

    @abstractmethod
    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file on the machine; see `ports.Transport`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the machine."""

    @abstractmethod
    def _execute(
        self, text: str, timeout: float, *, private: bool = False, brief: bool = False
    ) -> Ran:
        """Run a shell text and gather what it says; `private` text stands in no argv, a `brief`
        one leaves no process behind. At the timeout its process group is ended. Raises
        Unreachable when it certainly never began."""

    def _glance(self, text: str) -> Ran | None:
        """Run a text that only reads, beside what is at work; None where that is not to be had.
        Raises nothing."""
        try:
            return self._execute(text, LOOK, brief=True)
        except Unreachable:
            return None

    @abstractmethod
    def _end(self, pid: int) -> None:
        """End the process group `pid`. Raises Unreachable."""

    def _watch(self, key: str, wait: float) -> Ran:
        """Look at a note until its command has ended, `wait` seconds at most."""
        deadline = time.monotonic() + wait
        pause = 0.05
        ran = self._look_up(key)
        while ran.word == "running" and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, 1.0)
            ran = self._look_up(key)
        return ran

    def _look_up(self, key: str) -> Ran:
        for _ in range(2):
            ran = self._execute(recall(key, self._mark, self.home), LOOK, brief=True)
            if ran.exit_code is not None:
                return ran
        raise Unreachable(
            f"{self.host.name} went silent while it was asked what became of {key}",
            state="what ran there may still run; its note on the host knows",
        )

    def _timed_out(self, key: str, ran: Ran) -> Result:
        """Its note may know the end after all, and has the output so far."""
        cut = ran.cut
        self._too_long |= {key: cut} if key else {}
        try:
            ran = self._look_up(key) if key else ran
        except Unreachable:
            return ran.unknown(cut)
        return self._judged(key, ran) if ran.word == "ended" else ran.unknown(cut)

    def _judged(self, key: str, ran: Ran) -> Result:
        name = self.host.name
        match ran.word:
            case "fenced":
                return ran.not_started(f"fenced: {taken(name, ran.about)}")
            case "lost":
                return ran.unknown(self._lost(ran))
            case "full":
                return ran.not_started(f"its note cannot be written in {self.home} on {name}")
            case "void":
                return ran.not_started(f"it came too late: {name} was told that it never began")
            case "running":
                return ran.unknown(f"this very command still runs on {name}: recall it")
        if key:
            self._complete(key, "out", ran.out)
            self._complete(key, "err", ran.err)
        return ran.ended()

    def _lost(self, ran: Ran) -> str:
        if ran.about:
            return STOPPED
        return f"the notes on {self.host.name} are lost, or of another boot: nobody can tell"

    def _complete(self, key: str, stream: str, capture: Capture) -> None:
        """Fetch the true end of a noted stream that is too long to be shown whole. Where that
        cannot be had, what was shown has to do: the command has ended, however it is told."""
        if capture.size <= KEPT:
            return
        text = plain(Command(rest(key, stream, self.home)), (), self._mark)
        try:
            ran = self._execute(text, LOOK, brief=True)
        except Unreachable:
            return
        size, _, tail = ran.out.kept().partition(b"\n")
        if ran.exit_code == 0:
            capture.replace_tail(int(size), tail)
