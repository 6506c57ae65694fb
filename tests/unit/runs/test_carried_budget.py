"""One failure budget over the hosts of all zones: carriers are killed and frozen at random while a
whole engine deploys over them, and no batch begins when more hosts are lost than may be.

The engine, its journal and what it carries are real; the hosts live in memory, and keep notes as
real ones do.
"""

# ruff: noqa: ARG002 - the seams give their methods a form

from __future__ import annotations

import itertools
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backout.adapters.carrying import parcels
from backout.adapters.carrying.parcels import Cut
from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.transports.captured import Capture, Ran
from backout.adapters.transports.carried import CarriedTransport
from backout.adapters.transports.local import LocalTransport
from backout.adapters.vault import Vault
from backout.errors import Unreachable
from backout.model import (
    Host,
    Outcome,
    Release,
    Rollout,
    Runbook,
    Ssh,
    Step,
    Target,
)
from backout.runs.ended import Ended
from backout.runs.engine import Engine
from backout.runs.parts import Parts
from backout.runs.plan import build
from backout.steps import KINDS
from backout.steps.run import RunOptions
from support.clock import ManualClock
from support.work import Person
from support.world import Lease

HOSTS = tuple(f"web{n}" for n in range(6))
STEPS = ("A", "B")
DONE, NOBODY, BEFORE, AFTER, LATE = "done", "nobody", "killed before", "killed after", "frozen"
runs = itertools.count()


@dataclass
class Hosts:
    """What is on them, in memory, and the carriers in front of them."""

    fates: Mapping[str, Sequence[str]]
    """What becomes of what is sent to a host, in turn; then all is well."""
    batch: int
    most: int
    effects: dict[str, Counter[str]] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    voids: set[str] = field(default_factory=set)
    sent: Counter[str] = field(default_factory=Counter)
    late: list[tuple[str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def send(self, zone: str, host: str, words: bytes, within: float) -> tuple[bytes, str]:
        """`carried.Sends`."""
        asked = parcels.read(words)
        with self.guard:
            if asked["what"] != parcels.RUN:
                return parcels.told(None), "cid"
            text, turn = asked["text"], self.sent[host]
            under_note = "bo_note=" in text
            self.sent[host] += under_note
            fate = next(iter(self.fates[host][turn : turn + 1]), DONE) if under_note else DONE
            if fate == NOBODY:
                raise Unreachable(f"{host}: no worker takes it")
            if fate == LATE:
                self.late.append((host, text))
            if fate in (BEFORE, LATE):
                raise Cut("the carrier is gone")
            ran = self.shell(host, text, asked["mark"])
            if fate == AFTER:
                raise Cut("the carrier is gone")
            return parcels.told(ran), "cid"

    def shell(self, host: str, text: str, mark: str) -> Ran:
        """As the programs in `adapters/shell` do."""
        ran = Ran(Capture(mark), Capture(mark), exit_code=0)
        found = re.search(r"bo_note=(\S+)", text)
        word = self.noted(host, f"{host} {found[1]}", text) if found else "read"
        ran.out.feed(f"{mark} 12 {word} 12\n".encode())
        ran.err.feed(f"{mark} 12 {word} 12\n".encode())
        ran.exit_code = 1 if word == "void" else 0
        return ran

    def noted(self, host: str, note: str, text: str) -> str:
        if "bo_begin; bo_say" not in text:  # a recall
            if note not in self.notes:
                self.voids.add(note)
            return "ended" if note in self.notes else "none"
        if note in self.voids:
            return "void"
        if note in self.notes:
            return "ended"
        self.notes[note] = 0
        does = re.search(r"(do|undo) ([AB])", text)
        if does:
            self.act(host, *does.groups())
        return "run"

    def act(self, host: str, does: str, step: str) -> None:
        there = self.effects.setdefault(host, Counter())
        if does == "undo":
            there[step] = 0
            return
        there[step] += 1
        if there[step] > 1:
            self.violations.append(f"{step} is on {host} twice")
        place = HOSTS.index(host) // self.batch * self.batch
        if len(self.lost(HOSTS[:place])) > self.most:
            self.violations.append(f"{step} on {host} though {self.lost(HOSTS[:place])} are lost")

    def lost(self, hosts: Sequence[str]) -> list[str]:
        """Those of these on which not all is that should be."""
        return [h for h in hosts if any(self.effects.get(h, Counter())[s] != 1 for s in STEPS)]

    def wake(self) -> None:
        """Carriers that were frozen."""
        for host, text in self.late:
            self.shell(host, text, "late")


def deployed(hosts: Hosts, directory: Path, journal: SqliteJournal) -> Ended:
    run, clock = f"run{next(runs)}", ManualClock()
    journal.open_run(run, run, "deploy", "deploy", {}, "ann@laptop", clock.now(), {})
    vault = Vault({}, directory)
    there: dict[str, Any] = {"": LocalTransport(Host(name="here"), str(directory), vault)}
    target = Target(
        name=run,
        hosts={name: Host(name=name, zone="us") for name in HOSTS},
        rollout=Rollout(batches=(hosts.batch,), max_failures=hosts.most, soak=0.0),
        state="~/state",
    )
    for name, host in target.hosts.items():
        there[name] = CarriedTransport(host, Ssh(), "~/state", vault, hosts)
    steps = tuple(
        Step(name=s, kind="run", options=RunOptions(script=f"do {s}"), undo=f"undo {s}", on="all")
        for s in STEPS
    )
    plan = build(
        run=run,
        verb="deploy",
        target=target,
        runbook=Runbook(name="deploy", steps=steps),
        params={},
        release=Release(2),
        previous=Release(1),
        kinds=KINDS,
    )

    parts = Parts(
        journal=cast("Any", journal),
        lock=cast("Any", Lease()),
        clock=clock,
        vault=vault,
        operator=Person(),
        emit=lambda _: None,
        steps=KINDS,
        reach=there.__getitem__,
        restarter=cast("Any", None),
        examine=lambda *_, **__: (),
        pool=cast("Any", None),
        metrics=cast("Any", None),
    )
    return Engine(plan, parts).deploy()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path_factory.mktemp("state") / "journal.db", str) as journal:
        yield journal


fate = st.sampled_from([DONE, DONE, DONE, NOBODY, BEFORE, AFTER, LATE])


@settings(
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    fates=st.fixed_dictionaries({name: st.lists(fate, max_size=6) for name in HOSTS}),
    batch=st.sampled_from([1, 2, 3]),
    most=st.integers(0, 3),
)
def test_however_carriers_die_no_more_hosts_are_lost_than_may_be(
    fates: dict[str, list[str]], batch: int, most: int, tmp_path: Path, journal: SqliteJournal
) -> None:
    hosts = Hosts(fates, batch, most)
    ended = deployed(hosts, tmp_path, journal)
    hosts.wake()
    assert hosts.violations == []
    if ended.outcome is Outcome.SUCCEEDED:
        assert len(hosts.lost(HOSTS)) <= most
    if ended.outcome is Outcome.BACKED_OUT:
        assert {h: +c for h, c in hosts.effects.items() if +c} == {}
