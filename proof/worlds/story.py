"""One world, from its seed to its judgement."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from proof.worlds import faults, judge, shapes, threads
from proof.worlds.baton import Stuck
from proof.worlds.plugged import plugged
from proof.worlds.shapes import Shape
from proof.worlds.world import Seat, Typed, World

LENGTH = 700
"""So many points has a deploy, about; what goes wrong goes wrong at one of them."""
TRIES = 6
BOTH = ("resume", "abort")
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made there
CALM = 61.0
"""Seconds after which a lease that nobody renews is over."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one world."""

    seed: int
    shape: Shape
    faults: tuple[str, ...]
    codes: tuple[tuple[str, int | None], ...]
    """Each verb, and how it ended."""
    violations: tuple[str, ...]
    trace: tuple[str, ...]
    points: int


@contextmanager
def ground() -> Iterator[Worlds]:
    """Where worlds are played, one after the other."""
    place = MEMORY if MEMORY.is_dir() else None
    with TemporaryDirectory(prefix="worlds", dir=place) as directory, plugged(), _untidy():
        yield Worlds(Path(directory))


@contextmanager
def _untidy() -> Iterator[None]:
    """What is no more is looked for seldom: a world leaves little, and what stays is much."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class Worlds:
    """Plays worlds, each in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def play(
        self,
        seed: int,
        *,
        shape: Mapping[str, Any] | None = None,
        among: Sequence[faults.Fault] = faults.FAULTS,
    ) -> Told:
        """The world of that seed; of a shape that is as drawn but for that, with faults among
        those."""
        with self.story(seed, shape or {}) as story:
            return story.told(among)

    @contextmanager
    def story(self, seed: int, shape: Mapping[str, Any]) -> Iterator[Story]:
        """What is about to be told of that world."""
        random = Random(seed)  # noqa: S311 - it is to be the same again
        shape_ = replace(shapes.drawn(random), **shape)
        target, runbook = shapes.loaded(shape_)
        home = self.directory / str(seed)
        template = self.directory / "template.db"
        try:
            world = World(seed, home, template, target, runbook, shape_.steps)
            yield Story(world, shape_, random)
        finally:
            shutil.rmtree(home, ignore_errors=True)


