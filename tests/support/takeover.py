"""The laptop burnt: a deploy is killed at a moment of its journal and its state directory deleted;
another directory ends the run from what the hosts have of it. Afterwards each effect is there once,
or none is.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from . import warm
from .project import Project, Said
from .sshd import SshdBed
from .wait import eventually
from .yard import Yard

SUITE = Path(__file__).parent.parent
BURNT = (str(SUITE / "support" / "burnt.py"),)
VERBS = ("resume", "abort")


@dataclass
class Tally:
    """What became of the runs."""

    trials: int = 0
    done: int = 0
    undone: int = 0
    nothing: int = 0
    """It had not begun to change anything: there was nothing to take over."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.trials} moments: {self.done} all done, {self.undone} all undone,"
            f" {self.nothing} had changed nothing; {len(self.violations)} violations"
        )


class Laptops:
    """One project on machines that come and go, over the same hosts."""

    def __init__(
        self, directory: Path, bed: SshdBed, hosts: int, ledger: Callable[[], str] | None = None
    ) -> None:
        """With a `ledger`, which gives the address of an empty one, the runs are in there."""
        names = [host.name for host in bed][:hosts]
        rollout = {"batches": [1, "100%"], "soak": "0s"}
        self.yard = Yard(directory, bed, rollout=rollout)
        known = bed.inventory_hosts()
        self.yard.inventory(hosts={name: known[name] for name in names})
        yard = self.yard
        yard.runbook(yard.step("Here", on=None), yard.step("There"), yard.step("Then"))
        places = (f"{step}-{name}" for step in ("There", "Then") for name in names)
        self.everything = dict.fromkeys(("Here", *places), 1)
        self._ledger = ledger
        if ledger:
            (yard.project.directory / "backout.yaml").write_text("ledger: {secret: TEAM_LEDGER}\n")
        self._count = 0

    def moments(self, tally: Tally, only: range | None = None) -> Iterator[str]:
        """Every moment of the journal, each with either verb; a line about each."""
        for number in only or count(1):
            for verb in VERBS:
                if not self._trial(number, verb, tally):
                    return
                yield f"moment {number}, {verb}: {tally}"

    def _trial(self, number: int, verb: str, tally: Tally) -> bool:
        """False when the deploy came to its end before that moment."""
        self._fresh()
        if self._burn(number) == 0:
            return False
        other = self._laptop()
        said = self._ended(other, verb)
        tally.trials += 1
        self._judge(f"moment {number}, {verb}", said, tally)
        if said.code == 0:
            known = other.say("status", "--target", "prod", "--json")
            if known.code:
                tally.violations.append(f"moment {number}, {verb}: then {known.out[:600]}")
        return True

    def _ended(self, other: Project, verb: str) -> Said:
        """A command that was on its way when the deploy was killed may renew a lease yet."""
        for _ in range(5):
            expire(self.yard)
            said = other.say(verb, "--target", "prod", "--yes", "--json")
            if said.code != 7:
                break
        return said

    def _judge(self, what: str, said: Said, tally: Tally) -> None:
        effects = self.yard.effects()
        if said.code == 0 and effects == self.everything:
            tally.done += 1
        elif said.code == 4 and not effects:
            tally.undone += 1
        elif said.code == 3 and not effects:
            tally.nothing += 1
        else:
            tally.violations.append(f"{what}: {said.code}, {effects}: {said.out[:600]}")

    def _fresh(self) -> None:
        if self._ledger:
            self.yard.project.env["TEAM_LEDGER"] = self._ledger()
        assert self.yard.bed is not None
        for host in self.yard.bed:
            shutil.rmtree(host.home / ".backout", ignore_errors=True)
        for effect in self.yard.files.iterdir():
            shutil.rmtree(effect) if effect.is_dir() else effect.unlink()
        shutil.rmtree(self.yard.project.state, ignore_errors=True)

    def _burn(self, number: int) -> int:
        code = killed_at(number, self.yard.project)
        shutil.rmtree(self.yard.project.state, ignore_errors=True)
        return code

    def _laptop(self) -> Project:
        self._count += 1
        here = self.yard.project.directory
        directory = here.with_name(f"laptop{self._count}")
        shutil.copytree(here, directory, ignore=shutil.ignore_patterns(".backout"))
        laptop = Project(directory)
        if self._ledger:
            laptop.env["TEAM_LEDGER"] = self.yard.project.env["TEAM_LEDGER"]
        return laptop


def killed_at(number: int, project: Project) -> int:
    """How a deploy ends that is killed at that moment of its journal: 0 when it ended before."""
    code, *said = burnt(number, project, "deploy")
    assert code in (0, -signal.SIGKILL), said
    return code


def burnt(number: int, project: Project, verb: str, *words: str) -> tuple[int, str, str]:
    """A verb that is killed at that moment of its journal, where it comes to it: how it left, and
    what it said."""
    argv = (str(number), verb, "--target", "prod", "--json", *words)
    return warm.run(argv, project.directory, project.env, 120, program=BURNT)


def expire(yard: Yard) -> None:
    """What was at work on the hosts has come to its end, and the leases have expired since."""
    assert yard.bed is not None
    for host in yard.bed:
        state = host.home / ".backout" / "prod"
        expires = state / "lock" / "expires"
        if expires.exists():
            eventually(partial(renewed, state / "notes", expires), saying="its end")
            boot, _, ttl = expires.read_text().split()
            expires.write_text(f"{boot} 0 {ttl}\n")


def renewed(notes: Path, expires: Path) -> bool:
    """Whether each command there has ended, and its shell has renewed the lease after that."""
    ends = [note.with_suffix(".end") for note in notes.glob("*/*.start")]
    if not all(end.exists() for end in ends) or len(expires.read_text().split()) != 3:
        return False
    return all(end.stat().st_mtime_ns <= expires.stat().st_mtime_ns for end in ends)
