"""A background process in a session of its own, with a log file, that is always ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .guard import guard
from .tools import program
from .warm import BACKOUT, Started, start


def children(pid: int) -> list[int]:
    """The processes that a process has begun, and that live."""
    found = [each / "children" for each in Path(f"/proc/{pid}/task").glob("*")]
    with suppress(OSError):  # not every kernel has it
        return [int(child) for each in found for child in each.read_text().split()]
    words = [program("ps"), "-o", "pid=", "--ppid", str(pid)]
    listed = subprocess.run(words, capture_output=True, text=True, check=False)
    return [int(child) for child in listed.stdout.split()]


class Process:
    """Start at once; `stop` asks, waits and then kills the whole session."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as sink:
            self._popen = _begin(argv, sink.fileno(), env, cwd)
        self._token = guard.add(["kill", "-KILL", "--", f"-{self.pid}"])

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._popen.poll()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def output(self, last: int = 4000) -> str:
        """The end of what it has written."""
        return self.log.read_text(errors="replace")[-last:]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        self._popen.send_signal(number)

    def wait(self, timeout: float = 150.0) -> int:
        """Wait until it has ended by itself."""
        return self._popen.wait(timeout)

    def stop(self, grace: float = 5.0) -> None:
        """End it and everything in its session: politely first, then by force."""
        if self.running:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        self.kill()

    def kill(self) -> None:
        """End it and everything in its session by force."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(60)
        guard.remove(self._token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _begin(
    argv: Sequence[str], sink: int, env: Mapping[str, str] | None, cwd: Path | None
) -> subprocess.Popen[bytes] | Started:
    size = len(BACKOUT)
    if tuple(argv[:size]) == BACKOUT and env is not None and cwd is not None:
        return start(argv[size:], cwd, env, (sink, sink), session=True)
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        env=None if env is None else dict(env),
        cwd=cwd,
        start_new_session=True,
    )