class Story:
    """Ann deploys; things go wrong; all is healed; whoever has an unfinished run ends it."""

    def __init__(self, world: World, shape: Shape, random: Random) -> None:
        self.world = world
        self.shape = shape
        self.random = random
        self.faults: list[str] = []
        self.violations: list[str] = []
        world.judges.append(self._ended)
        threads.Now.baton = world.baton
        threads.Now.skew = self._skew

    def _skew(self) -> float:
        """The wall clock of whoever asks; hosts ask their own."""
        task = self.world.baton.task
        name = task.life.name if task else ""
        return next((s.machine.skew for s in self.world.seats if name.startswith(s.name)), 0.0)

    def _ended(self, typed: Typed) -> None:
        self.violations += judge.at_an_end(self.world, typed)
        if typed.verb.startswith("unlock") and (typed.code == 0 or typed.freed):
            self.world.forced = True
        if typed.freed:
            self.world.freed.append(self.world.baton.now)
        if typed.freed and typed.verb == "unlock --force":
            for other in self.world.typed:
                if other is not typed and other.holds and not other.over:
                    other.robbed = self.world.baton.now

    def told(self, among: Sequence[faults.Fault]) -> Told:
        """What becomes of it."""
        world = self.world
        try:
            self._before()
            for _ in range(self.random.choice((1, 1, 1, 2, 2, 3)) if among else 0):
                self._drawn(among)
            self._played()
        except Stuck as stuck:
            self.violations.append(f"stuck: {stuck}")
        with suppress(OSError):
            self.violations += judge.at_the_end(world)
        for typed in world.typed:
            world.baton.kill(typed.life)
        return Told(
            world.seed,
            self.shape,
            tuple(self.faults),
            tuple((f"{t.who.name}: {t.verb}", t.code) for t in world.typed),
            tuple(dict.fromkeys(self.violations)),
            tuple(world.baton.trace),
            world.baton.points,
        )

    def _drawn(self, among: Sequence[faults.Fault]) -> None:
        fault = self.random.choice(among)
        own = Random(self.random.getrandbits(32))  # noqa: S311 - likewise
        point = self.world.baton.points + self.random.randrange(LENGTH)
        self.world.baton.at_point(point, lambda: self._is(fault, own))

    def _before(self) -> None:
        """Where somebody is to go back, there were releases before."""
        for _ in range(2 if self.shape.back else 0):
            self.world.ann.types("deploy")
            self._until_quiet()
        if self.shape.since:
            self.world.bob.types("deploy")
            self._until_quiet()
        for host in self.world.hosts.values() if self.shape.spoilt else ():
            host.service.needs = next((run for run, _ in reversed(host.service.effects)), "")
            host.service.ruined = self.shape.ruined

    def _is(self, fault: faults.Fault, random: Random) -> None:
        words = fault(self.world, random)
        self.faults.append(words)
        self.world.baton.tell(words)

    def _played(self) -> None:
        world = self.world
        world.ann.types("rollback" if self.shape.back else "deploy")
        self._until_quiet()
        for _ in range(self.random.choice((0, 0, 1, 2))):
            seat = self.random.choice((world.ann, world.ann, world.bob))
            verb = self.random.choice(("resume", "resume", "abort"))
            if seat.may_type(verb):
                seat.types(verb)
            self._until_quiet()
        self._healed()
        self._ends()

    def _until_quiet(self) -> None:
        """Whatever was typed has ended."""
        self.world.baton.play(self._quiet)

    def _quiet(self) -> bool:
        return all(typed.over for typed in reversed(self.world.typed))

    def _still(self) -> bool:
        """Nobody is at anything any more."""
        return self._quiet() and not self.world.processes()

    def _healed(self) -> None:
        world = self.world
        world.baton.calm()
        for seat in world.seats:
            seat.full = False
            for link in seat.links.values():
                link.up, link.calm, link.slow, link.next = True, True, 0.0, None
        for host in world.hosts.values():
            host.disk.free = None
            if not host.up:
                host.power_on()
        world.baton.tell("all is healed")
        self._passes(CALM)
        world.baton.play(lambda: not world.processes())

    def _passes(self, seconds: float) -> None:
        passed: list[bool] = []
        self.world.baton.at(self.world.baton.now + seconds, lambda: passed.append(True))
        self.world.baton.play(lambda: bool(passed))

    def _ends(self) -> None:
        for turn in range(TRIES):
            owners = [seat for seat in self.world.seats if seat.unfinished()]
            held = self._held()
            if not owners and not held:
                if self._still():
                    return
                self.world.baton.play(self._still)  # somebody came late
                continue
            seat = self.random.choice(owners) if owners else self.world.ann
            self._end(seat, turn, open_=bool(owners))
            self._passes(CALM)
        rest = [f"{s.name}: {s.unfinished()}" for s in self.world.seats if s.unfinished()]
        if not self.world.forced and (rest or self._held()):
            self.violations.append(f"it does not come to an end: {rest or self._held()}")

    def _end(self, seat: Seat, turn: int, *, open_: bool) -> None:
        verbs: Sequence[str]
        for host in self.world.hosts.values() if turn else ():
            host.service.needs = ""  # what was named is put right
        advised = self._advised(seat)
        if "when it stays so: invoke unlock" in advised:
            verbs = ("unlock",)
        elif advised.startswith("invoke resume") and "invoke abort" not in advised:
            verbs = ("resume",)
        elif not open_:
            verbs = ("unlock", "resume", "abort") if turn < TRIES - 4 else ("unlock",)
        elif turn < TRIES - 2:
            verbs = BOTH if turn < TRIES - 4 else self._named(seat)
        else:
            verbs = ("unlock --force",)
            if not self.world.forced:
                self.violations.append(f"{seat.name} needs force to end {seat.unfinished()}")
        seat.types(self.random.choice(verbs))
        self._until_quiet()

    def _advised(self, seat: Seat) -> str:
        """What the last verb of an operator said is to be typed next."""
        last = next((typed for typed in reversed(self.world.typed) if typed.who is seat), None)
        told = last and (last.error or last.report)
        return told.next if told else ""

    def _named(self, seat: Seat) -> Sequence[str]:
        """What may be typed next by somebody who does what was said in the end."""
        advice = self._advised(seat)
        return [verb for verb in BOTH if f"invoke {verb} " in advice] or BOTH

    def _held(self) -> list[str]:
        world = self.world
        return [name for name, host in world.hosts.items() if world.own(host, "lock") is not None]
