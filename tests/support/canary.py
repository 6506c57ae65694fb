"""Simulated load for `compare: canary`: one new host beside old ones, looked at as a rollout looks.

Latencies are log-normal around 40 ms, and a few requests fail on either release. Each simulated
rollout has a seed of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from backout.model import Alert, Check, Finding, Host, Rollout, Target, Verdict
from backout.runs.watching import Watching

from .clock import ManualClock

NEW, OLD = ("web1",), ("web2", "web3", "web4")
EVER = 0.0005
"""How many requests fail on any release."""


@dataclass(frozen=True)
class Load:
    """What the new release is like: so many times as slow, and such a share of it fails."""

    seed: int
    slower: float = 1.0
    failing: float = EVER

    def watched(self, minutes: float = 2.0) -> tuple[Finding, ...]:
        """What a window of that length finds red."""
        worker = _Worker(self, Rollout(watch=60 * minutes, compare="canary"))
        return Watching(cast("Any", worker), NEW, OLD).red()


class _Worker:
    """As much of `runs.worker.Worker` as a window asks."""

    stopped = ""

    def __init__(self, load: Load, rollout: Rollout) -> None:
        self.load, self.draw = load, random.Random(load.seed)
        check = Check(name="alive", kind="http", options=None, on="web", alert=Alert(after=5))
        hosts = {name: Host(name=name, groups=("web",)) for name in (*NEW, *OLD)}
        target = Target(name="prod", hosts=hosts, checks={"alive": check}, rollout=rollout)
        self.plan = SimpleNamespace(target=target)
        self.parts = SimpleNamespace(clock=ManualClock())
        before = tuple(Finding("alive", host, Verdict.PASS) for host in hosts)
        self.baseline = SimpleNamespace(findings=before)
        self.findings: tuple[Finding, ...] = ()

    def look(self, _names: Sequence[str], hosts: Iterable[str]) -> tuple[Finding, ...]:
        return tuple(map(self._seen, hosts))

    def _seen(self, host: str) -> Finding:
        new = host in NEW
        if self.draw.random() < (self.load.failing if new else EVER):
            return Finding("alive", host, Verdict.FAIL, reason="status == 200")
        took = 40 * self.draw.lognormvariate(0, 0.35) * (self.load.slower if new else 1.0)
        return Finding("alive", host, Verdict.PASS, elapsed_ms=took)


def alarms(loads: Iterable[Load]) -> list[int]:
    """The seeds of those in which something was found."""
    return [load.seed for load in loads if load.watched()]
