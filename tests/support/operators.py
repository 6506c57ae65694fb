"""Two operators on one target, and what can happen to them, to their links and to their ledger.

Each has a working copy, a network and a wall clock of its own, over the same SSH hosts; their
ledger is one PostgreSQL, or each has its own. What a round does is drawn from its seed. Afterwards
either of them ends what is unfinished, and `linear` judges.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from . import faketime, linear, warm
from .guard import guard
from .netns import NetnsBed
from .postgres import Postgres
from .project import Project, Said
from .proxy import Proxy
from .tools import program
from .wait import NeverHappened, eventually

SEAT = str(Path(__file__).with_name("seat.py"))
LEASE = 3.0
"""Seconds that a lease lasts here."""
STEPS = ("One", "Two")
HOUR = 3600
LONG = 300.0
"""Seconds after which a verb is taken for hung."""
OTHERS = (
    ("resume",),
    ("abort",),
    ("abort", "deploy"),
    ("deploy",),
    ("unlock", "deploy"),
    ("unlock --force", "deploy"),
)
"""What the other operator types."""
FAULTS = (
    *("kill", "freeze", "freeze", "freeze", "hosts away", "one host away", "sessions killed"),
    *("clock", "a host's clock", "nothing"),
)
DATABASE_FAULTS = ("database away", "database restarted", "the database's clock")
JUMPS = (-HOUR, HOUR, 24 * HOUR)


@dataclass
class Tally:
    """What became of the rounds."""

    rounds: int = 0
    deployed: int = 0
    backed_out: int = 0
    nothing: int = 0
    """No run changed anything."""
    persons: int = 0
    """A run that had to be given up, which a person has to see to."""
    happened: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.happened.items()))
        return (
            f"{self.rounds} rounds ({faults}): {self.deployed} deployed, {self.backed_out} backed"
            f" out, {self.nothing} changed nothing, {self.persons} left to a person;"
            f" {len(self.violations)} violations"
        )


class Operator:
    """A working copy, where its verbs are typed, and what can be done to them."""

    def __init__(self, name: str, directory: Path, network: str) -> None:
        self.name = name
        self.project = Project(directory)
        self.network = network
        self.clock = directory / "clock"
        self.clock.write_text("0")
        self.process: warm.Started | None = None
        self.typed: list[str] = []
        """What was typed in this round, and what it came to."""
        self.bugs: list[str] = []
        self.env = {**self.project.env, "SEAT_NETWORK": network, "SEAT_CLOCK": str(self.clock)}
        self._hands: Thread | None = None

    def type(self, *verbs: str) -> None:
        """Type these one after the other, while other things happen."""
        self._hands = Thread(target=lambda: [self.say(*verb.split()) for verb in verbs])
        self._hands.start()

    def over(self) -> None:
        """Wait for the end of what was typed."""
        if self._hands is not None:
            self._hands.join()
            self._hands = None

    def say(self, *words: str) -> Said | None:
        """What a verb came to; None when it was killed."""
        asks = () if words[0] == "history" else ("--yes",)
        argv = (*words, "--target", "prod", "--json", *asks)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            output, here = (out.fileno(), err.fileno()), self.project.directory
            began = time.monotonic()
            self.process = warm.start(argv, here, self.env, output, program=(SEAT,))
            code = self._end_of(self.process)
            self.process = None
            out.seek(0)
            err.seek(0)
            said = Said(code, out.read().decode(), err.read().decode())
        took = time.monotonic() - began
        self.typed.append(f"{self.name}: {' '.join(words)}: {code} after {took:.0f} s")
        if code == 1:
            self.bugs.append(f"{self.typed[-1]}: {said.out}{said.err}")
        return said if code >= 0 else None

    def _end_of(self, process: warm.Started) -> int:
        try:
            return process.wait(LONG)
        except subprocess.TimeoutExpired:
            self.bugs.append(f"{process.args[1]} hung")
            process.kill()
            return process.wait()

    def signal(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)


class Arena:
    """The hosts, the ledger and the operators, made once for many rounds."""

    def __init__(
        self,
        directory: Path,
        *,
        shared: bool = True,
        without: Sequence[str] = (),
        slow: float = 0.0,
    ) -> None:
        self.directory = directory
        self.shared = shared
        self.slow = slow
        self.tally = Tally()
        self.files = directory / "files"
        self.bed = NetnsBed(directory / "bed", environment=faketime.settings())
        self.operators: tuple[Operator, ...] = ()
        self._settings = {
            "SEAT_LEASE": str(LEASE),
            "SEAT_SLOW": f"{slow:g}",
            "SEAT_WITHOUT": " ".join(without),
        }
        self._stack = ExitStack()
        self._postgres: Postgres | None = None
        self._proxy: Proxy | None = None

    def __enter__(self) -> Arena:
        self._stack.enter_context(self.bed)
        if self.shared:
            place = self.directory / "postgres"
            settings = faketime.settings(self._database_clock)
            server = Postgres(place, environment=settings)
            self._postgres = self._stack.enter_context(server)
            self._postgres.create_database("ledger")
        self.operators = tuple(self._seat(number, name) for number, name in enumerate("ab"))
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.operators:
            each.signal(signal.SIGKILL)
            each.over()
        self._stack.close()

    # --- the world -----------------------------------------------------------------------

    @property
    def _database_clock(self) -> Path:
        return self.directory / "database-clock"

    def set_clock(self, host: str, seconds: int) -> None:
        """What the wall clock of a host is wrong by."""
        faketime.set_clock(self.bed[host].machine.home / faketime.NAME, seconds)

    def set_database_clock(self, seconds: int) -> None:
        """What the wall clock of the database's server is wrong by."""
        faketime.set_clock(self._database_clock, seconds)

    def _seat(self, number: int, name: str) -> Operator:
        first = next(iter(self.bed))
        network = f"{first.network.rpartition('-')[0]}-{name}"
        own, near = _address(self.bed.gateway, 40 + number), _address(self.bed.gateway, 50 + number)
        token = guard.add([program("ip"), "netns", "delete", network])
        self._stack.callback(guard.remove, token)
        _ip("netns", "add", network)
        self._stack.callback(_ip, "netns", "delete", network)
        _ip("-n", network, "link", "set", "dev", "lo", "up")
        for host in self.bed:
            _cable(network, own, host.name, host.network, host.address, name)
        operator = Operator(name, self.directory / name, network)
        operator.env |= self._settings
        if self._postgres is not None:
            db = f"{network}d"
            _ip("link", "add", db, "type", "veth", "peer", "name", "db", "netns", network)
            _ip("address", "add", near, "peer", own, "dev", db)
            _ip("link", "set", "dev", db, "up")
            _ip("-n", network, "address", "add", own, "peer", near, "dev", "db")
            _ip("-n", network, "link", "set", "dev", "db", "up")
            proxy = self._stack.enter_context(Proxy(("127.0.0.1", self._postgres.port), near))
            address = f"postgresql://postgres@{near}:{proxy.port}/ledger"
            operator.env["BACKOUT_LEDGER"] = address
        self._write_project(operator.project)
        return operator

    def _write_project(self, project: Project) -> None:
        project.inventory(
            "prod",
            {
                "hosts": self.bed.inventory_hosts(),
                "ssh": {**self.bed.inventory_ssh(), "connect_timeout": "3s"},
                "rollout": {"batches": ["100%"], "soak": "0s"},
                "checks": {"there": {"command": "true", "expect": ["exit_code == 0"]}},
            },
        )
        steps = [self._step(name) for name in STEPS]
        runbook = {"summary": "Effects that can be counted.", "steps": [*steps, self._release()]}
        project.runbook("deploy", {**runbook, "settle": [{"verify": "all"}]})

    def _step(self, name: str) -> dict[str, str]:
        """One line in a file of its own; its undo removes the file. Both say when they find another
        command at work on that host."""
        place = f"{self.files}/{{{{ run.id }}}}-{name}-{{{{ host.name }}}}"
        act = f"sleep 0.1\necho once >> {place}\nsleep 0.1"
        return self._alone(name, act, f"sleep 0.1\nrm -f {place}")

    def _release(self) -> dict[str, str]:
        current = f"{self.files}/{{{{ host.name }}}}.current"
        before = f"{current}.before.{{{{ run.id }}}}"
        act = f"[ -e {before} ] || cp {current} {before}\necho {{{{ run.id }}}} > {current}"
        return self._alone("Release", act, f"if [ -e {before} ]; then cp {before} {current}; fi")

    def _alone(self, name: str, act: str, undo: str) -> dict[str, str]:
        lock, log = (f"{self.files}/{{{{ host.name }}}}.{end}" for end in ("lock", "log"))

        def told(word: str, script: str) -> str:
            about = f"{{{{ run.id }}}} {name} {word}"
            busy = f"exec 9>>{lock}\nflock -n 9 || echo {about} >> {self.files}/beside"
            return f"{busy}\necho {about} >> {log}\n{script}"

        return {"name": name, "run": told("act", act), "undo": told("undo", undo), "on": "all"}

    def fresh(self) -> None:
        for operator in self.operators:
            operator.typed, operator.bugs = [], []
            operator.clock.write_text("0")
            shutil.rmtree(operator.project.state, ignore_errors=True)
        for host in self.bed:
            shutil.rmtree(host.home / ".backout", ignore_errors=True)
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir()
        self.set_database_clock(0)
        for host in self.bed:
            self.set_clock(host.name, 0)
            (self.files / f"{host.name}.current").write_text("")
        if self._postgres is not None:
            self._postgres.sql("DROP SCHEMA IF EXISTS backout CASCADE", "ledger")

    # --- rounds --------------------------------------------------------------------------

    def round(self, seed: int) -> Tally:
        """What a seed says happens; see `Tally`."""
        self.fresh()
        Round(self, random.Random(seed)).run(seed)
        return self.tally

    def cable(self, operator: Operator, host: str, *, up: bool) -> None:
        """The cable between an operator and a host: nothing passes, and neither side is told."""
        to = self.bed[host].network
        _ip("-n", to, "link", "set", "dev", operator.name, "up" if up else "down")

    def acting(self, count: int) -> None:
        """Wait until so many commands have begun to act on the first host."""
        log = self.files / f"{next(iter(self.bed)).name}.log"
        eventually(lambda: len(log.read_text().splitlines()) >= count, within=60)

    def kill_sessions(self) -> None:
        """Every session on the hosts; where they are slow, while a command is on its way."""
        pause = f"sleep {self.slow:g}"
        with suppress(NeverHappened):
            eventually(
                lambda: not self.slow or pause in next(iter(self.bed)).machine.processes().values(),
                within=15,
            )
        for host in self.bed:
            host.kill_sessions()

    def database(self, operator: Operator, *, up: bool) -> None:
        """The cable between an operator and the database."""
        _ip("link", "set", "dev", f"{operator.network}d", "up" if up else "down")

    def restart(self) -> None:
        """The database's server, sessions or not."""
        assert self._postgres is not None
        self._postgres.stop()
        self._postgres.start()


