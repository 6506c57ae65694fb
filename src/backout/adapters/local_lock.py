"""The lock on this machine: one run at a time per target, as long as its process lives."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from backout.adapters.person import acting
from backout.adapters.transports.shell_text import run_name
from backout.errors import Held, Refused

LINGERS = 2.0
"""Seconds for which a lock may outlive its holder."""


class LocalLock:
    """One run at a time per target on this machine: a file that the kernel locks, and unlocks
    when the process ends in whatever way."""

    def __init__(self, state: Path, target: str) -> None:
        self._file = state / "locks" / f"{run_name(target)}.lock"
        self._target = target

    @contextmanager
    def hold(self, run: str) -> Iterator[None]:
        """Hold it. Raises Held at once when another process does, and Refused where the state
        directory cannot be written."""
        with ExitStack() as stack:
            with self._written():
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = stack.enter_context(self._file.open("a+b", buffering=0))
            if not self._taken(file, fcntl.LOCK_EX):
                raise self._held()
            with self._written():
                file.truncate(0)
                since = datetime.now(UTC).isoformat()
                note = {"pid": os.getpid(), "owner": owner(), "run": run, "since": since}
                file.write(json.dumps(note).encode())
            yield

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Refused(
                f"the lock of {self._target} cannot be written: {error.strerror}",
                where=str(self._file),
                next="make it writable, with room for more, then the same command again",
            ) from error

    def holder(self) -> Mapping[str, object] | None:
        """The living process that holds it: pid, owner, run, since; None when nobody does."""
        try:
            with self._file.open("rb") as file:
                return None if self._taken(file, fcntl.LOCK_SH) else self._noted()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _taken(self, file: BinaryIO, how: int) -> bool:
        """Whether the kernel gives it. A child that its dead holder had just forked may hold it
        for a moment, until it becomes another program."""
        limit = time.monotonic() + LINGERS
        while True:
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._holder_lives() or time.monotonic() >= limit:
                    return False
                time.sleep(LINGERS / 100)
            else:
                return True

    def _holder_lives(self) -> bool:
        try:
            os.kill(int(str(self._noted()["pid"])), 0)
        except ProcessLookupError:
            return False
        except (KeyError, ValueError, OverflowError, PermissionError):
            pass  # it is somebody's, or nobody can tell
        return True

    def _noted(self) -> Mapping[str, object]:
        try:
            noted = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def refusal(self) -> Held | None:
        """What somebody is told who wants to hold it now; None when it is free."""
        return None if self.holder() is None else self._held()

    def _held(self) -> Held:
        by = self._noted()
        return Held(
            f"run {by.get('run', '?')} holds {self._target} on this machine since "
            f"{by.get('since', '?')}",
            where=f"process {by.get('pid', '?')}",
            state="nothing was changed; that run is alive",
            next=f"wait for it, or look: invoke status --target {self._target}",
        )


def owner() -> str:
    """Who locks: user@machine, or whoever this process acts for."""
    if somebody := acting():
        return somebody.account
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
