"""A fleet in memory that a whole engine deploys to, and a deployer that may be killed at any record
and around any command. The journal is the real one; hosts keep notes as real ones do."""

# ruff: noqa: ARG002, ARG005 - the seams give their methods a form

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.vault import Vault
from backout.model import (
    Check,
    Finding,
    Host,
    NoOptions,
    Release,
    Result,
    Rollout,
    Runbook,
    State,
    Step,
    Target,
    Undo,
    Verdict,
)
from backout.ports import StepContext
from backout.runs.ended import Ended
from backout.runs.engine import Engine
from backout.runs.parts import Parts
from backout.runs.plan import Plan, build
from backout.steps.base import Kind
from backout.steps.verify import Verify, VerifyOptions

from .clock import ManualClock
from .transports import Shell
from .work import Person

HOSTS = ("web1", "web2", "web3")


class Killed(BaseException):
    """The deployer is killed here."""


@dataclass
class Fate:
    """Kills the deployer at a boundary, for good, and counts those that it passed."""

    at: int = 0
    passed: int = 0
    dead: bool = False

    def boundary(self) -> None:
        self.passed += 1
        self.dead = self.dead or self.passed == self.at
        if self.dead:
            raise Killed


@dataclass
class World:
    """What is on each machine (`here` is the deployer's), what runs there, and its notes."""

    directory: Path
    ill: str = ""
    """On this host the step `Bad` leaves what its check finds red."""
    fails: str = ""
    """On this host the step `Bad` fails."""
    residue: bool = False
    """Whether the undo of `Bad` leaves it ill."""
    disk: dict[str, list[str]] = field(default_factory=dict)
    running: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, Result] = field(default_factory=dict)
    fate: Fate = field(default_factory=Fate)

    def __post_init__(self) -> None:
        for name in (*HOSTS, "here"):
            self.disk[name] = ["old"]
            self.running[name] = ["old"]

    def command(self, key: str, state: State, effect: Any) -> Result:
        """A command under a note: killed beside it, it ends all the same."""
        self.fate.boundary()
        effect()
        self.notes[key] = Result(state, 0 if state is State.DONE else 1)
        self.fate.boundary()
        return self.notes[key]

    def do(self, step: str, host: str) -> State:
        if step == "Restart":
            self.running[host] = [*self.disk[host]]
        else:
            self.disk[host].append("ill" if step == "Bad" and host == self.ill else step)
        return State.FAILED if step == "Bad" and host == self.fails else State.DONE

    def undo(self, step: str, host: str) -> None:
        if step == "Bad" and host in (self.ill, self.fails) and self.residue:
            self.disk[host] = ["old", "ill"]
        else:
            left = [each for each in self.disk[host] if each not in (step, step == "Bad" and "ill")]
            self.disk[host] = left

    def examine(
        self,
        names: Sequence[str],
        hosts: Sequence[str],
        baseline: Sequence[Finding],
        release: Release,
        *,
        patient: bool = False,
    ) -> tuple[Finding, ...]:
        """`well` on each host, by what runs there, and `whole`, by what is here."""
        here = (
            Verdict.FAIL if "Switch" in self.disk["here"] and self.ill == "here" else Verdict.PASS
        )
        found = [Finding("whole", None, here)] if not names or "whole" in names else []
        for host in hosts if not names or "well" in names else ():
            verdict = Verdict.FAIL if "ill" in self.running[host] else Verdict.PASS
            found.append(Finding("well", host, verdict))
        return tuple(found)


@dataclass
class Machine(Shell):
    """A host's transport: a real shell for what only reads, the world's notes for the rest."""

    def __init__(self, world: World, name: str) -> None:
        host = Host(name=name or "here", connection="local")
        super().__init__(cwd=world.directory, env={"HOME": str(world.directory / name)}, host=host)
        (world.directory / name).mkdir(exist_ok=True)
        self.world = world

    def recall(self, key: str, wait: float) -> Result | None:
        return self.world.notes.get(key)


