"""Operators, hosts and what lies between them; verbs are typed, and what they said is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof.worlds.baton import Baton, Life, Task
from proof.worlds.files import File, Folder
from proof.worlds.links import Link
from proof.worlds.machine import Machine
from proof.worlds.places import Journal, Place, Screen
from proof.worlds.service import Service

from backout.commands.deploy import Operation
from backout.commands.options import Abort, Deploy, Resume, Rollback, Unlock
from backout.commands.unlock import Unlocking
from backout.errors import BackoutError
from backout.model import Runbook, RunRow, Target
from backout.reports.answer import Answer
from backout.reports.report import Report
from backout.reports.states import UnlockReport

NAME = "prod"


@dataclass(slots=True)
class Typed:
    """One verb of one operator: a process."""

    who: Seat
    verb: str
    life: Life
    screen: Screen
    operation: Operation | None = None
    code: int | None = None
    """None while it runs, and when it was killed."""
    report: Report | None = None
    freed: bool = False
    """Whether it took the lock of hosts away, also where it could not ask others. It may be over
    with 0 and have found none."""
    error: BackoutError | None = None
    broke: str = ""
    """What no operator should see."""
    task: Task | None = None
    since: float = 0.0
    then: Callable[[], None] | None = None
    """What happens when it has ended."""
    robbed: float | None = None
    """When its lock was taken from it by force."""

    @property
    def holds(self) -> bool:
        """Whether it has come to where it holds its hosts, and has not let go of them."""
        return any(event.kind == "phase" for event in self.screen.events)

    @property
    def over(self) -> bool:
        return self.code is not None or self.life.over or bool(self.broke)


class Seat:
    """One operator, at a machine of their own."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.baton = world.baton
        self.name = name
        self.directory = world.directory / name
        self.directory.mkdir(parents=True)
        self.journal = Journal(world.template, str, self)
        self.machine = Machine(world.baton, name, world.remote)
        self.links = {host: Link(world.baton) for host in world.hosts}
        self.doom = 0
        """After so many records this operator is killed; 0: after none; below: at the outcome."""
        self.full = False
        """Whether the disk here is full."""

    def may_type(self, verb: str) -> bool:
        """One thing at a time; and a colleague takes a run over when what it does on its own
        machine is over: nobody could ask there."""
        busy = any(not typed.over for typed in self.world.typed if typed.who is self)
        others = [seat for seat in self.world.seats if seat is not self]
        takes = verb in ("resume", "abort") and any(seat.machine.processes for seat in others)
        return not (busy or takes)

    def types(self, verb: str) -> Typed:
        """A new process does what is typed, beside whatever goes on."""
        life = Life(f"{self.name}: {verb}")
        typed = Typed(self, verb, life, Screen(), since=self.baton.now)
        typed.task = self.baton.start(typed.life, lambda: self._process(typed))
        self.world.typed.append(typed)
        self.baton.tell(f"{self.name} types {verb}")
        return typed

    def _process(self, typed: Typed) -> None:
        place = Place(self)
        try:
            self._answered(typed, self._does(place, typed))
        except BackoutError as error:
            typed.error = error
            typed.freed = "the lock is free on" in error.state
            typed.code = int(error.exit_code)
        except Exception as error:  # noqa: BLE001 - a traceback is a fault, whatever it is
            typed.broke = f"{type(error).__name__}: {error}"
            self.world.broken.append(error)
        finally:
            place.close()
        report = typed.report
        why = typed.error.what if typed.error else report.reason if report else ""
        self.baton.tell(f"{self.name}: {typed.verb} -> {typed.code} {typed.broke or why}")
        self.world.ended(typed)

    def _does(self, place: Place, typed: Typed) -> Answer:
        verb, *words = typed.verb.split()
        if verb == "unlock":
            options = Unlock(target=NAME, yes=True, force="--force" in words)
            return Unlocking(place, typed.screen, options).answer()
        operation = typed.operation = Operation(place, typed.screen)
        world = self.world
        if verb == "deploy":
            deploy = Deploy(target=NAME, yes=True)
            return operation.start("deploy", world.target, world.runbook, {}, deploy)
        doing: Callable[[], Answer] = {
            "resume": lambda: operation.resume(Resume(target=NAME, yes=True)),
            "abort": lambda: operation.abort(Abort(target=NAME, yes=True)),
            "rollback": lambda: operation.rollback(Rollback(target=NAME, yes=True)),
        }[verb]
        return doing()

    @staticmethod
    def _answered(typed: Typed, answer: Answer) -> None:
        typed.code = int(answer.exit_code)
        if isinstance(answer.told, Report):
            typed.report = answer.told
        if isinstance(answer.told, UnlockReport):
            typed.freed = answer.told.freed

    def runs(self) -> tuple[RunRow, ...]:
        """What the journal of this working copy has, newest first."""
        return self.journal.runs(NAME, limit=-1)

    @property
    def decided(self) -> bool:
        """Whether the newest record is an outcome."""
        return self.journal.newest == "decided"

    def unfinished(self) -> str:
        """The run of theirs that is open; empty when none is."""
        return next((row.id for row in self.runs() if row.outcome is None), "")


class World:
    """One of many."""

    def __init__(
        self,
        seed: int,
        directory: Path,
        template: Path,
        target: Target,
        runbook: Runbook,
        steps: Mapping[str, bool],
    ) -> None:
        """`steps` are the names of what leaves an effect, and whether that is on the hosts."""
        self.seed = seed
        self.baton = Baton(seed)
        self.directory = directory
        self.template = template
        self.target = target
        self.runbook = runbook
        self.steps = steps
        self.hosts = {name: Machine(self.baton, name) for name in target.hosts}
        self.remote = Service("the remote")
        """What steps on the operators' machines act on: it is one and the same for both."""
        self.typed: list[Typed] = []
        self.broken: list[Exception] = []
        self.forced = False
        """Whether somebody took a lock away by force."""
        self.freed: list[float] = []
        """When somebody has taken a lock away."""
        self.apart = False
        """Whether an operator was away from hosts for a while."""
        self.judges: list[Callable[[Typed], None]] = []
        self.ann, self.bob = Seat(self, "ann"), Seat(self, "bob")

    @property
    def seats(self) -> tuple[Seat, Seat]:
        return self.ann, self.bob

    def ended(self, typed: Typed) -> None:
        for judge in self.judges:
            judge(typed)
        if typed.then:
            typed.then()

    def recorded(self, seat: Seat) -> None:
        """A record of that operator is durable."""
        if seat.doom:
            seat.doom = max(seat.doom - 1, -1)
            if not seat.doom or (seat.doom < 0 and seat.decided):
                seat.doom = 0
                self.baton.tell(f"{seat.name} is killed after a record")
                for typed in self.typed:
                    if typed.who is seat and not typed.over:
                        self.baton.kill(typed.life)

    def own(self, machine: Machine, name: str) -> File | Folder | None:
        """What lies in Backout's own directory there."""
        host = self.target.hosts.get(machine.name)
        home = self.target.home_on(host) if host else ".backout"
        return machine.disk.find(f"{machine.home}/{home}/{name}", machine.disk.root)

    def processes(self) -> list[Any]:
        """What is alive on machines."""
        machines = (*self.hosts.values(), *(seat.machine for seat in self.seats))
        return [process for machine in machines for process in machine.processes.values()]
