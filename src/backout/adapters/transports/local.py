"""This machine as a transport, without SSH."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from backout.adapters.transports.captured import Capture, Ran
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.transports.shell_text import GRACE
from backout.errors import Unreachable
from backout.model import Command, Host, Result
from backout.model.operands import at_home
from backout.ports import Vault

QUIET = 0.2
"""How long a finished command's output may stay open, held by a child it left behind."""


class LocalTransport(ShellTransport):
    """Runs commands here, each in a session of its own that outlives this process. Relative
    paths begin at this process's directory, which is the project's; those of a host that a
    plug-in reaches from here begin at the login home, as on any host."""

    def __init__(self, host: Host, home: str, vault: Vault) -> None:
        self._start = Path() if host.connection == "local" else Path.home()
        super().__init__(host, str(self._absolute(home)), vault)

    def _absolute(self, path: str) -> Path:
        return (self._start / at_home(path)).absolute()

    def run(self, command: Command) -> Result:
        """Run `command` to its end."""
        if not command.cwd:
            return super().run(command)
        return super().run(replace(command, cwd=str(self._absolute(command.cwd))))

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file, whole or not at all."""
        target = self._absolute(path)
        descriptor, name = tempfile.mkstemp(
            dir=target.parent, prefix=f"{target.name}.", suffix=".part"
        )
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            where = f"{path} on {self.host.name}"
            raise OSError(error.errno, f"{error.strerror}; nothing was replaced", where) from error

    def shell(self) -> Sequence[str]:
        """The shell that commands are fed to; a plug-in may reach one somewhere else."""
        return ("/bin/sh",)

    def close(self) -> None:
        """Nothing is held."""

    def _execute(
        self,
        text: str,
        timeout: float,
        *,
        private: bool = False,  # noqa: ARG002 - every text goes over stdin here
        brief: bool = False,  # noqa: ARG002 - every shell has a group of its own here
    ) -> Ran:
        ran = Ran(Capture(self._mark), Capture(self._mark))
        try:
            process = subprocess.Popen(
                self.shell(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise Unreachable(f"no shell could be started here: {error}") from error
        with process.stdin, process.stdout, process.stderr:  # type: ignore[union-attr]
            _feed(process, text)
            ran.exit_code = _gather(process, ran, ran.began + timeout)
        if ran.exit_code is None:
            ran.timed_out = True
            ran.cut = f"timed out after {timeout:g} s; its process group was ended"
            _end_group(process.pid, process.poll)
        elif ran.exit_code < 0:
            ran.cut = f"its shell was killed by signal {-ran.exit_code}"
            ran.exit_code = None
        return ran

    def _end(self, pid: int) -> None:
        _end_group(pid, lambda: None)


def _end_group(pid: int, reap: Callable[[], object]) -> None:
    """Ask a process group to end, and kill it when it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE
        there = _signal(pid, number)
        while there and time.monotonic() < deadline:
            reap()
            time.sleep(0.02)
            there = _signal(pid, 0)
        if not there:
            return


def _signal(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    return True


def _feed(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin is not None  # noqa: S101 - for the type checker
    try:
        process.stdin.write(text.encode())
        process.stdin.close()
    except BrokenPipeError:
        pass


def _gather(process: subprocess.Popen[bytes], ran: Ran, deadline: float) -> int | None:
    """Read both streams to their end, or to the deadline; return the exit status."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, ran.out)  # type: ignore[arg-type]
        selector.register(process.stderr, selectors.EVENT_READ, ran.err)  # type: ignore[arg-type]
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            ended = process.poll() is not None  # before it is looked at: so nothing is missed
            ready = selector.select(min(left, QUIET))
            if ended and not ready:
                break
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                key.data.feed(data)
                if not data:
                    selector.unregister(key.fileobj)
    try:
        return process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
