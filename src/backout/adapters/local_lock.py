"""The lock on this machine: one run at a time per target, as long as its process lives."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backout.adapters.person import acting
from backout.adapters.transports.shell_text import run_name
from backout.errors import Held, Refused


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
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._held() from None
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
            with self._file.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return self._noted()
        return None

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
