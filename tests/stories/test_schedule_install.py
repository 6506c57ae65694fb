"""What the machine is told to do by itself: shown, asked, written once, removed alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import warm
from support.loopback import Web
from support.project import Project, Said

SYSTEMCTL = """#!/bin/sh
echo "$@" >>"$CALLS"
"""
CRONTAB = """#!/bin/sh
case $1 in
  -l) [ -e "$TAB" ] && cat "$TAB" || { echo no crontab >&2; exit 1; } ;;
  -) cat >"$TAB" ;;
esac
"""


class Machine:
    """A project whose systemd and crontab are this test's own."""

    def __init__(self, directory: Path) -> None:
        self.project = Project(directory / "my project")
        self.tab = directory / "tab"
        self.calls = directory / "calls"
        programs = directory / "bin"
        programs.mkdir()
        for name, text in (("systemctl", SYSTEMCTL), ("crontab", CRONTAB)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.units = directory / "config" / "systemd" / "user"
        self.env = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "XDG_CONFIG_HOME": str(directory / "config"),
            "CALLS": str(self.calls),
            "TAB": str(self.tab),
        }

    def say(self, *words: str) -> Said:
        return self.project.say(*words, env=self.env)

    def unit(self, ending: str) -> str:
        (path,) = self.units.glob(f"backout-*{ending}")
        return path.read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    check = {"http": "http://127.0.0.1:1/", "expect": ["status == 200"]}
    machine.project.inventory("prod", {"checks": {"alive": check}})
    return machine


def test_nothing_is_written_without_a_yes(machine: Machine) -> None:
    said = machine.say("schedule.install", "--user")
    assert said.code == 3
    assert not machine.units.exists()


def test_watch_becomes_a_service_that_systemd_understands(machine: Machine) -> None:
    said = machine.say("schedule.install", "--user", "--yes")
    assert said.code == 0, said.err
    text = machine.unit(".service")
    assert text in said.out or all(line in said.out for line in text.splitlines())
    assert machine.calls.read_text().splitlines() == [
        "--user daemon-reload",
        f"--user enable {next(machine.units.iterdir()).name}",
        f"--user restart {next(machine.units.iterdir()).name}",
    ]
    assert verified(machine.units) == ""
    again = machine.say("schedule.install", "--user", "--yes")
    assert "installed already" in again.out
    assert len(machine.calls.read_text().splitlines()) == 3


def test_the_service_serves_the_page_where_it_is_told_to(machine: Machine) -> None:
    served = ("--listen", "8642", "--listen-name", "status.example.org", "--page", "out side")
    words = ("schedule.install", "--user", "--yes", *served)
    below = machine.project.directory / "below"
    below.mkdir()
    said = warm.run(words, below, {**machine.project.env, **machine.env}, 60)
    assert said[0] == 0, said
    folder = below / "out side"
    command = f'watch --listen 8642 --listen-name status.example.org --page "{folder}"\n'
    assert command in machine.unit(".service")
    assert verified(machine.units) == ""


def test_verify_becomes_a_timer(machine: Machine) -> None:
    words = ("schedule.install", "--user", "--target", "prod", "--as", "timer", "--every", "90s")
    assert machine.say(*words, "--yes").code == 0
    assert "OnUnitActiveSec=90" in machine.unit(".timer")
    assert "verify --target prod" in machine.unit(".service")
    assert verified(machine.units) == ""
    shown = machine.say("schedule.show", "--user", "--json")
    assert len(shown.data["entries"]) == 2


def test_verify_becomes_one_line_of_a_crontab_that_runs(machine: Machine) -> None:
    machine.tab.write_text("MAILTO=ann\n0 3 * * * backup\n")
    words = ("schedule.install", "--target", "prod", "--as", "crontab", "--every", "15m", "--yes")
    assert machine.say(*words).code == 0
    *others, line = machine.tab.read_text().splitlines()
    assert others == ["MAILTO=ann", "0 3 * * * backup"]
    assert "-59/15 * * * * cd '" in line
    with Web() as web:
        check = {"http": web.url, "expect": ["status == 200"]}
        machine.project.inventory("prod", {"checks": {"alive": check}})
        command = line.split(" ", 5)[5].replace(r"\%", "%")
        done = subprocess.run(["sh", "-c", command], env=machine.project.env, check=False)
        assert done.returncode == 0
    assert machine.say(*words).out.startswith("installed already")
    assert machine.tab.read_text().splitlines() == [*others, line]


def test_only_what_is_ours_is_removed(machine: Machine) -> None:
    machine.tab.write_text("0 3 * * * backup\n")
    machine.units.mkdir(parents=True)
    (machine.units / "backout-other.service").write_text("[Service]\nExecStart=/bin/true\n")
    for kind in ("service", "timer", "crontab"):
        words = ("schedule.install", "--user", "--target", "prod", "--as", kind, "--yes")
        assert machine.say(*words).code == 0
    assert machine.say("schedule.remove", "--user", "--target", "prod").code == 3
    assert machine.say("schedule.remove", "--user", "--target", "prod", "--yes").code == 0
    assert machine.tab.read_text() == "0 3 * * * backup\n"
    assert [path.name for path in machine.units.iterdir()] == ["backout-other.service"]
    assert machine.say("schedule.remove", "--user", "--yes").code == 3


def test_what_cannot_be_meant_is_a_mistake(machine: Machine) -> None:
    words = ("schedule.install", "--target", "prod", "--yes")
    assert machine.say(*words, "--as", "cron").code == 2
    assert machine.say(*words, "--as", "crontab", "--every", "7m").code == 2
    assert machine.say(*words, "--as", "timer", "--every", "soon").code == 2
    assert machine.say("schedule.install", "--user", "--target", "nowhere", "--yes").code == 2
    assert machine.say(*words, "--as", "timer", "--page", "here").code == 2
    assert machine.say("schedule.install", "--yes", "--listen", "nowhere").code == 2
    assert machine.say("schedule.install", "--yes", "--listen", "192.0.2.1").code == 3


def verified(units: Path) -> str:
    """What systemd itself has to say against the units."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return ""
    done = subprocess.run(
        [program, "--user", "verify", *map(str, units.iterdir())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(units)},
    )
    return "\n".join(line for line in done.stderr.splitlines() if "backout-" in line)