class Round:
    """One round: a deploy, what happens to it, what the other one types; and the end of it."""

    def __init__(self, arena: Arena, random: random.Random) -> None:
        self.arena = arena
        self.random = random
        first, second = random.sample(arena.operators, 2)
        self.first, self.second = first, second

    def run(self, seed: int) -> None:
        self.first.type("deploy")
        healing = list[Callable[[], None]]()
        for _ in range(self.random.randint(1, 2)):
            self._pass(self.random.uniform(0.3, 2.2))
            healing.append(self._fault(self.first))
        self._pass(self.random.choice([0.2, LEASE + 1, LEASE + 1]))
        self.second.type(*self.random.choice(OTHERS))
        if self.random.random() < 0.6:
            self.second.over()
        else:
            self._pass(self.random.uniform(0.1, 2.5))
            healing.append(self._fault(self.second))
            self._pass(self.random.choice([0.2, LEASE + 1]))
        for heal in healing:
            heal()
        self.end(f"seed {seed}")

    def end(self, name: str) -> None:
        """What was typed comes to its end, then what is unfinished; and all of it is judged."""
        for operator in self.arena.operators:
            operator.over()
        self._end()
        self._judge(name)

    def _pass(self, seconds: float) -> None:
        time.sleep(seconds)  # the moment is the subject

    # --- what happens --------------------------------------------------------------------

    def _fault(self, operator: Operator) -> Callable[[], None]:
        """Something happens to an operator; gives what ends it."""
        names = FAULTS + (DATABASE_FAULTS if self.arena.shared else ())
        name = self.random.choice(names)
        operator.typed.append(f"{operator.name} has: {name}")
        happened = self.arena.tally.happened
        happened[name] = happened.get(name, 0) + 1
        return self.happens(name, operator)

    def happens(self, name: str, operator: Operator) -> Callable[[], None]:
        """This happens to an operator; gives what puts it right again."""
        arena = self.arena
        hosts = [host.name for host in arena.bed]
        match name:
            case "kill":
                operator.signal(signal.SIGKILL)
            case "freeze":
                operator.signal(signal.SIGSTOP)
                return partial(operator.signal, signal.SIGCONT)
            case "hosts away" | "one host away":
                chosen = hosts if name == "hosts away" else [self.random.choice(hosts)]
                return self._away(operator, chosen)
            case "sessions killed":
                arena.kill_sessions()
            case "clock":
                operator.clock.write_text(str(self.random.choice(JUMPS)))
            case "a host's clock":
                arena.set_clock(self.random.choice(hosts), self.random.choice(JUMPS))
            case "the database's clock":
                arena.set_database_clock(self.random.choice(JUMPS))
            case "database away":
                arena.database(operator, up=False)
                return partial(arena.database, operator, up=True)
            case "database restarted":
                arena.restart()
        return _nothing

    def _away(self, operator: Operator, hosts: Sequence[str]) -> Callable[[], None]:
        for host in hosts:
            self.arena.cable(operator, host, up=False)

        def heal() -> None:
            for host in hosts:
                self.arena.cable(operator, host, up=True)

        return heal

    # --- the end of it -------------------------------------------------------------------

    def _end(self) -> None:
        """Either of them goes on with what is unfinished, until nothing is; what nobody can end is
        given up."""
        left, refused = list(self.arena.operators), False
        for _ in range(10):
            if not left:
                break
            operator = self.random.choice(left)
            said = operator.say(self.random.choice(["resume", "abort"]))
            if said is None:
                continue
            if said.code == 3:
                refused = refused or "no unfinished run" not in said.out
                left.remove(operator)
                continue
            left = list(self.arena.operators)
            self._pass(1.0 if said.code == 7 else 0.2)
        for operator in self.arena.operators if refused or left else ():
            operator.say("unlock", "--force")

    def _judge(self, name: str) -> None:
        tally, arena = self.arena.tally, self.arena
        outcomes = self._outcomes()
        hosts = [
            linear.host(host.name, arena.files, host.home / ".backout" / "prod")
            for host in arena.bed
        ]
        found = list(linear.faults(hosts, STEPS, outcomes, arena.files))
        found += [bug for operator in arena.operators for bug in operator.bugs]
        if found:
            typed = [operator.typed for operator in arena.operators]
            tally.violations.append(f"{name}: {found}; {typed}; {outcomes}")
        tally.rounds += 1
        ends = set().union(*outcomes.values()) if outcomes else set()
        unclear = [w for w in outcomes.values() if not w & linear.OVER and w != linear.UNTOUCHED]
        tally.persons += bool(unclear)
        tally.deployed += "succeeded" in ends
        tally.backed_out += "backed_out" in ends and "succeeded" not in ends
        tally.nothing += not ends & linear.OVER

    def _outcomes(self) -> dict[str, set[str]]:
        outcomes: dict[str, set[str]] = {}
        for operator in self.arena.operators:
            said = operator.say("history")
            assert said is not None, said
            assert said.code == 0, said
            for run in said.data["runs"]:
                outcomes.setdefault(run["run"], set()).add(str(run["outcome"]))
        return outcomes


def _nothing() -> None:
    """Nothing has to be put right again."""


def _address(base: str, number: int) -> str:
    head, _, last = base.rpartition(".")
    return f"{head}.{int(last) + number}"


def _cable(network: str, own: str, name: str, to: str, address: str, back: str) -> None:
    _ip("-n", network, "link", "add", name, "type", "veth", "peer", "name", back, "netns", to)
    _ip("-n", network, "address", "add", own, "peer", address, "dev", name)
    _ip("-n", to, "address", "add", address, "peer", own, "dev", back)
    _ip("-n", network, "link", "set", "dev", name, "up")
    _ip("-n", to, "link", "set", "dev", back, "up")


def _ip(*arguments: str) -> None:
    subprocess.run([program("ip"), *arguments], check=True, stdin=subprocess.DEVNULL)


@contextmanager
def arena(**settings: Any) -> Iterator[Arena]:
    """An arena in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="arena-", dir="/tmp") as name, ExitStack() as stack:
        Path(name).chmod(0o755)  # PostgreSQL's own user passes through
        yield stack.enter_context(Arena(Path(name), **settings))
