"""Hosts that only another zone reaches: its workers run there what a driver elsewhere has made. On
real hosts, whose names, keys and logins the driver does not have, and a real PostgreSQL."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.journals import empty_ledger
from support.postgres import Postgres
from support.process import children
from support.project import Project
from support.sshd import SshdBed
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

SECRET = "h0rse-stapler"
RULE = """\
ledger: {{secret: TEAM_LEDGER}}
workers: {{zone: eu, after: {after}, grace: 10s}}
"""


@dataclass
class Worker:
    """One, with the name by which it carries."""

    id: str
    process: Started

    def signal(self, number: int) -> None:
        for pid in (self.process.pid, *children(self.process.pid)):
            os.kill(pid, number)


class Zones:
    """One project. The driver is of zone eu and reaches web1; workers of zone us reach web2 and
    web3, whose names mean nothing elsewhere."""

    def __init__(self, directory: Path, bed: SshdBed, postgres: Postgres) -> None:
        self.directory, self.bed, self.postgres = directory, bed, postgres
        self.yard = Yard(directory, bed)
        self.project: Project = self.yard.project
        self.ledger = empty_ledger(postgres)
        self.database = self.ledger.rpartition("/")[2]
        self.project.env |= {"TEAM_LEDGER": self.ledger, "HOME": str(self._home("eu", "web1"))}
        self.rule()
        self.inventory()

    def rule(self, after: str = "2s") -> None:
        (self.project.directory / "backout.yaml").write_text(RULE.format(after=after))

    def inventory(self, **changes: Any) -> None:
        hosts = self.bed.inventory_hosts()
        for name in ("web2", "web3"):
            hosts[name] = {"address": f"{name}.us", "groups": ["web", "us"]}
        port = {"tcp": self.bed.port, "on": "web", "expect": ["connected"]}
        ssh = {"user": "root", "identity": "~/id", "known_hosts": "~/known"}
        there = {"command": "true", "on": "web", "expect": ["exit_code == 0"]}
        usual = {
            "hosts": hosts,
            "groups": {"us": {"zone": "us"}},
            "ssh": {**ssh, "connect_timeout": "3s"},
            "checks": {"there": there, "port": port},
            "rollout": {"batches": [1, "100%"], "soak": "0s"},
        }
        self.project.inventory("prod", {**usual, **changes})

    def _home(self, zone: str, *names: str) -> Path:
        """What a machine of that zone knows of hosts."""
        home = self.directory / f"home-{zone}"
        (home / ".ssh").mkdir(parents=True)
        shutil.copy(self.bed.identity, home / "id")
        hosts = [self.bed[name] for name in names]
        lines = self.bed.known_hosts.read_text().splitlines()
        known = [line for line in lines if any(f"[{h.address}]" in line for h in hosts)]
        (home / "known").write_text("\n".join((*known, "")))
        aliases = (f"Host {h.name}.us\nHostName {h.address}\nPort {h.port}\n" for h in hosts)
        (home / ".ssh" / "config").write_text("".join(aliases))
        return home

    def worker(self, name: str = "cid") -> Worker:
        """One of zone us, in a working copy of its own."""
        home = self.directory / "home-us"
        if not home.exists():
            self._home("us", "web2", "web3")
        copy = self.yard.elsewhere(name)
        copy.project.env |= {**self.project.env, "HOME": str(home), "NAME": name}
        before = self.carriers()
        started = copy.project.start("worker", "--zone", "us")
        self.yard._started.append(started)
        (new,) = eventually(lambda: self.carriers() - before, within=60, saying="a carrier")
        return Worker(new, started)

    def carriers(self) -> set[str]:
        return {id for (id,) in self.sql("SELECT id FROM backout.carrier")}

    def carrier_of(self, host: str) -> str:
        """Who has something in hand there; nobody's is the empty name."""
        words = "taken IS NOT NULL AND answered IS NULL ORDER BY asked DESC LIMIT 1"
        query = f"SELECT carrier FROM backout.parcel WHERE host = '{host}' AND {words}"
        return "".join(row[0] for row in self.sql(query))

    def beat(self, worker: Worker) -> int:
        return int(self.sql(f"SELECT beat FROM backout.carrier WHERE id = '{worker.id}'")[0][0])

    def lives(self, worker: Worker) -> None:
        """It does what it does, since now."""
        then = self.beat(worker)
        eventually(lambda: self.beat(worker) > then, within=20, saying="a sign of life")

    def sql(self, text: str) -> list[list[str]]:
        return self.postgres.sql(text, self.database)


@pytest.fixture
def zones(tmp_path: Path, bed: SshdBed, postgres: Postgres) -> Iterator[Zones]:
    made = Zones(tmp_path, bed, postgres)
    with made.yard:
        yield made


def slow(zones: Zones, **keys: Any) -> None:
    step = zones.yard.step("Slow", before=zones.yard.hold(), **keys)
    zones.yard.runbook(zones.yard.step("First"), step)


def ended(process: Started) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert out, err
    said: dict[str, Any] = json.loads(out)
    return {**said, "err": err}


def once(zones: Zones, *steps: str) -> None:
    """Each effect is there once, and none was beside itself."""
    names = [f"{step}-{host}" for step in steps for host in ("web1", "web2", "web3")]
    assert zones.yard.effects() == dict.fromkeys(names, 1)


def test_a_deploy_over_hosts_of_two_zones_ends_proved(zones: Zones) -> None:
    zones.yard.runbook(zones.yard.step("First"))
    refused = zones.yard.deploy()
    assert refused.code == 3, refused.out
    assert "web2 is reached by the workers of zone us alone" in refused.out
    assert "invoke worker --zone us" in refused.out
    assert zones.yard.effects() == {}
    worker = zones.worker()
    said = zones.yard.deploy()
    assert (said.code, said.data["outcome"]) == (0, "succeeded"), said.out + said.err
    once(zones, "First")
    ports = {c["host"] for c in said.data["checks"] if c["name"] == "port"}
    assert ports == {"web1", "web2", "web3"}
    assert zones.sql("SELECT id FROM backout.parcel") == []
    worker.process.terminate()
    worker.process.communicate(timeout=60)
    assert zones.carriers() == set()


def test_a_carrier_that_is_killed_or_frozen_at_a_host_is_followed_by_another(zones: Zones) -> None:
    """What it began there goes on under its note, and is looked up by way of the other. The frozen
    one wakes up when all is over, and begins nothing."""
    slow(zones)
    zones.inventory(rollout={"batches": ["100%"], "soak": "0s"})
    workers = {worker.id: worker for worker in (zones.worker("cid"), zones.worker("dan"))}
    deploy = zones.yard.start()
    for name in ("web2", "web3"):
        zones.yard.busy(f"Slow-{name}")
    frozen = workers.pop(eventually(lambda: zones.carrier_of("web2"), saying="a carrier"))
    frozen.signal(signal.SIGSTOP)
    (other,) = workers.values()
    eventually(lambda: zones.carrier_of("web2") in ("", other.id), within=30, saying="a cut")
    zones.lives(other)
    zones.yard.let_go()
    said = ended(deploy)
    assert (said["exit_code"], said["outcome"]) == (0, "succeeded"), said
    frozen.signal(signal.SIGCONT)
    zones.lives(frozen)
    once(zones, "First", "Slow")
    other.process.kill()
    other.process.communicate()
    zones.yard.runbook(zones.yard.step("Again"))
    again = zones.yard.deploy()
    assert again.code == 0, again.out + again.err
    once(zones, "First", "Slow", "Again")
