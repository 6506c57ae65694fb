"""A package of its own adds a step kind, a check kind, a restart backend and a transport."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from support.plugin import install
from support.project import Project
from support.tools import program

START = """#!/bin/sh
cd "$(dirname "$0")"
touch beat
nohup sh -c 'while :; do touch beat; sleep 0.1; done' >/dev/null 2>&1 &
echo $! >pid
"""


class Place:
    """A project on this machine, and a service with a start script of its own."""

    def __init__(self, directory: Path) -> None:
        self.service = directory / "service"
        self.service.mkdir()
        (self.service / "start").write_text(START)
        (self.service / "start").chmod(0o755)
        path = install(directory / "site")
        self.project = Project(directory / "project", {"PYTHONPATH": path})
        self.inventory()

    def inventory(self, **changes: Any) -> None:
        inventory = {
            "hosts": {"here": {"connection": "local"}},
            "service": {
                "name": "beat",
                "backend": "pidfile",
                "start": str(self.service / "start"),
                "pidfile": str(self.service / "pid"),
            },
            "rollout": {"soak": "200ms"},
            "checks": {
                "fresh": {
                    "file-age": str(self.service / "beat"),
                    "on": "all",
                    "expect": ["age_s < 60"],
                }
            },
        }
        whole = {**inventory, **changes}
        self.project.inventory("prod", {k: v for k, v in whole.items() if v is not None})

    def runbook(self, *more: dict[str, Any]) -> None:
        flag = {"name": "new-prices", "directory": str(self.service)}
        step = {"name": "Switch it on", "flag": flag, "on": "all"}
        settle = [{"name": "Restart", "restart": {}, "on": "all"}, {"verify": "all"}]
        self.project.runbook("deploy", {"steps": [step, *more], "settle": settle})

    def flag(self) -> str:
        path = self.service / "new-prices"
        return path.read_text() if path.exists() else ""

    def pid(self) -> str:
        return (self.service / "pid").read_text()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    place.runbook()
    yield place
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(place.pid()), signal.SIGKILL)


def test_kinds_of_another_package_are_deployed_proved_and_taken_back(place: Place) -> None:
    first = place.project.say("deploy", "--target", "prod", "--json", "--yes")
    assert first.code == 0, first.out + first.err
    assert place.flag() == "on\n"
    before = place.pid()

    broken = {"name": "Break", "run": "false", "undo": "true", "on": "all"}
    place.runbook(broken)
    (place.service / "new-prices").write_text("beta\n")
    failed = place.project.say("deploy", "--target", "prod", "--json", "--yes")
    assert failed.code == 4, failed.out + failed.err
    assert place.flag() == "beta\n"
    assert place.pid() != before, "it was settled again after the undo"


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"plugin-{os.getpid()}"
    subprocess.run([program("ip"), "netns", "add", name], check=True)
    yield name
    subprocess.run([program("ip"), "netns", "delete", name], check=True)


def test_a_transport_of_another_package_reaches_its_hosts(
    place: Place, namespace: str, tmp_path: Path
) -> None:
    """What is kept there is below the login home, which had nothing of it before."""
    home = tmp_path / "home"
    home.mkdir()
    place.project.env["HOME"] = str(home)
    place.inventory(hosts={"blue": {"connection": "netns", "address": namespace}}, service=None)
    there = place.service / "where"
    step = {"name": "Say where", "run": f"ip netns identify $$ > {there}", "on": "all"}
    place.project.runbook("deploy", {"steps": [{**step, "undo": f"rm -f {there}"}]})
    (place.service / "beat").touch()
    said = place.project.say("deploy", "--target", "prod", "--json", "--yes")
    assert said.code == 0, said.out + said.err
    assert there.read_text().strip() == namespace
    kept = home / ".backout" / "prod"
    assert {"fence", "notes", "release.json"} <= {path.name for path in kept.iterdir()}
    assert said.data["hosts"]["blue"]["state"] == "deployed"
    place.inventory(hosts={"blue": {"connection": "netnz", "address": namespace}}, service=None)
    wrong = place.project.say("lint")
    assert "must be one of: local, ssh, netns; did you mean 'netns'?" in wrong.err


def test_lint_knows_the_fields_of_a_kind_of_another_package(place: Place) -> None:
    assert place.project.say("lint", "--json").code == 0
    place.inventory(service={"name": "beat", "backend": "pidfile", "start": "/x"})
    said = place.project.say("lint")
    assert said.code == 2
    assert "pidfile" in said.err


def test_a_plug_in_that_cannot_be_loaded_is_named_with_its_package(
    place: Place, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    (broken / "src" / "backout_broken").mkdir(parents=True)
    (broken / "pyproject.toml").write_text(
        '[project]\nname = "backout-broken"\nversion = "1"\n'
        '[project.entry-points."backout.steps"]\nflag = "backout_broken:Flag"\n'
    )
    (broken / "src" / "backout_broken" / "__init__.py").write_text("import nothing_like_it\n")
    path = install(tmp_path / "other", broken)
    said = place.project.say("lint", env={"PYTHONPATH": path})
    assert said.code in (2, 3)
    assert "Traceback" not in said.err
    assert "the plug-in 'flag' of backout-broken cannot be loaded" in said.err
