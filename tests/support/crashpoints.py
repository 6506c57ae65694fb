"""A deploy that meets a fault at the N-th thing that it writes, syncs, renames or sends, for each
N; what is left is ended by `resume` or `abort`, and judged by what is there.
"""

from __future__ import annotations

import errno
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from . import warm
from .measured import unmeasured
from .project import Project, Said
from .scenes import SCENES, WEB
from .sshd import SshdBed
from .syscalls import Call, Fault, Tracer, Wanted, anything, failing, killed, signalled
from .wait import eventually

STOPPED = (
    "import os, signal, sys\nos.kill(os.getpid(), signal.SIGSTOP)\n"
    "sys.argv[0] = 'invoke'\nfrom backout.tasks import main\nmain()"
)
"""`backout`, which waits to be traced."""
PROGRAM = (sys.executable, "-c", STOPPED)
WITHIN = 150.0
SHELLS = frozenset({"dash", "bash", "busybox"})


def on_disk(call: Call) -> bool:
    """What a full or broken disk has a word in."""
    return call.on_disk


def of_output(call: Call) -> bool:
    """What goes to a log, or a terminal, that may be gone."""
    return call.of_output


def needs_room(call: Call) -> bool:
    """What a full disk refuses."""
    frees = ("unlink", "unlinkat", "rmdir", "ftruncate", "truncate", "fsync", "fdatasync")
    return call.on_disk and call.name not in frees


@dataclass(frozen=True, slots=True)
class Mode:
    """A fault, and how the run that met it is ended."""

    name: str
    fault: Fault
    then: str
    """What is typed afterwards."""
    codes: frozenset[int]
    """How the deploy itself may leave."""
    wanted: Wanted = anything
    lasting: bool = False
    bad: bool = False
    """Whether the deploy fails by itself at its end, and goes the whole way back."""
    there: bool = False
    """Whether it is the shells of the first host that meet the fault."""


def modes() -> dict[str, Mode]:
    """By name."""
    gone = frozenset({-signal.SIGKILL})
    stops = frozenset({0, 3, 4})
    full = frozenset({0, 3, 4, 8})
    stop = {n: signalled(n) for n in (signal.SIGTERM, signal.SIGINT)}
    each = [
        Mode("kill-resume", killed, "resume", gone),
        Mode("kill-abort", killed, "abort", gone),
        Mode("kill-back", killed, "resume", gone, bad=True),
        Mode("term", stop[signal.SIGTERM], "resume", stops),
        Mode("int", stop[signal.SIGINT], "abort", stops),
        Mode("enospc", failing(errno.ENOSPC), "resume", full, needs_room, lasting=True),
        Mode("enospc-back", failing(errno.ENOSPC), "abort", full, needs_room, True, True),
        Mode("eio", failing(errno.EIO), "resume", full, on_disk),
        Mode("eio-back", failing(errno.EIO), "abort", full, on_disk, bad=True),
        Mode("deaf", failing(errno.EIO), "resume", frozenset({0}), of_output, lasting=True),
        Mode("shell", killed, "resume", stops, there=True),
        Mode("shell-back", killed, "resume", frozenset({3, 4, 5}), bad=True, there=True),
    ]
    return {mode.name: mode for mode in each}


