"""Hosts that only another zone reaches: its workers run there what a driver elsewhere has made. On
real hosts, whose names, keys and logins the driver does not have, and a real PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.carrying import sender
from support.journals import empty_ledger
from support.postgres import Postgres
from support.process import children
from support.project import Project
from support.sshd import SshdBed
from support.tools import postgres_program
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

SECRET = "h0rse-stapler"
SSH = {"on": "web", "expect": ["banner.startsWith('SSH-2.0')"]}
AT_ONCE = {"batches": ["100%"], "soak": "0s"}
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

    def rule(self, after: str = "5s") -> None:
        (self.project.directory / "backout.yaml").write_text(RULE.format(after=after))

    def inventory(self, **changes: Any) -> None:
        hosts = self.bed.inventory_hosts()
        for name in ("web2", "web3"):
            hosts[name] = {"address": f"{name}.us", "groups": ["web", "us"]}
        port = {**SSH, "tcp": {"address": self.bed.port, "banner": True}}
        ssh = {"user": "root", "identity": "~/id", "known_hosts": "~/known"}
        there = {"command": "true", "on": "web", "expect": ["exit_code == 0"]}
        usual = {
            "hosts": hosts,
            "groups": {"us": {"zone": "us"}},
            "ssh": {**ssh, "connect_timeout": "30s"},
            "checks": {"there": there, "ssh": port},
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

    def worker(self, name: str = "cid", zone: str = "us") -> Worker:
        """One, in a working copy of its own."""
        home = self.directory / f"home-{zone}"
        if not home.exists():
            self._home("us", "web2", "web3")
        copy = self.yard.elsewhere(name)
        copy.project.env |= {**self.project.env, "HOME": str(home), "NAME": name}
        before = self.carriers()
        started = copy.project.start("worker", "--zone", zone)
        self.yard._started.append(started)
        (new,) = eventually(lambda: self.carriers() - before, saying="a carrier")
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
        eventually(lambda: self.beat(worker) > then, saying="a sign of life")

    def sql(self, text: str) -> list[list[str]]:
        return self.postgres.sql(text, self.database)

    def dump(self) -> bytes:
        """What a dump of the database has, its binary values as they are."""
        argv = [postgres_program("pg_dump"), self.ledger]
        said = subprocess.run(argv, check=True, capture_output=True).stdout
        raw = re.findall(rb"\\\\x([0-9a-f]+)", said)
        return said + b"".join(bytes.fromhex(each.decode()) for each in raw)


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


def test_a_deploy_over_hosts_of_two_zones_ends_proved_and_every_verb_does_what_it_does(
    zones: Zones,
) -> None:
    big = zones.project.directory / "big.bin"
    big.write_bytes(os.urandom(300_000))
    place = f"{zones.yard.files.parent}/big-{{{{ host.name }}}}"
    send = {"name": "Send", "upload": {"from": "big.bin", "to": place}, "on": "us"}
    zones.yard.runbook(zones.yard.step("First"), send)
    refused = zones.yard.deploy()
    assert refused.code == 3, refused.out
    assert "web2 is reached by the workers of zone us alone" in refused.out
    assert "invoke worker --zone us" in refused.out
    assert zones.yard.effects() == {}
    zones.worker()
    said = zones.yard.deploy()
    assert (said.code, said.data["outcome"]) == (0, "succeeded"), said.out + said.err
    once(zones, "First")
    for name in ("web2", "web3"):
        assert (zones.yard.files.parent / f"big-{name}").read_bytes() == big.read_bytes()
    looked = {check["host"] for check in said.data["checks"] if check["name"] == "ssh"}
    assert looked == {"web1", "web2", "web3"}
    assert zones.sql("SELECT id FROM backout.parcel") == []
    status = zones.yard.say("status")
    assert (status.code, set(status.data["hosts"])) == (0, {"web1", "web2", "web3"}), status.out
    ran = zones.yard.say("exec", "--hosts", "us", "echo $((6 * 7)); seq 100000")
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.count("42") >= 2
    red = {"tcp": 1, "on": "us", "expect": ["connected"]}
    zones.inventory(checks={"red": red})
    verified = zones.yard.say("verify")
    reasons = {c["host"]: c["reason"] for c in verified.data["checks"] if c["name"] == "red"}
    assert (verified.code, set(reasons)) == (9, {"web2", "web3"}), verified.out
    assert all("refused by 127.0.0." in reason for reason in reasons.values())
    login = zones.project.say("ssh", "web2", "--target", "prod")
    assert (login.code, "BACKOUT_ZONE=us" in login.err) == (3, True), login.err
    zones.inventory()
    # A worker that drives is of its own zone, and reaches the others as anybody does.
    zones.worker("ann", "eu")
    handed = zones.yard.deploy("--detach")
    followed = zones.project.say("follow", handed.data["run"], "--json")
    assert (followed.code, followed.data["outcome"]) == (0, "succeeded"), followed.out
    # A machine of that zone reaches them by itself.
    home = {"HOME": str(zones.directory / "home-us"), "BACKOUT_ZONE": "us"}
    own = zones.project.say("exec", "--target", "prod", "--hosts", "us", "true", env=home)
    assert own.code == 0, own.out


def test_a_carrier_that_is_killed_or_frozen_at_a_host_is_followed_by_another(
    zones: Zones, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it began there goes on under its note, and is looked up by way of the other. The frozen
    one wakes up when all is over, and begins nothing; nor does it begin what it did not take."""
    monkeypatch.setattr(sender, "PATIENCE", 0.5)
    slow(zones)
    zones.inventory(rollout=AT_ONCE)
    workers = {worker.id: worker for worker in (zones.worker("cid"), zones.worker("dan"))}
    deploy = zones.yard.start()
    for name in ("web2", "web3"):
        zones.yard.busy(f"Slow-{name}")
    frozen = workers.pop(eventually(lambda: zones.carrier_of("web2"), saying="a carrier"))
    frozen.signal(signal.SIGSTOP)
    (other,) = workers.values()
    eventually(lambda: zones.carrier_of("web2") in ("", other.id), saying="a cut")
    zones.lives(other)
    zones.yard.let_go()
    said = ended(deploy)
    assert (said["exit_code"], said["outcome"]) == (0, "succeeded"), said
    frozen.signal(signal.SIGCONT)
    zones.lives(frozen)
    once(zones, "First", "Slow")
    frozen.signal(signal.SIGSTOP)
    zones.yard.runbook(zones.yard.step("Again"))
    again = zones.yard.deploy()
    assert again.code == 0, again.out + again.err
    other.process.kill()
    other.process.communicate()
    # Now nobody takes anything: a run is refused before it changed anything.
    zones.yard.runbook(zones.yard.step("Never"))
    refused = zones.yard.deploy()
    assert refused.code == 3, refused.out
    assert "reached by the workers of zone us alone" in refused.out
    frozen.signal(signal.SIGCONT)
    zones.lives(frozen)
    once(zones, "First", "Slow", "Again")
    assert zones.sql("SELECT id FROM backout.parcel") == []


