"""Runs that workers drive: two workers of one zone beside the two operators of an arena, and what
can happen to them.

A worker that has ended is started again, as its unit would. When all is healed they end by
themselves what can be ended; what needs a person is ended by the operators, and `linear` judges.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

from .arena import Arena
from .operators import Operator
from .process import children
from .rounds import Draw, Round, nothing
from .wait import NeverHappened, eventually

AFTER = 3
"""Seconds without a sign of life after which a driver is gone."""
FAULTS = (
    *("kill", "kill", "freeze", "freeze", "freeze the worker alone", "stop"),
    *("hosts away", "one host away", "sessions killed", "clock", "a host's clock", "nothing"),
    *("database away", "database restarted", "the database's clock"),
)
OTHERS: tuple[tuple[str, ...], ...] = (
    *((), (), ("resume",), ("abort",), ("deploy",), ("deploy --detach",)),
    ("unlock --force", "deploy"),
)
"""What the other operator types."""
SETTLED = 180.0
"""Seconds after which healed workers have ended what is theirs, or asked a person."""


class Crew(Round):
    """One round: a deploy that is handed over, and what happens to those who drive it."""

    words = "worker"
    """How one is begun."""

    def __init__(self, arena: Arena, random: Random, draw: Draw | None = None) -> None:
        super().__init__(arena, random, draw or Draw(FAULTS, OTHERS))
        for worker in arena.workers:
            self._work(worker)

    def run(self, seed: int) -> None:
        """What the seed says happens."""
        self.first.say("deploy", "--detach")
        healing = list[Callable[[], None]]()
        for _ in range(self.random.randint(1, 3)):
            self._pass(self.random.uniform(0.3, 2.5))
            healing.append(self._fault(self.random.choice(self.arena.workers)))
        self._pass(self.random.choice([0.2, AFTER + 1, self.arena.lease + AFTER + 1]))
        self.second.type(*self.random.choice(self.draw.others))
        if self.random.random() < 0.5:
            self.second.over()
        for heal in healing:
            heal()
        self._all_at_work()
        self.second.over()
        try:
            eventually(self._settled, within=SETTLED, every=0.2, saying="the end of each run")
        except NeverHappened:
            self.second.bugs.append(f"runs of healed workers stand still: {self._open()}")
        for worker in self.arena.workers:
            worker.signal(signal.SIGTERM)
            worker.over()
        self.end(f"seed {seed}")

    def happens(self, name: str, operator: Operator) -> Callable[[], None]:
        match name:
            case "stop":
                operator.signal(signal.SIGTERM)
                return nothing
            case "freeze":
                return self._frozen(_family(operator))
            case "freeze the worker alone":
                return self._frozen(_family(operator)[:1])
        return super().happens(name, operator)

    def _frozen(self, family: Sequence[int]) -> Callable[[], None]:
        for pid in family:
            _signal(pid, signal.SIGSTOP)

        def thaw() -> None:
            for pid in reversed(family):
                _signal(pid, signal.SIGCONT)

        return thaw

    # --- the end of it -------------------------------------------------------------------

    def _all_at_work(self) -> None:
        for worker in self.arena.workers:
            if worker.process is None:
                worker.over()
                self._work(worker)

    def _work(self, worker: Operator) -> None:
        """It is there, and goes on."""
        worker.type(self.words)
        eventually(lambda: worker.process is not None, saying="a worker")

    def _settled(self) -> bool:
        self._all_at_work()
        return not self._open()

    def _open(self) -> list[list[str]]:
        """The runs that have not ended, and that no person is asked about."""
        return self.arena.sql(
            "SELECT id, zone, driven_by FROM backout.run WHERE outcome IS NULL AND zone <> '' AND"
            " (SELECT kind FROM backout.record WHERE record.run = run.id ORDER BY seq DESC LIMIT 1)"
            " <> 'needs_person'"
        )


def _family(worker: Operator) -> list[int]:
    """The processes of a worker, itself first: what it forked lives in sessions of its own."""
    if worker.process is None:
        return []
    found = [worker.process.pid]
    for pid in found:
        found += children(pid)
    return found


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
