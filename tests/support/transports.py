"""Transports for tests: one that was told what it will be asked, one that really runs a shell."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from backout.errors import Unreachable
from backout.model import Command, Host, Result, State


class NotTold(AssertionError):
    """A command that the test did not expect."""


class Told:
    """Answers each command with the next answer, and fails where there is none left; with
    `always`, that is the answer from then on."""

    def __init__(
        self,
        *answers: Result | Unreachable,
        host: Host | None = None,
        always: Result | None = None,
    ) -> None:
        self.host = host or Host(name="web1", address="192.0.2.1")
        self.asked: list[Command] = []
        self._answers = list(answers)
        self._always = always

    def run(self, command: Command) -> Result:
        self.asked.append(command)
        if not self._answers:
            if self._always is None:
                raise NotTold(command.script)
            return self._always
        answer = self._answers.pop(0)
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    def recall(self, key: str, wait: float) -> Result | None:
        raise NotTold(f"recall {key} within {wait} s")

    def began(self, key: str) -> bool:
        return any(command.key == key for command in self.asked)

    def unexplained(self, run: str, keys: Iterable[str]) -> Sequence[str]:
        raise NotTold(f"notes of {run} beside {', '.join(keys)}")

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        raise NotTold(f"put {path}, mode {mode:o}: {content!r}")

    def close(self) -> None:
        assert not self._answers, f"never asked for: {self._answers}"


class Shell:
    """Runs scripts in a real POSIX shell, on this machine or behind `inside`, a command prefix.

    It keeps no notes: it is for tests of what runs commands, not of how they are carried.
    """

    def __init__(
        self,
        *,
        inside: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        host: Host | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.host = host or Host(name="here", connection="local")
        self.heard: list[Result] = []
        self._cwd = cwd
        self._inside = inside
        self._env = env

    def run(self, command: Command) -> Result:
        started = time.monotonic()
        env = {**(self._env or {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}), **dict(command.env)}
        done = subprocess.run(
            [*self._inside, "/bin/sh", "-c", f"set -e\n{command.script}"],
            cwd=command.cwd or self._cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=command.timeout,
        )
        state = State.FAILED if done.returncode else State.DONE
        seconds = time.monotonic() - started
        result = Result(state, done.returncode, done.stdout, done.stderr, seconds=seconds)
        self.heard.append(result)
        return result

    def recall(self, key: str, wait: float) -> Result | None:
        raise NotTold(f"recall {key} within {wait} s, but this transport keeps no notes")

    def began(self, key: str) -> bool:  # noqa: ARG002 - it keeps no notes
        return False

    def unexplained(self, run: str, keys: Iterable[str]) -> Sequence[str]:  # noqa: ARG002
        return ()

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        Path(path).write_bytes(content)
        Path(path).chmod(mode)

    def close(self) -> None: ...
