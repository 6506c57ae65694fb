"""A fleet in memory that a whole engine deploys to, and a deployer that may be killed at any record
and around any command. The journal is the real one; hosts keep notes as real ones do."""

# ruff: noqa: ARG002 - the seams give their methods a form

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.vault import Vault
from backout.errors import Refused, Unreachable
from backout.model import (
    Check,
    Command,
    Event,
    Finding,
    Host,
    Identity,
    Member,
    NoOptions,
    PoolState,
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
from backout.runs import release_file
from backout.runs.decisions import Stop
from backout.runs.ended import Ended
from backout.runs.engine import Consent, Engine
from backout.runs.parts import Parts
from backout.runs.plan import Plan, build
from backout.steps.base import Kind
from backout.steps.traffic import Traffic
from backout.steps.verify import Verify, VerifyOptions

from .clock import ManualClock
from .mortal import Fate, Killed, Mortal
from .transports import Shell
from .work import Person

HOSTS = ("web1", "web2", "web3")


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
    mends: bool = False
    """Whether `whole` is red until `Switch` is done here."""
    refuses: set[str] = field(default_factory=set)
    """What fails, by the words that `log` has for it; an undo or a balancer that does so changes
    nothing."""
    doubts: set[str] = field(default_factory=set)
    """Whose way back cannot be known, by the same words."""
    away: set[str] = field(default_factory=set)
    """The hosts that cannot be reached."""
    down: set[str] = field(default_factory=set)
    """The hosts whose service does not run, where they have one."""
    risk: str = ""
    """What a move of traffic may cost."""
    traffic: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(HOSTS, True))
    """Which hosts the balancer sends requests to."""
    records: dict[str, str] = field(default_factory=dict)
    """The release file of each host."""
    log: list[str] = field(default_factory=list)
    """What was done and undone: `Good web1`, `-Good web1`."""
    then: dict[str, Callable[[], Any]] = field(default_factory=dict)
    """What happens right after such a word."""
    disk: dict[str, list[str]] = field(default_factory=dict)
    running: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, Result] = field(default_factory=dict)
    strange: dict[str, Sequence[str]] = field(default_factory=dict)
    """The notes on a host that no journal knows."""
    fate: Fate = field(default_factory=Fate)

    def __post_init__(self) -> None:
        for name in (*HOSTS, "here"):
            self.disk[name] = ["old"]
            self.running[name] = ["old"]

    def command(self, key: str, words: str, effect: Callable[[], None]) -> Result:
        """A command under a note: killed beside it, it ends all the same."""
        self.fate.boundary()
        self.log.append(words)
        refused = words in self.refuses or words == f"Bad {self.fails}"
        if not (refused and words.startswith(("-", "in ", "out "))):
            effect()
        self.notes[key] = Result(State.FAILED, 1) if refused else Result(State.DONE, 0)
        self.then.get(words, lambda: None)()
        self.fate.boundary()
        return self.notes[key]

    def reach(self, name: str) -> Machine:
        if name in self.away:
            raise Unreachable(f"{name} is away", next=f"ping {name}")
        return Machine(self, name or "here")

    def dies_after(self, words: str) -> None:
        """The deployer does, right then."""
        self.then[words] = lambda: setattr(self.fate, "dead", True)

    def do(self, step: str, host: str) -> None:
        if step == "Restart":
            self.running[host] = [*self.disk[host]]
        else:
            self.disk[host].append("ill" if step == "Bad" and host == self.ill else step)

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
        switched = "Switch" in self.disk["here"]
        broken = (switched and self.ill == "here") or (self.mends and not switched)
        here = Verdict.FAIL if broken else Verdict.PASS
        found = [Finding("whole", None, here)] if not names or "whole" in names else []
        for host in hosts if not names or "well" in names else ():
            verdict = Verdict.FAIL if "ill" in self.running[host] else Verdict.PASS
            found.append(Finding("well", host, Verdict.ERROR if host in self.away else verdict))
        return tuple(found)


@dataclass
class Machine(Shell):
    """A host's transport: its release file and its notes are the world's, all else is for a real
    shell."""

    def __init__(self, world: World, name: str) -> None:
        host = Host(name=name or "here", connection="local")
        super().__init__(cwd=world.directory, env={"HOME": str(world.directory / name)}, host=host)
        (world.directory / name).mkdir(exist_ok=True)
        self.world = world

    def run(self, command: Command) -> Result:
        records, name = self.world.records, self.host.name
        if command.puts:
            *_, records[name] = shlex.split(command.script)
        elif release_file.NAME not in command.script:
            return super().run(command)
        return Result(State.DONE, 0, records.get(name, ""))

    def recall(self, key: str, wait: float) -> Result | None:
        return self.world.notes.get(key)

    def unexplained(self, run: str, keys: Iterable[str]) -> Sequence[str]:
        return self.world.strange.get(self.host.name, ())


class Doing(Kind):
    """A kind of step that changes the world."""

    undoes = True
    beside = False
    world: ClassVar[World]

    def describe(self, work: StepContext) -> str:
        return work.step.name

    def before(self, work: StepContext) -> Undo:
        if f"{work.step.name} {_place(work)}" in self.world.doubts:
            raise Refused("its way back is not known", next=f"look at {work.step.name}")
        words, gone = f"take {work.step.name} back", work.step.irreversible or ""
        was = self.world.running[_place(work)][-1]
        data = {"first": True, "was": was} if self.beside else {}
        return Undo(words, data, irreversible=gone)

    def act(self, work: StepContext) -> Result:
        name, host = work.step.name, _place(work)
        was = work.went.data.get("was") if self.beside and work.went else None
        words = f"{name} to {was}" if was else name
        return self.world.command(work.key, f"{words} {host}", lambda: self.world.do(name, host))

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        self.world.reach(_place(work))
        return self.world.notes.get(work.key)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        name, host = work.step.name, _place(work)
        return self.world.command(work.key, f"-{name} {host}", lambda: self.world.undo(name, host))