class Doing(Kind):
    """A kind of step that changes the world."""

    undoes = True
    world: ClassVar[World]

    def describe(self, work: StepContext) -> str:
        return work.step.name

    def before(self, work: StepContext) -> Undo:
        return Undo(text=f"take {work.step.name} back")

    def act(self, work: StepContext) -> Result:
        name, host = work.step.name, _place(work)
        ends: list[State] = []
        state = State.FAILED if name == "Bad" and host == self.world.fails else State.DONE
        return self.world.command(work.key, state, lambda: ends.append(self.world.do(name, host)))

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        return self.world.notes.get(work.key)

    def done(self, work: StepContext) -> bool | None:
        return None

    def undo(self, work: StepContext, undo: Undo) -> Result:
        name, host = work.step.name, _place(work)
        return self.world.command(work.key, State.DONE, lambda: self.world.undo(name, host))


def _place(work: StepContext) -> str:
    return work.host.name if work.host else "here"


class Mortal:
    """A journal around whose every record the deployer may be killed."""

    def __init__(self, journal: SqliteJournal, fate: Fate) -> None:
        self._journal = journal
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        write = getattr(self._journal, name)
        if name not in ("begin", "end", "note", "finish"):
            return write

        def mortal(*args: Any, **keys: Any) -> None:
            self._fate.boundary()
            write(*args, **keys)
            self._fate.boundary()

        return mortal


class Lease:
    """A lock that nobody else wants."""

    @contextmanager
    def hold(self, transports: Sequence[Machine], run: str, **keys: Any) -> Iterator[Sequence[str]]:
        yield ("", *HOSTS)

    def found(self, host: str) -> str | None:
        return None

    def lost(self, hosts: Collection[str] = ()) -> str:
        return ""

    def keep(self) -> None:
        """Nobody waits for it."""


def target(name: str, max_failures: int) -> Target:
    hosts = {host: Host(name=host, address=host, groups=("web",)) for host in HOSTS}
    checks = {
        "well": Check(name="well", kind="command", options=NoOptions(), on="all", expect=("true",)),
        "whole": Check(name="whole", kind="command", options=NoOptions(), expect=("true",)),
    }
    rollout = Rollout(batches=(1,), max_failures=max_failures, soak=0.0)
    return Target(name=name, hosts=hosts, checks=checks, rollout=rollout, state="~/state")


def runbook() -> Runbook:
    def step(name: str, on: str | None = "all") -> Step:
        return Step(name=name, kind="do", options=NoOptions(), on=on)

    gate = Step(name="Prove", kind="verify", options=VerifyOptions())
    steps = (step("Ship", None), step("Good"), step("Bad"), step("Switch", None))
    return Runbook(name="deploy", steps=steps, settle=(step("Restart"), gate))


@dataclass
class Deployer:
    """One run of the runbook over the world; each `say` is a process of its own."""

    world: World
    journal: SqliteJournal
    run: str
    max_failures: int = 0

    def __post_init__(self) -> None:
        clock = ManualClock()
        self.journal.open_run(
            self.run, self.run, "deploy", "deploy", {}, "ann@laptop", clock.now(), {}
        )

    @property
    def plan(self) -> Plan:
        number = Release(2)
        return build(
            run=self.run,
            verb="deploy",
            target=target(self.run, self.max_failures),
            runbook=runbook(),
            params={},
            release=number,
            previous=Release(1),
        )

    def say(self, verb: str, kill_at: int = 0) -> Ended | None:
        """None when it was killed."""
        self.world.fate = Fate(kill_at)
        kind = type("Kind", (Doing,), {"world": self.world})
        machines = {name: Machine(self.world, name or "here") for name in ("", *HOSTS)}
        parts = Parts(
            journal=cast("Any", Mortal(self.journal, self.world.fate)),
            lock=cast("Any", Lease()),
            clock=ManualClock(),
            vault=Vault({}, self.world.directory),
            operator=Person(),
            emit=lambda event: None,
            steps=cast("Mapping[str, Any]", {"do": kind, "verify": Verify}),
            reach=cast("Any", machines.__getitem__),
            restarter=cast("Any", None),
            examine=self.world.examine,
            pool=cast("Any", None),
            metrics=cast("Any", None),
        )
        try:
            ended: Ended = getattr(Engine(self.plan, parts), verb)()
        except Killed:
            return None
        return ended
