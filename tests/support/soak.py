"""Random `kill -9` of deploy, resume, abort and rollback, always over a known-good release whose
checks are green: afterwards each host has all of a run once, or nothing of it, and what runs there
is what is on its disk.

Every host has a service under a real supervisord. A deploy writes the code, leaves effects that can
be counted, and restarts; at times one host falls ill of it, within the budget or beyond it. A
rollback goes back over several runs, some of them on a part of the hosts; at times somebody thinks
better of it.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .machine import Machine
from .project import Project, Said
from .sshd import SshdBed
from .supervisord import Program, Supervisord
from .tools import venv_program

STEPS = 2
KILLS = 3
GATE = {"retry": {"for": "6s", "every": "100ms"}, "timeout": "20s"}


@dataclass
class Tally:
    """What a soak saw."""

    trials: int = 0
    kills: int = 0
    done: int = 0
    undone: int = 0
    withdrawn: int = 0
    rolled_back: int = 0
    forward: int = 0
    """Rollbacks that went forward again."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.trials} trials, {self.kills} kills: {self.done} all done, {self.withdrawn} with"
            f" a host withdrawn, {self.undone} all undone, {self.rolled_back} rolled back,"
            f" {self.forward} forward again; {len(self.violations)} violations"
        )


@dataclass(frozen=True)
class Made:
    """A run that is in force: its number here, the hosts that it reached, its release."""

    number: int
    hosts: tuple[str, ...]
    release: int