@dataclass(frozen=True)
class Serving:
    """The restart backend of a host, as far as a run asks it."""

    world: World
    host: str

    restart = stop = find = streams = None

    def identity(self) -> Identity:
        return Identity(up=self.host not in self.world.down)

    def logs(self, lines: int) -> str:
        """What was done on its host so far."""
        return "\n".join(each for each in self.world.log if each.endswith(f" {self.host}"))


@dataclass(frozen=True)
class Edge:
    """The pool of a balancer that does at once what it is told, `out web1` or `in web1`, unless
    `edge` is away."""

    world: World

    def look(self) -> PoolState:
        if "edge" in self.world.away:
            raise Unreachable("edge is away")
        pairs = self.world.traffic.items()
        members = tuple(Member(name, takes, True, 0, "1") for name, takes in pairs)
        return PoolState(members, risk=self.world.risk)

    def apply(self, key: str, wanted: Sequence[Member]) -> Result:
        words = ", ".join(f"{'in' if each.takes else 'out'} {each.name}" for each in wanted)
        become = {each.name: each.takes for each in wanted}
        return self.world.command(key, words, lambda: self.world.traffic.update(become))

    def spelled(self, wanted: Sequence[Member]) -> str:
        return ", ".join(each.name for each in wanted)


def _place(work: StepContext) -> str:
    return work.host.name if work.host else "here"


class Lease:
    """A lock that nobody else wants, unless `taken` says who does."""

    def __init__(self, taken: str = "") -> None:
        self.taken = taken
        self.kept = False
        self.away: Collection[str] = ()
        """The hosts that cannot be asked."""
        self.held: list[list[str]] = []
        """The machines that have to be held, and those that may be, of the last run."""

    @contextmanager
    def hold(self, transports: Sequence[Machine], run: str, **keys: Any) -> Iterator[Sequence[str]]:
        self.held = [[t.host.name for t in some] for some in (transports, keys.get("others", ()))]
        yield ("", *HOSTS)

    def found(self, host: str) -> str | None:
        return None

    def lost(self, hosts: Collection[str] = ()) -> str:
        return self.taken or ", ".join(host for host in hosts if host in self.away)

    def refused(self, host: str) -> str:
        return ""

    def keep(self) -> None:
        self.kept = True


def target(name: str, max_failures: int) -> Target:
    hosts = {host: Host(name=host, address=host, groups=("web",)) for host in HOSTS}
    checks = {
        "well": Check(name="well", kind="command", options=NoOptions(), on="all", expect=("true",)),
        "whole": Check(name="whole", kind="command", options=NoOptions(), expect=("true",)),
    }
    rollout = Rollout(batches=(1,), max_failures=max_failures, soak=0.0)
    return Target(name=name, hosts=hosts, checks=checks, rollout=rollout, state="~/state")


def step(name: str, on: str | None = "all", kind: str = "do", **keys: Any) -> Step:
    """Of kind `late` it is taken back after its host has settled, what `aside` changes no service
    runs, and `beside` swaps releases: nobody sees the new one any more once that is undone."""
    return Step(name=name, kind=kind, options=NoOptions(), on=on, **keys)


def runbook() -> Runbook:
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
    book: Runbook = field(default_factory=runbook)
    keys: dict[str, Any] = field(default_factory=dict)
    """What else its plan is made with."""
    seams: dict[str, Any] = field(default_factory=dict)
    """What else its parts are."""
    person: Person = field(default_factory=Person)
    lease: Lease = field(default_factory=Lease)
    told: list[Event] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)
    consent: Consent = lambda *_: None

    def __post_init__(self) -> None:
        self.lease.away = self.world.away
        clock = ManualClock()
        self.journal.open_run(
            self.run, self.run, "deploy", "deploy", {}, "ann@laptop", clock.now(), {}
        )

    @property
    def plan(self) -> Plan:
        return build(
            run=self.run,
            verb="deploy",
            runbook=self.book,
            params={},
            **{
                "release": Release(2),
                "previous": Release(1),
                "target": target(self.run, self.max_failures),
                **self.keys,
            },
        )

    @property
    def kinds(self) -> dict[str, Any]:
        kind = type("Kind", (Doing,), {"world": self.world})
        return {
            "do": kind,
            "late": type("Late", (kind,), {"settles_first": lambda *_: True}),
            "aside": type("Aside", (kind,), {"reaches": False}),
            "beside": type("Beside", (kind,), {"beside": True}),
            "traffic": Traffic,
            "verify": Verify,
        }

    def say(self, verb: str, kill_at: int = 0) -> Ended | None:
        """None when it was killed."""
        return self.lives(
            lambda parts: getattr(Engine(self.plan, parts, self.consent), verb)(), kill_at
        )

    def lives(self, does: Callable[[Parts], Ended], kill_at: int = 0) -> Ended | None:
        """A process that does so; None when it was killed."""
        self.world.fate = Fate(kill_at)
        parts = Parts(
            journal=cast("Any", Mortal(self.journal, self.world.fate)),
            lock=cast("Any", self.lease),
            clock=ManualClock(),
            vault=Vault({}, self.world.directory),
            operator=self.person,
            emit=self.told.append,
            steps=self.kinds,
            reach=cast("Any", self.world.reach),
            restarter=lambda host: cast("Any", Serving(self.world, host)),
            examine=self.world.examine,
            pool=lambda _, __: Edge(self.world),
            metrics=cast("Any", None),
            stop=self.stop,
        )
        try:
            return does(replace(parts, **self.seams))
        except Killed:
            return None
