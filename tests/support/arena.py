"""The hosts, the ledger and the operators of many rounds: each operator has a working copy, a
network and a wall clock of its own, over the same SSH hosts; their ledger is one PostgreSQL, or
each has its own.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from . import faketime
from .guard import guard
from .netns import NetnsBed
from .operators import Operator
from .postgres import Postgres
from .project import Project
from .proxy import Proxy
from .tools import program
from .wait import NeverHappened, eventually

STEPS = ("One", "Two")
WORKERS = "workers: {after: 3s, grace: 2s, rescue: resume}\n"


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

    def add(self, other: Tally) -> None:
        """What became of other rounds."""
        for name in ("rounds", "deployed", "backed_out", "nothing", "persons"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name, count in other.happened.items():
            self.happened[name] = self.happened.get(name, 0) + count
        self.violations += other.violations

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.happened.items()))
        return (
            f"{self.rounds} rounds ({faults}): {self.deployed} deployed, {self.backed_out} backed"
            f" out, {self.nothing} changed nothing, {self.persons} left to a person;"
            f" {len(self.violations)} violations"
        )


class Arena:
    """The hosts, the ledger and the operators, made once for many rounds."""

    def __init__(
        self,
        directory: Path,
        *,
        shared: bool = True,
        without: Sequence[str] = (),
        slow: float = 0.0,
        lease: int = 3,
        workers: int = 0,
        zone: str = "",
    ) -> None:
        """Leases last so many seconds; with so many workers; where hosts are of a `zone`, those
        alone reach them; for the others see `be`."""
        self.directory = directory
        self.shared = shared
        self.lease = lease
        self.zone = zone
        self.tally = Tally()
        self.files = directory / "files"
        self.bed = NetnsBed(directory / "bed", environment=faketime.settings())
        self.operators: tuple[Operator, ...] = ()
        self.workers: tuple[Operator, ...] = ()
        self._names = "ab" + "cdef"[:workers]
        self.be(without=without, slow=slow)
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
        seats = tuple(self._seat(number, name) for number, name in enumerate(self._names))
        self.operators, self.workers = seats[:2], seats[2:]
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.everybody:
            each.signal(signal.SIGKILL)
            each.over()
        self._stack.close()

    def be(self, *, without: Sequence[str] = (), slow: float = 0.0) -> None:
        """From now on these guards are taken away, and hosts take so many seconds between two looks
        of a command."""
        self.slow = slow
        settings = {"SEAT_LEASE": f"{self.lease}", "SEAT_SLOW": f"{slow:g}"}
        self._settings = {**settings, "SEAT_WITHOUT": " ".join(without)}

    @property
    def everybody(self) -> tuple[Operator, ...]:
        return (*self.operators, *self.workers)

    def sql(self, query: str) -> list[list[str]]:
        """What the ledger's database answers, past everybody's cables."""
        assert self._postgres is not None
        return self._postgres.sql(query, "ledger")

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
        for host in self.bed if number > 1 or not self.zone else ():
            _cable(network, own, host.name, host.network, host.address, name)
        operator = Operator(name, self.directory / name, network)
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
                **({"groups": {"web": {"zone": self.zone}}} if self.zone else {}),
                "ssh": {**self.bed.inventory_ssh(), "connect_timeout": "3s"},
                "rollout": {"batches": ["100%"], "soak": "0s"},
                "checks": {"there": {"command": "true", "expect": ["exit_code == 0"]}},
            },
        )
        if self._names != "ab":
            (project.directory / "backout.yaml").write_text(WORKERS)
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
            # 75 is a lock that somebody holds; libfaketime may end any program with a plain 1.
            busy = f"exec 9>>{lock}\nflock -n -E 75 9\n"
            busy += f"[ $? != 75 ] || echo {about} >> {self.files}/beside"
            return f"{busy}\necho {about} >> {log}\n{script}"

        return {"name": name, "run": told("act", act), "undo": told("undo", undo), "on": "all"}

    def fresh(self) -> None:
        """Nothing was ever deployed."""
        self.tally = Tally()
        for operator in self.everybody:
            operator.typed, operator.bugs, operator.heard = [], [], []
            operator.env |= self._settings
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
            self.sql("DROP SCHEMA IF EXISTS backout, backout_queue CASCADE")

    # --- what can happen to it -----------------------------------------------------------

    def cable(self, operator: Operator, host: str, *, up: bool) -> None:
        """The cable between an operator and a host: nothing passes, and neither side is told."""
        to = self.bed[host].network
        _ip("-n", to, "link", "set", "dev", operator.name, "up" if up else "down")

    def acting(self, count: int) -> None:
        """Wait until so many commands have begun to act on the first host."""
        log = self.files / f"{next(iter(self.bed)).name}.log"
        eventually(lambda: len(log.read_text().splitlines()) >= count)

    def expired(self) -> bool:
        """Whether no host's lease lives."""
        now = float(Path("/proc/uptime").read_text().split()[0])
        leases = (host.home / ".backout" / "prod" / "lock" / "expires" for host in self.bed)
        return all(float(lease.read_text().split()[1]) < now for lease in leases)

    def kill_sessions(self) -> None:
        """Every session on the hosts; where they are slow, while a command is on its way."""
        pause = f"sleep {self.slow:g}"
        with suppress(NeverHappened):
            eventually(
                lambda: not self.slow or pause in next(iter(self.bed)).machine.processes().values(),
                within=60,
            )
        for host in self.bed:
            host.kill_sessions()

    @contextmanager
    def stands_still(self) -> Iterator[Path]:
        """The next command on the first host, where hosts are slow: it has arrived, and goes on to
        its note only when this ends. Gives the folder of the host's notes."""
        host = next(iter(self.bed))
        notes = host.home / ".backout" / "prod" / "notes"
        known = set(notes.glob("*/*.start"))

        def send(name: str) -> bool:
            argv = ("pkill", f"-{name}", "-x", "-f", f"sleep {self.slow:g}")
            return host.machine.run(*argv, check=False).returncode == 0

        eventually(lambda: send("STOP"), saying="a command on its way")
        assert set(notes.glob("*/*.start")) == known, "it has come to its note"
        yield notes
        assert send("CONT")

    @contextmanager
    def on_its_way(self) -> Iterator[None]:
        """The same, and this ends with the command."""

        def over(note: Path) -> bool:
            return note.with_suffix(".end").exists() or note.read_text() == "void\n"

        with self.stands_still() as notes:
            yield
            others = set(notes.glob("*/*.start"))
        eventually(lambda: any(map(over, set(notes.glob("*/*.start")) - others)), saying="its end")

    def database(self, operator: Operator, *, up: bool) -> None:
        """The cable between an operator and the database."""
        _ip("link", "set", "dev", f"{operator.network}d", "up" if up else "down")

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """What is decided of a run is not written meanwhile, and its records are. Gives when
        somebody is about to decide; whoever was is cut off from the database at the end."""
        assert self._postgres is not None
        dsn = self._postgres.dsn("ledger")
        waiting = "pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE%'"
        with psycopg.connect(dsn) as watcher, psycopg.connect(dsn, autocommit=True) as looker:
            eventually(
                lambda: watcher.execute("SELECT id FROM backout.run FOR SHARE").fetchone(),
                within=60,
                ignoring=(psycopg.Error,),
                saying="a run",
            )
            eventually(
                lambda: looker.execute(f"SELECT 1 FROM {waiting}").fetchone(),
                within=60,
                saying="a decision",
            )
            yield
            looker.execute(f"SELECT pg_terminate_backend(pid) FROM {waiting}")

    def restart(self) -> None:
        """The database's server, sessions or not."""
        assert self._postgres is not None
        self._postgres.stop()
        self._postgres.start()


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
