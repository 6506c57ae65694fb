"""A run that is held, killed at any moment of its journal: while it asks, or while an answer is
acted upon. Whoever comes next ends it all done or all undone."""

from __future__ import annotations

import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .project import Said
from .takeover import BURNT, burnt
from .wait import eventually
from .warm import Started, start
from .yard import Yard

NEVER = 1_000_000
NAMES = ("First", "Second", "Third")
ANSWERS = ("again", "done", "back-out")
VERBS = ("resume", "abort", "hold")
WITHIN = 150.0


@dataclass
class Tally:
    """What became of the runs."""

    done: int = 0
    undone: int = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        bad = len(self.violations)
        return f"{self.done} all done, {self.undone} all undone, {bad} violations"


class Held:
    """A project whose second step fails until somebody mends it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.yard = yard = Yard(directory)
        self.mended = directory / "mended"
        second = yard.place("Second")
        fails = f"test -e {self.mended} || {{ rmdir {second}.busy; exit 1; }}"
        yard.runbook(
            yard.step("First"),
            yard.step("Second", before=fails, check=f"test -e {second}"),
            yard.step("Third"),
        )

    def killed_holding(self, number: int, answer: str, verb: str) -> tuple[bool, str]:
        """Kill who holds at that moment. Whether it was killed, and the world after `verb`."""
        words = (str(number), "deploy", *self._words, "--hold", "--hold-for", "10m")
        with tempfile.TemporaryFile() as out:
            files = out.fileno(), out.fileno()
            there = self.yard.project
            process = start(words, there.directory, there.env, files, program=BURNT)
            eventually(lambda: self._asked() or process.poll() is not None, within=WITHIN)
            if process.poll() is None:
                self._mend(answer)
                self._answer(answer)
            left = self._left(process)
        return left == -signal.SIGKILL, self._ended(left, verb)

    def killed_answering(self, number: int, answer: str, verb: str) -> tuple[bool, str]:
        """Kill who goes on with an answer, once the holder is gone."""
        process = self.yard.start("deploy", "--hold", "--hold-for", "10m")
        eventually(self._asked, within=WITHIN)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self._mend(answer)
        left, _, _ = burnt(number, self.yard.project, "hold", "--answer", answer)
        return left == -signal.SIGKILL, self._ended(left, verb)

    @property
    def _words(self) -> tuple[str, ...]:
        return ("--target", "prod", "--json")

    def _asked(self) -> bool:
        return "held" in self._kinds()

    def _kinds(self) -> list[str]:
        try:
            return [kind for kind, _, _ in self.yard.records()]
        except sqlite3.OperationalError:  # there is no journal yet
            return []

    def first(self) -> int:
        """The first moment at which it holds, as a run that has ended knows it."""
        return 2 * self._kinds().index("held") + 1

    def _mend(self, answer: str) -> None:
        self.mended.touch()
        if answer == "done":
            (self.yard.files / "Second-here").write_text("by hand\n")

    def _answer(self, answer: str) -> Said:
        return self.yard.say("hold", "--answer", answer)

    def _left(self, process: Started) -> int:
        return int(process.wait(WITHIN))

    def _ended(self, left: int, verb: str) -> str:
        """The world, once somebody has ended what was left."""
        code = left
        if left not in (0, 4):
            self.mended.touch()
            said = self._answer("again") if verb == "hold" else self.yard.say(verb)
            if said.code == 3 and verb == "hold":  # it was answered already: that is said
                said = self.yard.say("resume")
            for _ in range(2):  # it may be asked anew: nobody was there
                if said.code == 8:
                    said = self._answer("again")
            code = said.code
        return self._world(code)

    def _world(self, code: int) -> str:
        effects = self.yard.effects()
        if effects == {f"{name}-here": 1 for name in NAMES} and code in (0, 3):
            return "done"
        if effects == {} and code in (3, 4):
            return "undone"
        return f"left with {code}: {effects}"


def moments(directory: Path, way: str, answer: str, verb: str, tally: Tally) -> Iterator[str]:
    """Every moment of one way, from the first to the last; a line about each."""
    number, hit = 0, True
    if way == "holding":
        whole = Held(directory / "whole")
        whole.killed_holding(NEVER, answer, verb)
        number = whole.first() - 1
    while hit:
        number += 1
        hit, world = getattr(Held(directory / str(number)), f"killed_{way}")(number, answer, verb)
        if world in ("done", "undone"):
            setattr(tally, world, getattr(tally, world) + 1)
        else:
            tally.violations.append(f"{way}, {answer}, then {verb}, moment {number}: {world}")
        yield f"{way}, {answer}, then {verb}, moment {number}: {world}"
