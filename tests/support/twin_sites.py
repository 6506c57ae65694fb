"""Services of two slots by PM2, Docker and Compose, on this machine, behind a front."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import ports
from .dockerd import DockerEngine, unique_name
from .git_origin import GitOrigin
from .guard import guard
from .project import Project, Said
from .slots import SLOTS, Front
from .tools import SYSTEM_PATH, node_program

JAVASCRIPT = """
const release = require("fs").readFileSync(__dirname + "/RELEASE", "utf8").trim();
require("http").createServer((request, response) => response.end(JSON.stringify({release})))
  .listen(process.env.PORT, "127.0.0.1");
"""


class Site(ABC):
    """A project that deploys to this machine, and the front before its two slots."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory / "srv"
        self.directory.mkdir()
        self.git = GitOrigin(directory / "git")
        self.project = Project(directory / "project")
        self.ports = {name: ports.free_port() for name in SLOTS}
        self.front = Front(self.directory / "live", "127.0.0.1", self.ports)
        self.front.live.write_text("green\n")
        stack.enter_context(self.front)
        self.number = 0
        self.project.runbook(
            "deploy",
            {
                "summary": "Beside the old one.",
                "steps": [{"name": "Update", "update": {}, "on": "all"}],
                "settle": [
                    {"name": "Restart", "restart": {"within": "60s"}, "on": "all"},
                    {"name": "Prove it", "verify": "all"},
                ],
            },
        )

    @property
    @abstractmethod
    def source(self) -> dict[str, Any]: ...

    @property
    @abstractmethod
    def service(self) -> dict[str, Any]: ...

    @abstractmethod
    def ship(self) -> str:
        """The next release, ready to be deployed; its number."""

    def describe(
        self,
        red: str = "none",
        seen: str = "true",
        front: int = 0,
        balancers: Mapping[str, Any] | None = None,
        **service: Any,
    ) -> None:
        """The project's files; release `red` fails its check once everybody asks it, and once the
        shell text `seen` has come to its end."""
        live = self.front.live
        edges = {name: {**entry, "on": ["here"]} for name, entry in (balancers or {}).items()}
        health = f"http://127.0.0.1:{front or self.front.port}/health"
        well = {"http": health, "expect": ["status == 200", f"body.release != '{red}'"]}
        ill = f'curl -fsS {health} | grep -qE \'"release": ?"{red}"\''
        waits = {
            "command": f"! {ill} || {{ {seen}; }}",
            "expect": ["exit_code >= 0"],
            "timeout": "60s",
        }
        slots = {name: {"port": port} for name, port in self.ports.items()}
        move = f"echo {{{{ slot.name }}}} >{live}.new && mv {live}.new {live}"
        self.project.inventory(
            "prod",
            {
                "hosts": {"web1": {"connection": "local"}},
                "source": {"repository": str(self.git.copy), **self.source},
                "service": {
                    "strategy": "bluegreen",
                    "slots": slots,
                    "prove": "curl -fsS http://127.0.0.1:{{ slot.port }}/health",
                    "switch": {"read": f"cat {live}", "move": move},
                    **self.service,
                    **service,
                },
                "balancers": edges,
                "rollout": {"soak": "100ms"},
                "checks": {"well": well, "seen": waits},
            },
        )

    def deploy(self) -> Said:
        return self.project.say("deploy", "--target", "prod", "--yes", "--json")


class ByPm2(Site):
    """One ecosystem file with both applications, in every release."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        super().__init__(directory, stack)
        node = shutil.which("node")
        assert node
        self.path = os.pathsep.join([str(Path(node_program("pm2")).parent), str(Path(node).parent)])
        self.home = str(directory / "pm2")
        env = {"PM2_HOME": self.home, "HOME": str(directory)}
        env["PATH"] = os.pathsep.join([self.path, SYSTEM_PATH])
        token = guard.add(["env", *(f"{k}={v}" for k, v in env.items()), "pm2", "kill"])
        stack.callback(guard.remove, token)
        stack.callback(subprocess.run, ["pm2", "kill"], env=env, capture_output=True, check=False)

    @property
    def source(self) -> dict[str, Any]:
        return {"strategy": "releases", "directory": str(self.directory)}

    @property
    def service(self) -> dict[str, Any]:
        return {
            "name": "api-{{ slot.name }}",
            "backend": "pm2",
            "home": self.home,
            "path": self.path,
            "directory": f"{self.directory}/current",
            "ecosystem": "ecosystem.config.js",
        }

    def ship(self) -> str:
        self.number += 1
        apps = [
            {"name": f"api-{name}", "script": "app.js", "env": {"PORT": port}}
            for name, port in self.ports.items()
        ]
        files = {
            "app.js": JAVASCRIPT,
            "RELEASE": f"{self.number}\n",
            "ecosystem.config.js": f"module.exports = {json.dumps({'apps': apps})};\n",
        }
        for name, text in files.items():
            (self.git.copy / name).write_text(text)
        self.git.commit(f"Version {self.number}")
        self.git.push()
        return str(self.number)


class ByImage(Site):
    """An image a release; `how` is docker, or a version of Compose."""

    def __init__(self, directory: Path, stack: ExitStack, engine: DockerEngine, how: str) -> None:
        super().__init__(directory, stack)
        self.engine, self.how = engine, how
        self.name = unique_name("twin")
        self.repository = engine.image(self.name)
        self.project.env |= engine.environment
        for slot, port in self.ports.items():
            stack.callback(self._end, slot)
            api = {"image": self.repository, "network_mode": "host", "stop_grace_period": "1s"}
            own = {**api, "environment": {"PORT": str(port), "HOST": "127.0.0.1"}}
            text = json.dumps({"version": "3.3", "services": {"api": own}})
            (self.directory / f"{slot}.yaml").write_text(text)

    def _end(self, slot: str) -> None:
        if self.how == "docker":
            self.engine.docker("rm", "-f", f"{self.name}-{slot}", check=False)
        else:
            words = ("-p", f"{self.name}-{slot}", "-f", f"{slot}.yaml", "down", "-t", "1")
            self.engine.compose(self.how, self.directory, *words, check=False)

    @property
    def source(self) -> dict[str, Any]:
        return {"strategy": "image", "image": f"{self.repository}:{{{{ release.commit }}}}"}

    @property
    def service(self) -> dict[str, Any]:
        twin = f"{self.name}-{{{{ slot.name }}}}"
        if self.how == "docker":
            env = "-e HOST=127.0.0.1 -e PORT={{ slot.port }}"
            create = f"docker run -d --network host --name {twin} {env} {self.repository}"
            return {"name": twin, "backend": "docker", "grace": 1, "create": create}
        return {
            "name": "api",
            "backend": "docker-compose",
            "grace": 1,
            "directory": str(self.directory),
            "project": twin,
            "files": ["{{ slot.name }}.yaml"],
            "command": " ".join(self.engine.compose_versions[self.how]),
        }

    def ship(self) -> str:
        self.number += 1
        latest = f"{self.repository}:latest"
        before = self.engine.docker("images", "-q", latest)
        self.engine.build_app(self.name, self.git.copy, 1, str(self.number))
        (self.git.copy / "RELEASE").write_text(f"{self.number}\n")
        commit = self.git.commit(f"Release {self.number}")
        self.git.push()
        self.engine.docker("tag", latest, f"{self.repository}:{commit}")
        if before:
            self.engine.docker("tag", before, latest)
        return str(self.number)
