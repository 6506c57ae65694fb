"""A private PM2 with its daemon and applications, inside a test machine that ends them all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

from .bed import Bed
from .machine import Machine
from .tools import SYSTEM_PATH, MissingTool, node_program, system_python
from .wait import eventually


class Pm2(Bed):
    """PM2 of one machine; `environment` is what a `pm2` command line needs to reach it."""

    def __init__(self, directory: Path, machine: Machine | None = None) -> None:
        self.machine = machine or Machine("pm2", directory)
        self._owns_machine = machine is None
        node = shutil.which("node")
        if node is None:
            raise MissingTool("node")
        self.program = node_program("pm2")
        path = os.pathsep.join([str(Path(self.program).parent), str(Path(node).parent)])
        self.environment = {
            "HOME": str(self.machine.home),
            "PM2_HOME": str(self.machine.home / ".pm2"),
            "PATH": os.pathsep.join([path, SYSTEM_PATH]),
        }

    def start(self) -> Self:
        """Boot the machine and wake the daemon, which otherwise greets before its first answer."""
        if self._owns_machine:
            self.machine.boot()
        self.run("ping")
        return self

    def stop(self) -> None:
        """End the daemon and every application at once."""
        if self._owns_machine:
            self.machine.power_cut()
        elif self.machine.up:
            self.run("kill")

    def run(
        self, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a pm2 command; `env` is added to what the application may inherit."""
        variables = {**self.environment, **(env or {})}
        return self.machine.run(self.program, *arguments, env=variables, check=False)

    def start_app(
        self, name: str, script: Path, *options: str, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`pm2 start` of a Python script under a name."""
        interpreter = ["--interpreter", system_python(), "--name", name]
        return self.run("start", str(script), *interpreter, *options, env=env)

    def ecosystem(self, path: Path, **app: object) -> Path:
        """Write an ecosystem file with one Python application."""
        app = {"interpreter": system_python(), **app}
        path.write_text(f"module.exports = {json.dumps({'apps': [app]})};\n")
        return path

    def processes(self) -> list[dict[str, Any]]:
        """What `pm2 jlist` says."""
        found: list[dict[str, Any]] = json.loads(self.run("jlist").stdout)
        return found

    def process(self, name: str) -> dict[str, Any]:
        """One application's entry of `jlist`."""
        (found,) = (entry for entry in self.processes() if entry["name"] == name)
        return found

    def status(self, name: str) -> str:
        """`online`, `errored`, `stopped`, …"""
        return str(self.process(name)["pm2_env"]["status"])

    def wait_status(self, name: str, status: str, within: float = 150.0) -> None:
        """Wait until an application has this status."""
        # Each look costs a start of Node.
        eventually(
            lambda: self.status(name) == status,
            within=within,
            every=0.3,
            saying=f"{name} {status}",
        )