@dataclass
class Tally:
    """What was seen of one mode."""

    points: int = 0
    """How many there are, in the longest run that was seen."""
    run: int = 0
    done: int = 0
    undone: int = 0
    nothing: int = 0
    next: int = 0
    """The point to go on with."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.run} of {self.points} points, {len(self.violations)} violations"
            f" ({self.done} all done, {self.undone} all undone, {self.nothing} never begun)"
        )


class Ground:
    """A scene over its hosts. Each point begins where the one before ended well: over a known-good
    release."""

    def __init__(self, directory: Path, scene: str, bed: SshdBed | None, hosts: int = 1) -> None:
        self.project = Project(directory / "project")
        self.bed = bed
        reach, machines = self._reach(bed, hosts)
        self.hosts = tuple(reach["hosts"])
        self.scene = SCENES[scene](directory, self.hosts, machines)
        rollout = {"batches": [1, "100%"], "soak": "50ms"}
        served = {
            name: {**host, **({"service": s} if (s := self.scene.service(name)) else {})}
            for name, host in reach["hosts"].items()
        }
        self.project.inventory(
            "prod", {**reach, "hosts": served, "rollout": rollout, **self.scene.inventory()}
        )
        self.project.runbook("deploy", self.scene.runbook())
        self.force: list[int] = []
        self._known = ""
        """The newest run."""
        self._shells: Tracer | None = None
        self._number = 0
        self._stack = ExitStack()

    @staticmethod
    def _reach(bed: SshdBed | None, hosts: int) -> tuple[dict[str, Any], dict[str, Any]]:
        if bed is None:
            return {"hosts": {"here": {"connection": "local", "groups": [WEB]}}}, {}
        names = [host.name for host in bed][:hosts]
        known = bed.inventory_hosts()
        reach = {"hosts": {name: known[name] for name in names}, "ssh": bed.inventory_ssh()}
        return reach, {name: bed[name].machine for name in names}

    def __enter__(self) -> Self:
        for part in self.scene.parts():
            self._stack.enter_context(part)
        said, _ = self.deploy(self._next())
        assert said.code == 0, said.out + said.err
        self.force.append(self._number)
        self._known = str(self._newest()["run"])
        assert not [*self._told()], [*self._told()]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _next(self) -> int:
        self._number += 1
        self.scene.prepare(self._number)
        return self._number

    # --- a point -------------------------------------------------------------------------

    def points(
        self, mode: Mode, tally: Tally, every: int = 1, first: int = 1, most: int = 0
    ) -> Iterator[str]:
        """Every so many of the points, from the first; a line about each, which ends where the
        world is no longer what it should be."""
        tally.next = tally.next or first
        while not most or tally.run < most:
            at = tally.next
            reached, told = self.point(mode, at)
            tally.points = max(tally.points, reached)
            tally.violations += told.wrong
            if reached < at:
                return
            tally.run += 1
            tally.next += every
            for kind in ("done", "undone", "nothing"):
                setattr(tally, kind, getattr(tally, kind) + (told.outcome == kind))
            yield f"point {at}: {told.met}: {told.code}, {told.outcome}"
            if told.wrong:
                return

    def point(self, mode: Mode, at: int) -> tuple[int, Told]:
        """How many points the run had, as far as it went; and what became of it."""
        number = self._next()
        tracer = self._there(mode, at) or Tracer(mode.fault, at, mode.wanted, mode.lasting)
        said, met = self.deploy(number, mode, tracer)
        reached, tracer.at = tracer.count, 0
        told = Told(said.code, met)
        allowed = mode.codes if met else frozenset({4 if mode.bad else 0})
        where = f"{mode.name}, point {at}, {met}"
        if said.code not in allowed or "Traceback" in said.err:
            told.wrong.append(
                f"{where}: left with {said.code}: {said.out[-800:]}{said.err[-3000:]}"
            )
        told.wrong += [f"{where}: {each}" for each in self._unclear(said, met)]
        last = self._end(mode.then)
        told.outcome = self._outcome(last)
        if told.outcome == "done":
            self.force.append(number)
        elif told.outcome not in ("undone", "nothing"):
            told.wrong.append(f"{where}: then {told.outcome}: {last.out[-2000:]}{last.err[-3000:]}")
        told.wrong += [f"{where}: {told.outcome}: {each}" for each in self._told()]
        return reached, told

    def _there(self, mode: Mode, at: int) -> Tracer | None:
        """The one that follows all shells of the first host, for as long as there is the ground."""
        if not mode.there or self.bed is None:
            return None
        if self._shells is None:
            self._shells = Tracer(killed, programs=SHELLS)
            self._shells.follow(self.bed[self.hosts[0]].server)
        self._shells.at, self._shells.count, self._shells.met = at, 0, ""
        return self._shells

    def deploy(
        self, number: int, mode: Mode | None = None, tracer: Tracer | None = None
    ) -> tuple[Said, str]:
        """One deploy under a tracer, and what met the fault."""
        bad = "yes" if mode and mode.bad else "no"
        words = ["deploy", "--target", "prod", "--yes", "--json"]
        words += ["--param", f"n={number}", "--param", f"bad={bad}"]
        tracer = tracer or Tracer()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            files = out.fileno(), err.fileno()
            where, env = self.project.directory, unmeasured(self.project.env)
            here = tracer is not self._shells
            program = PROGRAM if here else warm.BACKOUT
            begun = warm.start(words, where, env, files, program=program)
            if here:
                eventually(lambda: _stopped(begun.pid), every=0.001, saying="it waits")
                tracer.follow(begun.pid)
            code = begun.wait(WITHIN)
            for file in (out, err):
                file.seek(0)
            return Said(code, out.read().decode(), err.read().decode()), tracer.met

    def _unclear(self, said: Said, met: str) -> Iterator[str]:
        """Whoever leaves unfinished says what, and what is to be typed, in one object."""
        if said.code not in (3, 8) or not met:
            return
        try:
            error = said.data.get("error") or {"what": said.data["reason"], "next": "-"}
        except (ValueError, KeyError):
            yield f"left with {said.code}, and said: {said.out[-500:]!r} {said.err[-500:]!r}"
            return
        if not (error.get("what") and error.get("next")):
            yield f"left with {said.code}, and said no more than {error}"

    def _end(self, verb: str) -> Said:
        return self.project.say(verb, "--target", "prod", "--yes", "--json")

    def _outcome(self, last: Said) -> str:
        """What became of the run, as the history has it and as whoever ended it said."""
        before, newest = self._known, self._newest()
        self._known = newest["run"]
        if last.code == 3 and "no unfinished run" in last.out and newest["run"] == before:
            return "nothing"
        outcome = str(newest["outcome"])
        known = {"succeeded": ("done", 0), "backed_out": ("undone", 4), "refused": ("nothing", 3)}
        told, code = known.get(outcome, (outcome, -1))
        if last.code == code or (last.code == 3 and "no unfinished run" in last.out):
            return told
        return f"exit {last.code}, and in the history {outcome}"

    def _newest(self) -> Mapping[str, Any]:
        runs: Sequence[Mapping[str, Any]] = self.project.say("history", "--json").data["runs"]
        return runs[0]

    # --- judging -------------------------------------------------------------------------

    def _told(self) -> Iterator[str]:
        """What is not as it should be."""
        seen, expected = self.scene.seen(), self.scene.expected(self.force)
        for key, value in expected.items():
            if seen[key] != value:
                yield f"{key} is {seen[key]}, and should be {value}"
        yield from self._left()
        status = self.project.say("status", "--target", "prod", "--json")
        if status.code or status.data["unfinished"] or status.data["differs"]:
            yield f"status {status.code}: {status.data['differs']}, {status.out}"

    def _left(self) -> Iterator[str]:
        """Backout's own directories: no lease, nothing half made."""
        homes = [self.project.state]
        homes += [self.bed[name].home / ".backout" for name in self.hosts if self.bed]
        for home in homes:
            for path in [*home.rglob("lock"), *home.rglob("lock.*"), *home.rglob("*.part")]:
                yield f"{path} is left"


@dataclass
class Told:
    """What became of one point."""

    code: int
    met: str
    outcome: str = ""
    wrong: list[str] = field(default_factory=list)


def _stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
