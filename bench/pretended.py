"""Backout over machines that are pretended: all of it is real but SSH and what is behind it: a
disk, a shell and its programs in memory (`proof.worlds`), which keep leases, notes and records.

    python bench/pretended.py VERB …       as `invoke VERB …` types it

A machine whose name ends in 50 has a file that makes a step fail. What the machines themselves took
of a processor is written at the end into the file that PRETENDED_TOLD names.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from proof.worlds.machine import Machine
from proof.worlds.process import Gathered

from backout.adapters.transports import ssh
from backout.adapters.transports.captured import Capture, Ran
from backout.adapters.transports.noted_shell import ShellTransport
from backout.model import Host, Ssh
from backout.ports import Vault

ILL = "50"
_BEGAN = time.monotonic()


class Alone:
    """In the place of a world's baton: each command runs to its end, when it is asked to."""

    def __init__(self) -> None:
        self.random = Random(1)  # noqa: S311 - nobody is to be kept from guessing it

    @property
    def now(self) -> float:
        return time.monotonic() - _BEGAN

    def point(self) -> None:
        """Nobody else is there."""

    def start(self, life: Any, do: Any) -> None:  # noqa: ARG002 - the seam's form
        do()

    def sleep(self, seconds: float) -> None:
        """Nothing is waited for."""

    def kill(self, life: Any) -> None:
        life.over = True


class Machines:
    """Those that this process has met."""

    def __init__(self) -> None:
        self.took = 0.0
        self._guard = threading.Lock()
        self._all: dict[str, tuple[Machine, threading.Lock]] = {}

    def of(self, name: str) -> tuple[Machine, threading.Lock]:
        with self._guard:
            if name not in self._all:
                machine = Machine(Alone(), name)  # type: ignore[arg-type] # as much of a baton as is needed
                if name.endswith(ILL):
                    machine.put("/srv/ill", "")
                self._all[name] = machine, threading.Lock()
            return self._all[name]

    def run(self, name: str, text: str, ran: Ran) -> None:
        """A text on that machine, whose commands run one after the other."""
        machine, turn = self.of(name)
        out, err = Gathered(), Gathered()
        with turn:
            began = time.thread_time()
            process = machine.start(text, out, err)
            took = time.thread_time() - began
        ran.exit_code = process.ends
        ran.out.feed("".join(out.parts).encode())
        ran.err.feed("".join(err.parts).encode())
        with self._guard:
            self.took += took

    def tell(self) -> None:
        if place := os.environ.get("PRETENDED_TOLD"):
            Path(place).write_text(str(self.took))


MACHINES = Machines()


class Pretended(ShellTransport):
    """One of them, in the place of `SshTransport`."""

    def __init__(self, host: Host, ssh: Ssh, home: str, vault: Vault, dialer: object) -> None:
        super().__init__(host, home, vault)
        self._dialer = SimpleNamespace(ssh=ssh, of=dialer)

    def open(self) -> None:
        """It is always there."""

    def close(self) -> None:
        """Nothing is held."""

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:  # noqa: ARG002 - the seam's form
        MACHINES.of(self.host.name)[0].put(path, content.decode())

    def _execute(
        self,
        text: str,
        timeout: float,  # noqa: ARG002 - the seam's form
        *,
        private: bool = False,  # noqa: ARG002
        brief: bool = False,  # noqa: ARG002
    ) -> Ran:
        ran = Ran(Capture(self._mark), Capture(self._mark))
        MACHINES.run(self.host.name, text, ran)
        return ran

    def _glance(self, text: str) -> Ran | None:
        return self._execute(text, 1.0)

    def _end(self, pid: int) -> None:
        """It has ended."""


def main() -> None:
    ssh.SshTransport = Pretended  # type: ignore[assignment,misc] # that is the point
    atexit.register(MACHINES.tell)
    from backout.tasks import main as backout

    backout()


if __name__ == "__main__":
    main()
