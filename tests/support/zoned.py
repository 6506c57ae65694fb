"""Many hosts of another zone, pretended ones too, and the workers that carry to them: what a deploy
takes of whoever drives it, of each worker, and of the database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from .journals import empty_ledger
from .postgres import Postgres
from .process import children
from .project import Project
from .wait import eventually

PRETENDED = Path(__file__).parent.parent.parent / "bench" / "pretended.py"
ILL = "test ! -e /srv/ill"


class Addresses(Protocol):
    """Real hosts."""

    port: int
    identity: Path

    def addresses(self, count: int) -> list[str]: ...
    def known_hosts(self, count: int) -> Path: ...


@dataclass(frozen=True)
class Took:
    """What a process took."""

    processor: float
    megabytes: float
    pretended: float = 0.0
    """Of the processor, what pretended machines took."""


@dataclass(frozen=True)
class Deployed:
    """One deploy: by the clock, by whom, and what came of it."""

    seconds: float
    driver: Took
    workers: tuple[Took, ...]
    database: float
    code: int
    failed: int

    def __str__(self) -> str:
        workers = ", ".join(f"{w.processor:.0f} ({w.megabytes:.0f} MB)" for w in self.workers)
        own = self.driver.processor - self.driver.pretended
        return (
            f"{self.seconds:5.0f} s; driver {own:.0f} s of a processor,"
            f" {self.driver.megabytes:.0f} MB; workers {workers or 'none'};"
            f" database {self.database:.0f}; the machines themselves {self.pretended:.0f};"
            f" exit {self.code}, {self.failed} failed"
        )

    @property
    def pretended(self) -> float:
        return self.driver.pretended + sum(each.pretended for each in self.workers)


class Team:
    """A project, its ledger, and workers in copies of their own."""

    def __init__(self, place: Path, server: Postgres, fleet: Addresses | None) -> None:
        self.place, self.fleet, self.server = place, fleet, server
        self.ledger = empty_ledger(server)
        self.project = Project(place / "driver", {"TEAM_LEDGER": self.ledger})
        self.program = [sys.executable, "-m", "backout"]
        if fleet is None:
            self.program = [sys.executable, str(PRETENDED)]
        rule = "ledger: {secret: TEAM_LEDGER}\nworkers: {zone: eu, grace: 1s}\n"
        (self.project.directory / "backout.yaml").write_text(rule)
        self.workers: list[subprocess.Popen[bytes]] = []

    def fill(self, count: int, *, zone: str, failures: int, first: int = 0) -> None:
        """So many hosts. Of pretended ones each whose number ends in 50 fails."""
        addresses = self.fleet.addresses(count) if self.fleet else [""] * count
        port = {"port": self.fleet.port} if self.fleet else {}
        hosts = {
            f"h{n}": {"address": each or f"h{n}.invalid", "groups": ["web"], **port}
            for n, each in enumerate(addresses, first)
        }
        groups = {"groups": {"web": {"zone": zone}}} if zone else {}
        batches = {"batches": [1, "25%", "100%"], "soak": "0s", "max_failures": failures}
        well = {"command": "true", "on": "web", "expect": ["exit_code == 0"]}
        inventory = {"hosts": hosts, **groups, "rollout": batches, "checks": {"there": well}}
        self.project.inventory("prod", {**inventory, **self._ssh(count)})
        usual = {"undo": "true", "on": "web"}
        steps = [{"name": f"Step {n}", "run": "true", **usual} for n in (1, 2)]
        last = {"name": "Step 3", "run": ILL, **usual}
        settle = [{"name": "Prove it", "verify": "all"}]
        self.project.runbook(
            "deploy", {"summary": "Steps.", "steps": [*steps, last], "settle": settle}
        )

    def _ssh(self, count: int) -> Mapping[str, Any]:
        if self.fleet is None:
            return {}
        known = str(self.fleet.known_hosts(count))
        ssh = {"user": "root", "connect_timeout": "60s", "known_hosts": known}
        return {"ssh": {**ssh, "identity": str(self.fleet.identity)}}

    def _env(self, name: str) -> Mapping[str, str]:
        told = {"PRETENDED_TOLD": str(self.place / f"{name}.told")}
        return {**os.environ, **self.project.env, "PYTHONDONTWRITEBYTECODE": "", **told}

    @contextmanager
    def crew(self, count: int) -> Iterator[None]:
        """So many workers of the zone of the hosts, that carry."""
        for number in range(count):
            copy = self.place / f"worker{number}"
            shutil.copytree(self.project.directory, copy)
            with (copy / "said").open("wb") as said:
                argv = [*self.program, "worker", "--zone", "us"]
                env = self._env(copy.name)
                started = subprocess.Popen(argv, cwd=copy, env=env, stdout=said, stderr=said)
            self.workers.append(started)
        try:
            eventually(lambda: self._carriers() == count, within=300, saying="the carriers")
            yield
        finally:
            self.dismiss()

    def _carriers(self) -> int:
        words = "SELECT count(*) FROM backout.carrier"
        return int(self.server.sql(words, self.ledger.rpartition("/")[2])[0][0])

    def dismiss(self) -> None:
        for each in self.workers:
            each.send_signal(signal.SIGTERM)
        for each in self.workers:
            try:
                each.wait(30)
            except subprocess.TimeoutExpired:
                each.kill()
        self.workers.clear()

    def deploy(self) -> Deployed:
        before = [processor(_tree(each.pid)) for each in self.workers]
        database = _database(self.server)
        started = time.perf_counter()
        argv = [*self.program, "deploy", "--target", "prod", "--yes", "--json"]
        with (self.place / "report").open("wb") as said:
            env = self._env("driver")
            driver = subprocess.Popen(
                argv, cwd=self.project.directory, env=env, stdout=said, stderr=subprocess.DEVNULL
            )
            _, status, used = os.wait4(driver.pid, 0)
        took = time.perf_counter() - started
        driver.returncode = os.waitstatus_to_exitcode(status)
        mine = Took(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, self._told("driver"))
        workers = tuple(
            Took(processor(_tree(each.pid)) - was, megabytes(each.pid))
            for each, was in zip(self.workers, before, strict=True)
        )
        base = _database(self.server) - database
        report = json.loads((self.place / "report").read_text())
        failed = len({each["host"] for each in report.get("failures", ()) if each["phase"] == "do"})
        return Deployed(took, mine, workers, base, driver.returncode, failed)

    def told(self, deployed: Deployed) -> Deployed:
        """With what the workers say that their pretended hosts took."""
        workers = tuple(
            replace(each, processor=each.processor - took, pretended=took)
            for n, each in enumerate(deployed.workers)
            for took in (self._told(f"worker{n}"),)
        )
        return replace(deployed, workers=workers)

    def _told(self, name: str) -> float:
        file = self.place / f"{name}.told"
        return float(file.read_text()) if file.exists() else 0.0


def _tree(pid: int) -> list[int]:
    return [pid, *children(pid)]


def _database(server: Postgres) -> float:
    time.sleep(0.5)  # until the sessions that ended are counted
    assert server._process is not None
    return processor(_tree(server._process.pid), gone=True)


def processor(pids: Iterable[int], *, gone: bool = False) -> float:
    """Seconds that they have taken, and with `gone` what their children took that have ended."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11 : 15 if gone else 13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> float:
    """The most that it has taken."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
