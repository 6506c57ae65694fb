"""Random `kill -9` of run, resume and abort: afterwards all is done or all is undone.

Each step appends one line to a ledger file, and says in another file when it finds itself
running beside itself. A trial kills the deployer at a random moment, again and again with some
luck, and lets the last `resume` or `abort` end in peace.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.project import Project

STEPS = 4
KILLS = 3
LONGEST = 2.0
"""Seconds into a command after which a kill comes at the latest."""


@dataclass
class Tally:
    """What a soak saw."""

    trials: int = 0
    kills: int = 0
    done: int = 0
    undone: int = 0
    violations: list[str] = field(default_factory=list)


class Soak:
    """Trials over one set of hosts; each trial is a run of its own."""

    def __init__(
        self,
        directory: Path,
        hosts: dict[str, dict[str, Any]],
        ssh: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.project = Project(directory)
        self.random = random.Random(seed)
        self.hosts = hosts
        self.files = directory / "effects"
        self.files.mkdir()
        inventory: dict[str, Any] = {
            "hosts": hosts,
            "rollout": {"batches": [1, "100%"]},
            "checks": {"there": {"command": "true", "expect": ["exit_code == 0"]}},
        }
        if ssh:
            inventory["ssh"] = ssh
        self.project.inventory("prod", inventory)
        self.project.runbook("effects", self._runbook())

    def run(self, trials: int) -> Tally:
        tally = Tally()
        for _ in range(trials):
            self._trial(tally)
        return tally

    def _runbook(self) -> dict[str, Any]:
        here = [self._step(f"here{n}", None) for n in range(STEPS // 2)]
        there = [self._step(f"there{n}", "all") for n in range(STEPS)]
        return {
            "summary": "Effects that can be counted.",
            "steps": [*here, *there],
            "settle": [{"name": "Prove it", "verify": "all"}],
        }

    def _step(self, name: str, on: str | None) -> dict[str, Any]:
        place = f"{self.files}/{name}" + ("-{{ host.name }}" if on else "")
        step = {
            "name": name,
            "run": f"mkdir {place}.busy || echo {place} >> {self.files}/beside\n"
            f"echo once >> {place}\nsleep 0.1\nrmdir {place}.busy || true",
            "undo": f"rm -f {place}\nrm -rf {place}.busy",
        }
        return {**step, "on": on} if on else step

    def _trial(self, tally: Tally) -> None:
        tally.trials += 1
        for left in self.files.iterdir():
            left.rmdir() if left.is_dir() else left.unlink()
        words, before = ["run", "--runbook", "effects", "--target", "prod"], self._newest()
        for _ in range(self.random.randint(1, KILLS)):
            if not self._killed(words):
                break
            tally.kills += 1
            words = self._next_words()
        self._end(tally, before)

    def _next_words(self) -> list[str]:
        return [self.random.choice(["resume", "resume", "abort"]), "--target", "prod"]

    def _killed(self, words: list[str]) -> bool:
        process = self.project.start(*words)
        time.sleep(self.random.uniform(0.2, LONGEST))  # the random moment is the subject here
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return process.returncode == -signal.SIGKILL

    def _end(self, tally: Tally, before: Mapping[str, Any]) -> None:
        said = self.project.say(*self._next_words(), "--json")
        if said.code == 3 and "no unfinished run" in said.out:
            newest = self._newest()
            outcome = "never begun" if newest["run"] == before["run"] else newest["outcome"]
        elif said.code in (0, 3, 4):
            outcome = said.data["outcome"]
        else:
            tally.violations.append(f"trial {tally.trials}: exit {said.code}: {said.out}{said.err}")
            return
        self._judge(tally, outcome)

    def _newest(self) -> Mapping[str, Any]:
        runs = self.project.say("history", "--json").data["runs"]
        return runs[0] if runs else {"run": ""}

    def _judge(self, tally: Tally, outcome: str) -> None:
        counts = {
            path.name: len(path.read_text().splitlines())
            for path in self.files.iterdir()
            if path.is_file()
        }
        beside = counts.pop("beside", 0)
        expected = STEPS // 2 + STEPS * len(self.hosts)
        if beside:
            tally.violations.append(f"trial {tally.trials}: a step ran beside itself")
        if outcome == "succeeded":
            tally.done += 1
            if sorted(counts.values()) != [1] * expected:
                tally.violations.append(f"trial {tally.trials}: not all done once: {counts}")
        else:
            tally.undone += 1
            if counts:
                tally.violations.append(f"trial {tally.trials}: {outcome}, yet left: {counts}")
