"""Rollbacks over the world in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from backout.model import Release, Runbook, Step
from backout.runs.claims import Brought
from backout.runs.destination import Return
from backout.runs.ended import Ended
from backout.runs.rollback import Rollback

from .clock import ManualClock
from .ways import Begin, say
from .world import HOSTS, Deployer, runbook, step


@dataclass
class Returning:
    """A rollback of these runs over one world, newest first; each `say` is a process of its own."""

    runs: tuple[Deployer, ...]

    def __post_init__(self) -> None:
        journal, now = self.runs[0].journal, ManualClock().now()
        target, before = self.runs[0].run, f"{self.runs[-1].run}-before"
        for each in self.runs:
            journal.close_run(each.run, "succeeded", 0, {}, now)
        journal.open_run(before, target, "deploy", "deploy", {}, "ann@laptop", now, {})
        journal.finish(before, "succeeded", {}, release=Release(1), known_good=True)
        journal.close_run(before, "succeeded", 0, {}, now)
        self.run = f"{target}-back"
        journal.open_run(self.run, target, "rollback", "", {}, "ann@laptop", now, {})

    def say(self, verb: str = "run", kill_at: int = 0) -> Ended | None:
        """None when it was killed."""
        newest = self.runs[0]
        runs = (*(each.run for each in self.runs), f"{self.runs[-1].run}-before")
        brought = tuple(Brought(frozenset({run}), frozenset(HOSTS)) for run in runs)
        plans = tuple(each.plan for each in self.runs)
        back = Return(self.run, plans, Release(1), brought)
        return newest.lives(lambda parts: getattr(Rollback(back, parts), verb)(), kill_at)


BACK = ["-Bad", "-Good", "Restart"]


def book(*steps: Step, settle: Sequence[Step] = (step("Restart"),)) -> Runbook:
    return runbook().model_copy(update={"steps": steps, "settle": tuple(settle)})


ALIKE = book(step("Good"), step("Bad"))
"""Nothing is done on this machine, so that hosts go back a few at a time."""


def deployed(begin: Begin, *steps: Step, **keys: Any) -> Deployer:
    """A run that went well over a new world."""
    deployer = begin(book=book(*steps) if steps else ALIKE, **keys)
    assert say(deployer).exit_code == 0
    deployer.world.log.clear()
    return deployer


def next_run(
    before: Deployer, *steps: Step, settle: Sequence[Step] = (step("Restart"),)
) -> Deployer:
    """Another one over the same world."""
    was = before.plan.release
    keys = {**before.keys, "release": Release(was.number + 1), "previous": was}
    run = f"{before.run}-next"
    after = replace(before, run=run, book=book(*steps, settle=settle), keys=keys)
    assert say(after).exit_code == 0
    after.world.log.clear()
    return after


def rolled(*runs: Deployer, code: int = 0) -> Returning:
    returning = Returning(runs)
    ended = returning.say()
    assert ended is not None
    assert ended.exit_code == code, ended
    return returning


def fails_once(deployer: Deployer, words: str) -> None:
    """From now on it fails, the first time."""
    deployer.world.refuses.add(words)
    deployer.world.then[words] = lambda: deployer.world.refuses.discard(words)
