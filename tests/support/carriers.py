"""Hosts that no operator reaches: two workers of their zone carry what a deploy at a terminal has
for them, and both sides are struck. Afterwards the operators end what is unfinished, over those
workers, and `linear` judges.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random

from .arena import Arena
from .crews import AFTER, Crew
from .operators import Operator
from .rounds import OTHERS, Draw
from .wait import eventually

ZONE = "us"
CARRIERS = (
    *("kill", "kill", "freeze", "freeze", "freeze the worker alone", "stop"),
    *("hosts away", "one host away", "sessions killed", "clock", "a host's clock"),
    *("database away", "database restarted", "the database's clock"),
)
"""What happens to a worker."""
DRIVERS = ("kill", "freeze", "database away", "clock", "nothing")
"""What happens to whoever drives, who has no host to lose."""


class Carriers(Crew):
    """One round; its arena is `carried`."""

    words = f"worker --zone {ZONE}"

    def __init__(self, arena: Arena, random: Random, draw: Draw | None = None) -> None:
        super().__init__(arena, random, draw or Draw((), OTHERS))
        eventually(self._all_carry, within=120, every=0.2, saying="two that carry")

    def run(self, seed: int) -> None:
        """What the seed says happens."""
        self.first.type("deploy")
        healing = list[Callable[[], None]]()
        for _ in range(self.random.randint(1, 3)):
            self._pass(self.random.uniform(0.3, 3.0))
            healing.append(self._strike())
        self._pass(self.random.choice([0.2, AFTER + 1, self.arena.lease + AFTER + 1]))
        self.second.type(*self.random.choice(self.draw.others))
        if self.random.random() < 0.5:
            self.second.over()
        for heal in healing:
            heal()
        self._all_at_work()
        self.end(f"seed {seed}")
        for worker in self.arena.workers:
            worker.signal(signal.SIGTERM)
            worker.over()

    def _all_carry(self) -> bool:
        if not self.arena.sql("SELECT 1 FROM pg_tables WHERE tablename = 'carrier'"):
            return False
        found = self.arena.sql("SELECT count(*) FROM backout.carrier")
        return int(found[0][0]) == len(self.arena.workers)

    def _strike(self) -> Callable[[], None]:
        struck = self.random.choice((*self.arena.workers, *self.arena.workers, self.first))
        return self._fault_of(struck)

    def _fault_of(self, struck: Operator) -> Callable[[], None]:
        draw = self.draw
        self.draw = Draw(CARRIERS if struck in self.arena.workers else DRIVERS, draw.others)
        try:
            return self._fault(struck)
        finally:
            self.draw = draw