def test_a_killed_driver_is_followed_by_another_and_a_stopped_carrier_ends_what_it_has(
    zones: Zones,
) -> None:
    """What a dump that is taken in mid-command has of it is sealed; what the next driver finds on
    the hosts it goes on from."""
    zones.project.env["A_KEY"] = SECRET
    tell = {"PASSWORD": "{{ secrets.key }}"}
    slow(zones, env=tell, after=f'test "$PASSWORD" = {SECRET}; echo "it is $PASSWORD"')
    zones.inventory(rollout=AT_ONCE, secrets={"key": {"env": "A_KEY"}})
    stopped = zones.worker("cid")
    deploy = zones.yard.start()
    for name in ("web1", "web2", "web3"):
        zones.yard.busy(f"Slow-{name}")
    assert zones.carrier_of("web2")
    dump = zones.dump()
    assert SECRET.encode() not in dump
    assert b"bo_begin" not in dump
    deploy.kill()
    deploy.communicate()
    resume = zones.yard.start("resume", "--yes")
    eventually(lambda: zones.carrier_of("web3"), saying="a look at what runs there")
    other = zones.worker("dan")
    stopped.process.terminate()
    query = f"SELECT stopping FROM backout.carrier WHERE id = '{stopped.id}'"
    eventually(lambda: zones.sql(query) != [["f"]], saying="one that takes no more")
    zones.yard.let_go()
    said = ended(resume)
    assert (said["exit_code"], said["outcome"]) == (0, "succeeded"), said
    once(zones, "First", "Slow")
    assert SECRET not in json.dumps(said)
    assert SECRET.encode() not in zones.dump()
    out, err = stopped.process.communicate(timeout=60)
    assert (stopped.process.returncode, "stopped" in out) == (0, True), out + err
    assert zones.carriers() == {other.id}
    # Of the driver that was killed nothing is left to be taken up.
    assert zones.sql("SELECT 1 FROM backout.parcel WHERE taken IS NULL") == []


def test_without_a_ledger_of_a_team_nobody_is_asked(zones: Zones) -> None:
    zones.yard.runbook(zones.yard.step("First"))
    (zones.project.directory / "backout.yaml").write_text("workers: {zone: eu}\n")
    del zones.project.env["TEAM_LEDGER"]
    refused = zones.yard.deploy()
    assert (refused.code, zones.yard.effects()) == (3, {}), refused.out
    assert "there is no ledger of a team" in refused.out
    assert "BACKOUT_ZONE=us" in refused.out
    part = zones.yard.deploy("--hosts", "web1")
    assert part.code == 0, part.out + part.err
    zones.inventory(groups={"us": {"zone": "U S"}})
    wrong = zones.yard.deploy()
    assert (wrong.code, "no name of a zone" in wrong.out) == (2, True), wrong.out
