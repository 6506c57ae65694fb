"""What a service wrote before its log was rotated is read, or told as a gap, and never green."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from backout.checks.judging import judge
from backout.model import Check, Finding, Service, Verdict
from backout.ports import Restarter
from backout.probes.log import Log
from backout.restarters.pm2 import Pm2, Pm2Options
from backout.restarters.supervisor import Supervisor, SupervisorOptions
from support.looks import observe
from support.pm2 import Pm2 as Pm2Bed
from support.supervisord import Program, Supervisord
from support.tools import system_python, venv_program
from support.transports import Shell
from support.wait import eventually

HERE = Shell()
CALM = "!lines.exists(line, line.contains('PANIC'))"
REPEATS = """\
import sys, time
with open(sys.argv[1]) as said:
    while True:
        line = said.readline()
        print(line, end="", flush=True) if line else time.sleep(0.01)
"""


class Watched:
    """A service that says what it is told to, and the looks at its log that follow each other."""

    def __init__(self, restarter: Restarter, said: Path, log: Path) -> None:
        self.restarter = restarter
        self.said = said
        self.log = log
        self.memory: dict[str, Any] = {}
        self.lines = 0

    def says(self, *lines: str) -> None:
        with self.said.open("a") as said:
            said.writelines(f"{self.lines + at} {line}\n" for at, line in enumerate(lines, 1))
        self.lines += len(lines)
        last = f"{self.lines} {lines[-1]}\n"
        files = (self.log, Path(f"{self.log}.1"), Path(f"{self.log}-20240130"))
        eventually(
            lambda: any(file.exists() and file.read_text().endswith(last) for file in files),
            saying="it is in the log",
        )

    def look(self, last: int = 50) -> Finding:
        check = Check(name="calm", kind="log", options=None, expect=(CALM,))
        seen = observe(Log, {"last": last}, restarter=self.restarter, memory=self.memory)
        return judge(check, seen, {}, offered=Log.names)


@pytest.fixture(scope="module")
def pm2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Watched]]:
    directory = tmp_path_factory.mktemp("pm2")
    script = directory / "repeats.py"
    script.write_text(REPEATS)
    with Pm2Bed(directory / "machine") as bed:
        shell = Shell(
            inside=bed.machine.command([]),
            env={"HOME": bed.environment["HOME"], "PATH": "/usr/bin:/bin"},
        )

        def service(name: str) -> Watched:
            said = directory / name
            said.touch()
            assert bed.start_app(name, script, "--", str(said)).returncode == 0
            options = Pm2Options(home=bed.environment["PM2_HOME"], path=bed.environment["PATH"])
            restarter = Pm2(Service(name=name, backend="pm2", options=options), shell)
            (log,) = (Path(name) for name in restarter.streams(10) if "out" in name)
            return Watched(restarter, said, log)

        yield service


def copied_and_emptied(log: Path) -> None:
    shutil.copy2(log, f"{log}.1")
    os.truncate(log, 0)


def dated_and_compressed(log: Path) -> None:
    with gzip.open(log.with_name(f"{log.stem}__2024-01-30_20-00-00.log.gz"), "wb") as packed:
        packed.write(log.read_bytes())
    os.truncate(log, 0)


def renamed(log: Path) -> None:
    """PM2 writes on to the file that it has open; the new one is quiet."""
    log.rename(f"{log}-20240130")
    log.touch()


@pytest.mark.parametrize("rotate", [copied_and_emptied, dated_and_compressed, renamed])
def test_a_panic_before_a_rotation_is_read_from_the_rotated_file(
    pm2: Callable[[str], Watched], rotate: Callable[[Path], None]
) -> None:
    watched = pm2(rotate.__name__)
    watched.says("well", "well")
    assert watched.look().verdict is Verdict.PASS
    watched.says("PANIC", "well again")
    rotate(watched.log)
    found = watched.look()
    assert found.verdict is Verdict.FAIL
    assert found.facts["lines"] == ["3 PANIC", "4 well again"]
    quiet = watched.look()
    assert (quiet.verdict, quiet.facts["lines"]) == (Verdict.PASS, [])
    if rotate is copied_and_emptied:
        watched.says("on")
        assert watched.look().facts["lines"] == ["5 on"]


def test_a_quiet_service_is_well_right_after_a_rotation_and_a_gap_is_told_once(
    pm2: Callable[[str], Watched],
) -> None:
    watched = pm2("quiet")
    watched.says("well")
    copied_and_emptied(watched.log)
    first = watched.look()
    assert (first.verdict, first.facts["lines"]) == (Verdict.PASS, ["1 well"])
    watched.says("well", "PANIC")
    Path(f"{watched.log}.1").unlink()
    os.truncate(watched.log, 0)
    found = watched.look()
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "cannot all be read" in found.reason
    watched.says("on", "and on")
    after = watched.look()
    assert (after.verdict, after.facts["lines"]) == (Verdict.PASS, ["4 on", "5 and on"])


def test_more_lines_than_are_looked_at_are_a_gap(pm2: Callable[[str], Watched]) -> None:
    watched = pm2("many")
    watched.says("well")
    watched.look(last=10)
    watched.says("PANIC", *["well"] * 10)
    assert watched.look(last=10).verdict is Verdict.INCONCLUSIVE


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Watched]]:
    directory = tmp_path_factory.mktemp("supervisor")
    (directory / "repeats.py").write_text(REPEATS)
    with ExitStack() as stack:

        def service(name: str, **common: Any) -> Watched:
            said = directory / name
            said.touch()
            log = {"stdout_logfile_maxbytes": "200", "stdout_logfile_backups": "2"}
            command = [system_python(), str(directory / "repeats.py"), str(said)]
            program = Program(name, command, {"PYTHONUNBUFFERED": "1"}, log)
            bed = stack.enter_context(Supervisord(directory / f"of-{name}", [program]))
            bed.wait_state(name, "RUNNING")
            options = SupervisorOptions(config=str(bed.config), **common)
            restarter = Supervisor(Service(name=name, backend="supervisor", options=options), HERE)
            return Watched(restarter, said, bed.directory / f"{name}.log")

        yield service


def a_panic_and_a_rotation(watched: Watched) -> str:
    """What was said before the log was rotated."""
    watched.says("well", "well")
    assert watched.look().verdict is Verdict.PASS
    panic = "PANIC " + "x" * 300
    watched.says(panic)
    eventually(lambda: Path(f"{watched.log}.1").exists(), saying="it is rotated")
    return f"3 {panic}"


def test_what_supervisor_rotated_away_is_read_from_its_files(
    supervisor: Callable[..., Watched],
) -> None:
    watched = supervisor("api")
    panic = a_panic_and_a_rotation(watched)
    found = watched.look()
    assert found.verdict is Verdict.FAIL
    assert found.facts["lines"] == [panic]
    assert (watched.look().verdict, watched.look().facts["lines"]) == (Verdict.PASS, [])
    watched.says("on")
    assert watched.look().facts["lines"] == ["4 on"]


def test_where_supervisor_does_not_tell_its_files_the_gap_is_told(
    supervisor: Callable[..., Watched],
) -> None:
    """Behind a command that is none of supervisor's own, nobody knows where they are."""
    watched = supervisor("far", command=f"env {venv_program('supervisorctl')}")
    a_panic_and_a_rotation(watched)
    assert watched.look().verdict is Verdict.INCONCLUSIVE
    assert watched.look().verdict is Verdict.PASS
    watched.says("on")
    assert watched.look().facts["lines"] == ["4 on"]