class Soak:
    """Trials over one set of hosts; each trial begins where the one before ended well."""

    def __init__(
        self,
        directory: Path,
        hosts: Mapping[str, Mapping[str, Any]],
        ssh: Mapping[str, Any] | None = None,
        machines: Mapping[str, Machine] | None = None,
        seed: int = 0,
    ) -> None:
        self.project = Project(directory / "project")
        self.random = random.Random(seed)
        self.names = tuple(hosts)
        self.files = directory / "effects"
        self.files.mkdir()
        self.code = directory / "code"
        self.code.mkdir()
        self.tally = Tally()
        self.since_good: list[Made] = []
        """The runs since the last known-good release, which a rollback takes back."""
        self.good = Made(0, self.names, 0)
        self._numbers = 0
        self._longest = 2.0
        self._services = {name: self._service(directory, name, machines) for name in hosts}
        self.project.inventory("prod", self._inventory(hosts, ssh))
        self.project.runbook("deploy", self._runbook())

    def run(self, trials: int, tell: Callable[[Tally], object] = str) -> Tally:
        """So many trials, and more until one was killed; `tell` hears after each what was seen."""
        with ExitStack() as stack:
            for service in self._services.values():
                stack.enter_context(service)
            self._begin()
            while self.tally.trials < trials or not self.tally.kills:
                self.tally.trials += 1
                rollback = self.since_good and self.random.random() < 0.5
                rollback = rollback or self.random.random() < 0.2
                self._rollback() if rollback else self._deploy()
                tell(self.tally)
        return self.tally

    # --- the world -----------------------------------------------------------------------

    def _service(
        self, directory: Path, name: str, machines: Mapping[str, Machine] | None
    ) -> Supervisord:
        code = self.code / name
        code.write_text("0\n")
        start = f"cat {code} > {code}.runs; exec sleep 100000"
        app = Program("app", ["/bin/sh", "-c", start], options={"startsecs": "0"})
        machine = machines[name] if machines else None
        return Supervisord(directory / f"supervisor-{name}", [app], machine=machine)

    def _inventory(
        self, hosts: Mapping[str, Mapping[str, Any]], ssh: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        code = f"{self.code}/{{{{ host.name }}}}"
        well = f'test "$(cat {code}.runs)" = "$(cat {code})" && ! grep -q ill {code}.runs'
        checks = {
            "well": {"command": well, "on": "all", "expect": ["exit_code == 0"], **GATE},
            "there": {"command": f"test -d {self.files}", "expect": ["exit_code == 0"]},
        }
        served = {name: {**host, "service": self._served(name)} for name, host in hosts.items()}
        inventory: dict[str, Any] = {
            "hosts": served,
            "rollout": {"batches": [1], "max_failures": 1, "soak": "100ms"},
            "checks": checks,
        }
        return {**inventory, "ssh": dict(ssh)} if ssh else inventory

    def _served(self, host: str) -> dict[str, str]:
        config, command = self._services[host].config, venv_program("supervisorctl")
        return {"name": "app", "backend": "supervisor", "config": str(config), "command": command}

    def _runbook(self) -> dict[str, Any]:
        code, ill = f"{self.code}/{{{{ host.name }}}}", "{{ params.ill }}"
        before = f"{code}.before-{{{{ params.n }}}}"
        change = (
            f"[ -e {before} ] || cp {code} {before}\n"
            f"echo {{{{ params.n }}}}$([ {{{{ host.name }}}} != {ill} ] || echo -ill) > {code}"
        )
        here = [self._step(f"here{n}", None) for n in range(STEPS)]
        there = [self._step(f"there{n}", "all") for n in range(STEPS)]
        back = f"if [ -e {before} ]; then cp {before} {code}; fi"
        there.insert(1, {"name": "Code", "run": change, "undo": back, "on": "all"})
        return {
            "summary": "Effects that can be counted.",
            "params": {"n": {"default": "0"}, "ill": {"default": "none"}},
            "steps": [*here, *there],
            "settle": [
                {"name": "Restart", "restart": {"within": "60s"}, "on": "all"},
                {"name": "Prove it", "verify": "all"},
            ],
        }

    def _step(self, name: str, on: str | None) -> dict[str, Any]:
        """Says in a file of its own when it finds itself running beside itself."""
        place = f"{self.files}/{{{{ params.n }}}}-{name}" + ("-{{ host.name }}" if on else "")
        step = {
            "name": name,
            "run": f"mkdir {place}.busy || echo {place} >> {self.files}/beside\n"
            f"echo once >> {place}\nsleep 0.1\nrmdir {place}.busy || true",
            "undo": f"rm -f {place}\nrm -rf {place}.busy",
        }
        return {**step, "on": on} if on else step

    # --- trials --------------------------------------------------------------------------

    def _begin(self) -> None:
        """A known-good release, and how long a run takes when nobody kills it."""
        began = time.monotonic()
        process = self.project.start(*self._words(self._next()))
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        self._longest = time.monotonic() - began
        self.good = Made(self._numbers, self.names, self._release())
        self._judge("the first release", [self.good], [])

    def _deploy(self) -> None:
        number, ill = self._next(), self.random.choice([*self.names, "none", "none", "none"])
        before = self._newest()
        words, aborted = self._words(number, "--param", f"ill={ill}"), False
        for _ in range(self.random.randint(1, KILLS)):
            if not self._killed(words):
                break
            words = self._going_on()
            aborted = aborted or words[0] == "abort"
        last = self._going_on()
        said = self.project.say(*last, "--json")
        outcome = self._outcome(said, before)
        reached = tuple(name for name in self.names if name != ill)
        expected = "succeeded" if reached else "backed_out"
        made = Made(number, reached, self._release() if outcome == "succeeded" else 0)
        what = f"trial {self.tally.trials}: deploy {number}, ill {ill}: {outcome}"
        if aborted or last[0] == "abort":
            expected = outcome if outcome in ("succeeded", "backed_out") else expected
        if outcome not in (expected, "never begun"):
            self._violation(f"{what}, not {expected}: {said.out}{said.err}")
        self._settle(made, outcome, what)

    def _settle(self, made: Made, outcome: str, what: str) -> None:
        """Keep account of a deploy."""
        if outcome != "succeeded":
            self.tally.undone += 1
            self._judge(what, [self.good, *self.since_good], [made.number])
            return
        whole = made.hosts == self.names
        self.tally.done += whole
        self.tally.withdrawn += not whole
        self.since_good.append(made)
        self._judge(what, [self.good, *self.since_good], [])
        if whole:
            self.good, self.since_good = made, []

    def _rollback(self) -> None:
        """Over a run on one host and, at times, one on all, and whatever was left by others."""
        to = self.good
        for hosts in self.random.sample([self.names, self.names[:1]], self.random.randint(1, 2)):
            number = self._next()
            chosen = ["--hosts", ",".join(hosts)] if hosts != self.names else []
            said = self.project.say(*self._words(number), *chosen, "--json")
            assert said.code == 0, said.out + said.err
            self.since_good.append(Made(number, hosts, self._release()))
        before = self._newest()
        words = ["rollback", "--target", "prod", "--to", str(to.release)]
        for _ in range(self.random.randint(1, KILLS)):
            if not self._killed(words):
                break
            words = self._going_on()
        said = self.project.say(*self._going_on(), "--json")
        if "one way only" in said.out:
            said = self.project.say("resume", "--target", "prod", "--json")
        outcome = self._outcome(said, before)
        what = f"trial {self.tally.trials}: rollback to {to.release}: {outcome}"
        if outcome == "succeeded":
            self.tally.rolled_back += 1
            undone, self.since_good = [made.number for made in self.since_good], []
            self._judge(what, [to], undone)
        elif outcome in ("never begun", "backed_out"):
            self.tally.forward += outcome == "backed_out"
            self._judge(what, [to, *self.since_good], [])
        else:
            self._violation(f"{what}: {said.out}{said.err}")
        self.good = next(
            (made for made in reversed(self.since_good) if made.hosts == self.names), to
        )
        place = self.since_good.index(self.good) + 1 if self.good in self.since_good else 0
        self.since_good = self.since_good[place:]

    def _words(self, number: int, *more: str) -> list[str]:
        return ["deploy", "--target", "prod", "--yes", "--param", f"n={number}", *more]

    def _going_on(self) -> list[str]:
        return [self.random.choice(["resume", "resume", "resume", "abort"]), "--target", "prod"]

    def _killed(self, words: Sequence[str]) -> bool:
        process = self.project.start(*words)
        time.sleep(self.random.uniform(0.2, self._longest))  # the random moment is the subject
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed = process.returncode == -signal.SIGKILL
        self.tally.kills += killed
        return killed

    def _outcome(self, said: Said, before: Mapping[str, Any]) -> str:
        """How the newest run ended; a code that going on may not give is an outcome of its own."""
        if said.code == 3 and "no unfinished run" in said.out:
            newest = self._newest()
            return "never begun" if newest["run"] == before["run"] else str(newest["outcome"])
        return str(said.data["outcome"]) if said.code in (0, 4) else f"exit {said.code}"

    # --- judging -------------------------------------------------------------------------

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _newest(self) -> Mapping[str, Any]:
        runs = self.project.say("history", "--json").data["runs"]
        return runs[0] if runs else {"run": ""}

    def _release(self) -> int:
        """The number of the release that the newest run made."""
        return int(self._newest()["release"]["to"]["number"])

    def _judge(self, what: str, in_force: Sequence[Made], undone: Sequence[int]) -> None:
        """Each run in force is there once, each that was undone is not, and what runs is right."""
        for told in (*self._effects(in_force, undone), *self._code(in_force)):
            self._violation(f"{what}: {told}")
        said = self.project.say("status", "--target", "prod", "--json")
        if said.code != 0:
            self._violation(f"{what}: status {said.code}: {said.out}")

    def _effects(self, in_force: Sequence[Made], undone: Sequence[int]) -> Iterator[str]:
        if (self.files / "beside").exists():
            yield "a step ran beside itself"
            (self.files / "beside").unlink()
        for made in in_force:
            expected = {f"{made.number}-here{n}": 1 for n in range(STEPS)}
            there = range(STEPS)
            expected |= {f"{made.number}-there{n}-{host}": 1 for n in there for host in made.hosts}
            found = self._found(made.number)
            if made.number and found != expected:
                yield f"run {made.number} is not there once on {made.hosts}: {found}"
        for number in undone:
            if self._found(number):
                yield f"run {number} was undone, yet left {self._found(number)}"

    def _found(self, number: int) -> dict[str, int]:
        files = [path for path in self.files.glob(f"{number}-*") if path.is_file()]
        return {path.name: len(path.read_text().splitlines()) for path in files}

    def _code(self, in_force: Sequence[Made]) -> Iterator[str]:
        for host in self.names:
            number = next(made.number for made in reversed(in_force) if host in made.hosts)
            code, runs = self.code / host, self.code / f"{host}.runs"
            if code.read_text() != f"{number}\n" or runs.read_text() != f"{number}\n":
                yield (
                    f"{host} should be on {number}: its disk has {code.read_text().strip()},"
                    f" and {runs.read_text().strip()} runs there"
                )

    def _violation(self, told: str) -> None:
        self.tally.violations.append(told)


def over(bed: SshdBed) -> dict[str, Any]:
    """What makes a soak one over the hosts of an SSH bed."""
    machines = {host.name: host.machine for host in bed}
    return {"hosts": bed.inventory_hosts(), "ssh": bed.inventory_ssh(), "machines": machines}
