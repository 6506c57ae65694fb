"""A project whose steps leave files that can be counted, on SSH hosts or on this machine."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from copy import copy
from pathlib import Path
from typing import Any

from . import warm
from .project import Project, Said
from .sshd import SshdBed
from .wait import eventually
from .warm import Started

HERE = {"here": {"connection": "local", "groups": ["web"]}}


class Yard:
    """One project with the target `prod`. Every effect is one line in a file of its own."""

    def __init__(self, directory: Path, bed: SshdBed | None = None, **inventory: Any) -> None:
        self.project = Project(directory / "project")
        self.files = directory / "files"
        self.files.mkdir()
        self.bed = bed
        if bed is not None:
            for host in bed:
                shutil.rmtree(host.home / ".backout", ignore_errors=True)
        self.changes = inventory
        self._started: list[Started] = []
        self._gates = {"go"}
        self.inventory()

    def __enter__(self) -> Yard:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing that was held or begun outlives the test."""
        for name in self._gates:
            self.let_go(name)
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def elsewhere(self, name: str = "elsewhere") -> Yard:
        """The same project on another machine: without this one's journal."""
        other = copy(self)
        directory = self.project.directory.with_name(name)
        shutil.copytree(
            self.project.directory, directory, ignore=shutil.ignore_patterns(".backout")
        )
        other.project = Project(directory)
        return other

    def inventory(self, **changes: Any) -> None:
        """Write the inventory, with these changes on top of the earlier ones."""
        self.changes |= changes
        self.project.inventory("prod", {**self.plain(), **self.changes})

    def plain(self) -> dict[str, Any]:
        """The inventory without any change."""
        reach: dict[str, Any] = {"hosts": HERE}
        if self.bed is not None:
            reach = {
                "hosts": self.bed.inventory_hosts(),
                "ssh": {**self.bed.inventory_ssh(), "connect_timeout": "30s"},
            }
        there = {"command": "true", "expect": ["exit_code == 0"]}
        rollout = {"batches": [1, "100%"], "soak": "100ms"}
        return {**reach, "rollout": rollout, "checks": {"there": there}}

    def runbook(self, *steps: dict[str, Any], name: str = "deploy", **keys: Any) -> None:
        settle = keys.pop("settle", [{"name": "Prove it", "verify": "all"}])
        runbook = {"summary": "Effects that can be counted.", "steps": list(steps), **keys}
        self.project.runbook(name, {**runbook, "settle": settle})

    def step(
        self, name: str, on: str | None = "web", before: str = "", after: str = "", **keys: Any
    ) -> dict[str, Any]:
        """A step that leaves one line in `files/NAME[-HOST]`; its undo removes the file. It says
        so in `files/beside` when it finds itself running beside itself."""
        place = self.place(name, on)
        run = (
            f"mkdir {place}.busy || echo {place} >> {self.files}/beside\n{before}\n"
            f"echo once >> {place}\n{after}\nrmdir {place}.busy"
        )
        step = {"name": name, "run": run, "undo": f"rm -rf {place} {place}.busy", **keys}
        return {**step, "on": on} if on else step

    def place(self, name: str, on: str | None = "web") -> str:
        return f"{self.files}/{name}" + ("-{{ host.name }}" if on else "")

    def effects(self) -> dict[str, int]:
        """How often each effect is there."""
        found = [path for path in self.files.iterdir() if path.is_file()]
        return {path.name: len(path.read_text().splitlines()) for path in found}

    def exists(self, name: str) -> bool:
        return (self.files / name).exists()

    def hold(self, name: str = "go") -> str:
        """Shell text that waits until `let_go(name)`."""
        self._gates.add(name)
        return f"until [ -e {self.files.parent}/{name} ]; do sleep 0.05; done"

    def let_go(self, name: str = "go") -> None:
        (self.files.parent / name).touch()

    # --- saying --------------------------------------------------------------------------

    def deploy(self, *words: str) -> Said:
        return self.say("deploy", *words)

    def say(self, verb: str, *words: str) -> Said:
        return self.project.say(verb, "--target", "prod", "--json", *words)

    def start(self, verb: str = "deploy", *words: str) -> Started:
        process = self.project.start(verb, "--target", "prod", "--json", *words)
        self._started.append(process)
        return process

    def killed(self, at: str, verb: str = "deploy", *words: str) -> None:
        """A verb whose process is killed as it comes to that function (`module:Class.name`)."""
        program = (str(Path(__file__).with_name("killed_in.py")),)
        argv, here = (at, verb, "--target", "prod", "--json", *words), self.project
        code, *said = warm.run(argv, here.directory, here.env, 120, program=program)
        assert code == -signal.SIGKILL, said

    def busy(self, name: str) -> None:
        """Wait until that step is at work."""
        eventually(lambda: (self.files / f"{name}.busy").is_dir(), saying=name)

    def good_release(self) -> Said:
        said = self.deploy()
        assert said.code == 0, said.out + said.err
        return said

    # --- looking -------------------------------------------------------------------------

    def records(self) -> list[tuple[str, str, Any]]:
        """Kind, key and body of every record of the newest run."""
        with sqlite3.connect(self.project.state / "journal.db") as db:
            rows = db.execute(
                "SELECT kind, key, body FROM record WHERE run ="
                " (SELECT id FROM run ORDER BY rowid DESC LIMIT 1) ORDER BY seq"
            ).fetchall()
        return [(kind, key, json.loads(body)) for kind, key, body in rows]

    def states(self, said: Said) -> dict[tuple[str, str | None], str]:
        """Step and host -> state, of what was done."""
        return {(s["name"], s["host"]): s["state"] for s in said.data["steps"]}
