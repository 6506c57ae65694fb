"""An operator: a working copy, a network and a wall clock of their own, and what they type."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from threading import Thread

from . import warm
from .project import Project, Said

SEAT = str(Path(__file__).with_name("seat.py"))
LONG = 300.0
"""Seconds after which a verb is taken for hung."""
LOOKS = ("history", "status")
STAYS = ("worker",)
"""Verbs that go on until they are stopped."""


class Operator:
    """A working copy, where its verbs are typed, and what can be done to them."""

    def __init__(self, name: str, directory: Path, network: str) -> None:
        self.name = name
        self.project = Project(directory)
        self.network = network
        self.clock = directory / "clock"
        self.clock.write_text("0")
        self.process: warm.Started | None = None
        self.typed: list[str] = []
        """What was typed in this round, and what it came to."""
        self.heard: list[str] = []
        """What was said of it on the way."""
        self.bugs: list[str] = []
        self.env = {**self.project.env, "SEAT_NETWORK": network, "SEAT_CLOCK": str(self.clock)}
        self._hands: Thread | None = None

    def type(self, *verbs: str) -> None:
        """Type these one after the other, while other things happen."""
        self._hands = Thread(target=lambda: [self.say(*verb.split()) for verb in verbs])
        self._hands.start()

    def over(self) -> None:
        """Wait for the end of what was typed."""
        if self._hands is not None:
            self._hands.join()
            self._hands = None

    def say(self, *words: str) -> Said | None:
        """What a verb came to; None when it was killed."""
        asks = () if words[0] in LOOKS else ("--yes",)
        about = ("--target", "prod", "--json", *asks)
        argv = words if words[0] in STAYS else (*words, *about)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            output, here = (out.fileno(), err.fileno()), self.project.directory
            began = time.monotonic()
            self.process = warm.start(argv, here, self.env, output, program=(SEAT,))
            code = self._end_of(self.process)
            self.process = None
            out.seek(0)
            err.seek(0)
            said = Said(code, out.read().decode(), err.read().decode())
        took = time.monotonic() - began
        self.typed.append(f"{self.name}: {' '.join(words)}: {code} after {took:.0f} s")
        self.heard.append(said.err)
        if code == 1:
            self.bugs.append(f"{self.typed[-1]}: {said.out}{said.err}")
        return said if code >= 0 else None

    def _end_of(self, process: warm.Started) -> int:
        try:
            return process.wait(LONG)
        except subprocess.TimeoutExpired:
            self.bugs.append(f"{process.args[1]} hung")
            process.kill()
            return process.wait()

    def signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
