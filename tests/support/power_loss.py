"""Power that fails in mid-deploy: a host's, or the deploying machine's. What is left is what had
reached the disk at that instant; then the run is ended. Afterwards each effect is there once, or
none is.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

from .lossy_disk import LossyDisk, Shelf
from .project import Said
from .sshd import SshdBed
from .takeover import VERBS, expire, killed_at
from .wait import eventually
from .yard import Yard

STEPS = ("There", "Then")
TRIES = 3
NOTHING_OPEN = 3
WELL = {"done": 0, "undone": 4, "nothing": NOTHING_OPEN}


@dataclass
class Tally:
    """What became of the runs."""

    trials: int = 0
    ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WELL, 0))
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.trials} instants: {self.ends['done']} all done, {self.ends['undone']} all"
            f" undone, {self.ends['nothing']} had changed nothing;"
            f" {len(self.violations)} violations"
        )


class Room:
    """One host and the machine that deploys to it, one of them on a disk that loses its power."""

    def __init__(self, directory: Path, kind: str, *, host: bool) -> None:
        """`host`: it is the host that does; otherwise the machine that deploys."""
        self.directory = directory
        self.kind = kind
        self.host = host
        self._shelf = Shelf(directory)

    def __enter__(self) -> Self:
        self._shelf.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._shelf.__exit__()

    def moments(self, tally: Tally, only: Collection[int] = ()) -> Iterator[str]:
        """At every moment of the journal, the deploying machine dead as well, with either verb."""
        for number in sorted(only) or count(1):
            for verb in VERBS:
                with self._trial(f"{number}-{verb}") as trial:
                    if not trial.dies_at(number):
                        return
                    trial.ends(verb, f"moment {number}, {verb}", tally)
                yield f"{self.kind}, moment {number}, {verb}: {tally}"

    def instants(self, tally: Tally, most: int, seed: int) -> Iterator[str]:
        """At random instants of the host, while the deploying machine lives on."""
        chosen = random.Random(seed)
        for number in range(most):
            verb, part = chosen.choice(VERBS), chosen.random()
            with self._trial(f"instant{number}") as trial:
                trial.loses_its_host(part)
                trial.ends(verb, f"seed {seed}, instant {number} ({part:.3f}), {verb}", tally)
            yield f"{self.kind}, instant {number} ({part:.3f}), {verb}: {tally}"

    def _trial(self, name: str) -> Trial:
        return Trial(self.directory / name, self._shelf, self.kind, host=self.host)


class Trial:
    """One deploy in a room of its own."""

    def __init__(self, directory: Path, shelf: Shelf, kind: str, *, host: bool) -> None:
        self._stack = ExitStack()
        self._directory = directory
        self._host = host
        self._ended_well = False
        self.bed = SshdBed(directory / "bed", ["web1"])
        place = self.bed["web1"].home if host else directory / "yard" / "project"
        self.disk = LossyDisk(shelf, kind, place)
        self.bed["web1"].machine.tells_boots = True

    def __enter__(self) -> Self:
        """A host keeps what was mounted when it began: its own disk, and no other."""
        parts = (self.disk, self.bed) if self._host else (self.bed, self.disk)
        with ExitStack() as stack:
            for part in parts:
                stack.enter_context(part)
            self.yard = stack.enter_context(self._yard(self.bed["web1"].home))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _yard(self, home: Path) -> Yard:
        directory = self._directory / "yard"
        directory.mkdir(parents=True, exist_ok=True)
        yard = Yard(directory, self.bed, rollout={"soak": "0s"})
        if self._host:
            yard.files = home / "files"
            yard.files.mkdir()
        there = " && ".join(f"[ -s {yard.place(name)} ]" for name in STEPS)
        there = f"{there} || [ ! -e {yard.place(STEPS[-1])} ]"
        well = {"command": there, "on": "all", "expect": ["exit_code == 0"]}
        yard.inventory(checks={"well": well})
        yard.runbook(*(_step(yard, name) for name in STEPS))
        subprocess.run(["sync", "-f", str(self.disk.path)], check=True)
        return yard

    def dies_at(self, number: int) -> bool:
        """False when the deploy came to its end before that moment."""
        killed = killed_at(number, self.yard.project) != 0
        if killed:
            self._loses_power()
        return killed

    def loses_its_host(self, part: float) -> None:
        """At that part of the way from the first change there to the last."""
        first, running = time.monotonic(), self.yard.start()
        eventually(lambda: self._seen(STEPS[0]) or running.poll() is not None)
        took = time.monotonic() - first
        eventually(lambda: time.monotonic() - first >= took * (0.5 + part))
        self._loses_power()
        running.communicate(timeout=120)
        self._ended_well = running.returncode == 0

    def _seen(self, step: str) -> bool:
        return self.yard.exists(f"{step}-web1")

    def _loses_power(self) -> None:
        """What a host does after the instant nobody has heard of."""
        if self._host:
            self.bed["web1"].machine.stand_still()
        self.disk.instant()
        if self._host:
            self.bed["web1"].power_cut()
        self.disk.power_on()
        if self._host:
            self.bed["web1"].start()

    def ends(self, verb: str, what: str, tally: Tally) -> None:
        """It is ended, and judged by what is on the host."""
        tally.trials += 1
        said = self._ended(verb)
        code = 0 if self._ended_well and said.code == NOTHING_OPEN else said.code
        effects = self.yard.effects()
        everything = {f"{step}-web1": 1 for step in STEPS}
        for end, wanted in WELL.items():
            if code == wanted and effects == (everything if end == "done" else {}):
                tally.ends[end] += 1
                return
        tally.violations.append(f"{what}: {said.code}, {effects}: {said.out[:3000]}")

    def _ended(self, verb: str) -> Said:
        """What it said in the end; a host that was away may need another word."""
        if not self._host:
            expire(self.yard)
        for _ in range(TRIES):
            said = self.yard.say(verb, "--yes")
            if said.code in WELL.values():
                break
        return said


def _step(yard: Yard, name: str) -> dict[str, Any]:
    """What it does is on the disk when it ends, and so is what takes it back."""
    place = yard.place(name)
    run = f"echo once >> {place} && sync {place} {yard.files}"
    return {"name": name, "on": "web", "run": run, "undo": f"rm -f {place} && sync {yard.files}"}
