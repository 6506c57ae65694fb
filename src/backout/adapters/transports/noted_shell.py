"""Commands and their notes on one machine: run, ended when they are late, recalled, judged.

What is said to the shell, and what its answers mean, is `shell_text`.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from backout.adapters.transports.captured import KEPT, Capture, Ran
from backout.adapters.transports.shell_text import (
    LOOK,
    MARK,
    SEPARATE,
    Fence,
    Luggage,
    note_names,
    noted,
    path,
    plain,
    recall,
    rest,
    run_name,
    since,
)
from backout.errors import Unreachable
from backout.model import Command, Host, Result, State
from backout.ports import Vault

STOPPED = "its note has a start and no end: the machine or its shell was stopped meanwhile"

FENCED = "fenced: "
"""How the reason of a command begins that its host refused: the lease is not ours."""


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
        self._begun: set[str] = set()
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
                result = self._carrying(lines, command, env, text)
                self._begun.add(command.key)
                return result
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
        brief = command.brief or not (command.key or SEPARATE.search(command.script))
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

    def began(self, key: str) -> bool:
        """Whether a command of ours has begun under `key`; see `ports.Transport`."""
        return key in self._begun

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
                return ran.not_started(f"{FENCED}{taken(name, ran.about)}")
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
