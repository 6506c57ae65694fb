"""What is deployed on a machine: steps that leave their effect there, and a service that runs it.

It is the witness too: it notes who did what and when, and what must never be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proof.worlds.words import NotTold

if TYPE_CHECKING:
    from proof.worlds.process import Process

ILL = "Ill"
"""The step with whose effect the service is not well."""

NOTHING = "nothing"
"""What it needs where no release is well."""


class Service:
    """The effects of steps, by run and step; what runs; and what was seen."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.effects: dict[tuple[str, str], int] = {}
        self.running: frozenset[tuple[str, str]] = frozenset()
        self.identity = 1
        self.log: list[tuple[str, str, str]] = []
        self.wrong: list[str] = []
        self.deaf = 0
        """So many restarts do nothing, and are told as done."""
        self.needs = ""
        """The run without whose release it is not well; empty where any will do."""
        self.ruined = False
        """Whether it is not well with that one either, once another one has run."""
        self.fell = False
        """Whether it came up without what it needs."""
        self._busy: dict[str, str] = {}

    @property
    def well(self) -> bool:
        return not self._lacks and not any(step == ILL for _, step in self.running)

    @property
    def _lacks(self) -> bool:
        return self.needs not in ("", *(run for run, _ in self.running))

    def restarted(self) -> None:
        if self.deaf:
            self.deaf -= 1
        else:
            self.began()

    def began(self) -> None:
        """A new process, of what lies on the disk."""
        self.identity += 1
        self.running = frozenset(self.effects)
        self.fell |= self._lacks
        if self.ruined and self._lacks:
            self.needs = NOTHING

    def enters(self, process: Process, what: str) -> None:
        for other in self._busy.values():
            self.wrong.append(f"two commands at one time on {self.name}: {other}; {what}")
        self._busy[process.name] = what

    def left(self, process: Process) -> None:
        self._busy.pop(process.name, None)

    def did(self, run: str, step: str) -> None:
        count = self.effects[run, step] = self.effects.get((run, step), 0) + 1
        self.log.append((run, step, "do"))
        if count > 1:
            self.wrong.append(f"{step} of run {run} is {count} times on {self.name}")

    def undid(self, run: str, step: str) -> None:
        self.effects.pop((run, step), None)
        self.log.append((run, step, "undo"))


def served(process: Process, args: list[str]) -> int:
    """`work`: do RUN STEP SECONDS CODE | undo RUN STEP SECONDS | is RUN STEP | well | who |
    restart SECONDS."""
    machine, service = process.machine, process.machine.service
    word, *rest = args
    if word == "is":
        return 0 if service.effects.get((rest[0], rest[1])) else 1
    if word == "well":
        return 0 if service.well else 1
    if word == "who":
        process.write(1, f"{service.name}-{service.identity}\n")
        return 0
    if word not in ("do", "undo", "restart"):
        raise NotTold(f"work {args}")
    service.enters(process, " ".join(args[:3]))
    machine.baton.tell(f"{machine.name}: {' '.join(args[:3])}")
    seconds = float(rest[-2] if word == "do" else rest[-1])
    machine.baton.sleep(seconds / 2)
    if word == "do":
        service.did(rest[0], rest[1])
    elif word == "undo":
        service.undid(rest[0], rest[1])
    else:
        service.restarted()
    machine.baton.sleep(seconds / 2)
    service.left(process)
    return int(rest[-1]) if word == "do" else 0
