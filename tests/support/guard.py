"""Cleans up after a test process that was killed before it could clean up itself.

A small separate process reads clean-up commands from a pipe. When the pipe closes, because the
test process ended in whatever way, it runs the commands that were not withdrawn, newest first.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import threading
from collections.abc import Sequence
from itertools import count

from .tools import system_python

_PROGRAM = """
import json, signal, subprocess, sys
for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(ignored, signal.SIG_IGN)
pending = {}
for line in sys.stdin:
    token, command = json.loads(line)
    if command is None:
        pending.pop(token, None)
    else:
        pending[token] = command
for command in reversed(list(pending.values())):
    try:
        subprocess.run(command, timeout=30, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except Exception:
        pass
"""


class Guard:
    """The pipe to the clean-up process, which starts with the first command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens = count(1)
        self._process: subprocess.Popen[str] | None = None

    def add(self, command: Sequence[str]) -> int:
        """Have `command` run if this process ends before `remove` is called."""
        token = next(self._tokens)
        self._send(token, list(command))
        return token

    def remove(self, token: int) -> None:
        """Withdraw a command: its clean-up is done."""
        self._send(token, None)

    def _send(self, token: int, command: list[str] | None) -> None:
        with self._lock:
            pipe = self._started().stdin
            assert pipe is not None
            pipe.write(json.dumps([token, command]) + "\n")
            pipe.flush()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [system_python(), "-S", "-E", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
            )
            atexit.register(self._close, self._process)
        return self._process

    @staticmethod
    def _close(process: subprocess.Popen[str]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(60)


guard = Guard()
