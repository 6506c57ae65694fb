"""A systemd template unit with two instances, whose releases come by git, behind a front."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from . import ports, sample_app
from .bed import Bed
from .git_origin import GitOrigin
from .process import Process
from .project import BACKOUT, Project, Said
from .slots import SLOTS, Front
from .systemd_host import SystemdBed, SystemdHost
from .wait import eventually

UNIT = """\
[Service]
EnvironmentFile=/etc/api/%i.env
Environment=PYTHONUNBUFFERED=1
WorkingDirectory=/srv/api/current
ExecStart=/usr/bin/python3 -S app.py
TimeoutStopSec=5s
"""


class TwinUnits(Bed):
    """`api@blue` and `api@green` on one host; release 1 is deployed when it has started."""

    def __init__(self, directory: Path, bed: SystemdBed) -> None:
        self.bed = bed
        self.host: SystemdHost = bed["web1"]
        self.git = GitOrigin(directory / "git")
        self.project = Project(directory / "project")
        self.ports = dict(zip(SLOTS, map(ports.free_port, [[self.host.address]] * 2), strict=True))
        self.live = self.host.app_directory / "live"
        self.front = Front(self.live, self.host.address, self.ports)

    def start(self) -> Self:
        self.live.write_text("blue\n")
        self.front.start()
        files = {f"/etc/api/{name}.env": self._env(name) for name in SLOTS}
        for path, text in {**files, "/etc/systemd/system/api@.service": UNIT}.items():
            made = f"mkdir -p {Path(path).parent}; printf %s {shlex.quote(text)} >{path}"
            assert self.host.run("sh", "-c", made).returncode == 0
        self.describe()
        return self

    def stop(self) -> None:
        self.front.stop()
        for name in SLOTS:
            self.host.run("systemctl", "stop", f"api@{name}")
            self.host.run("systemctl", "reset-failed", f"api@{name}")
        self.host.run("rm", "-rf", "/srv/api")
        for port in self.ports.values():
            ports.release(port)

    def _env(self, name: str) -> str:
        return f"HOST={self.host.address}\nPORT={self.ports[name]}\n"

    def describe(
        self,
        red: str = "none",
        front: int = 0,
        balancers: Mapping[str, Any] | None = None,
        bake: Mapping[str, str] | None = None,
        well: str = "",
        soak: str = "100ms",
        within: str = "60s",
        **service: Any,
    ) -> None:
        """The project's files; release `red` fails its check once everybody asks it, and what
        `well` says as shell text fails it at any time."""
        url = f"http://{self.host.address}"
        asked = f"http://127.0.0.1:{front}" if front else f"{url}:{self.front.port}"
        edges = {name: {**entry, "on": ["here"]} for name, entry in (balancers or {}).items()}
        self.project.inventory(
            "prod",
            {
                "hosts": self.bed.inventory_hosts(),
                "ssh": self.bed.inventory_ssh(),
                "source": {
                    "repository": str(self.git.copy),
                    "strategy": "releases",
                    "directory": "/srv/api",
                },
                "service": {
                    "name": "api@{{ slot.name }}",
                    "backend": "systemd",
                    "strategy": "bluegreen",
                    "slots": {name: {"port": port} for name, port in self.ports.items()},
                    "prove": f"curl -fsS {url}:{{{{ slot.port }}}}/health",
                    "switch": {
                        "read": "cat /app/live",
                        "move": "echo {{ slot.name }} >/app/.live && mv /app/.live /app/live",
                    },
                    **service,
                },
                "balancers": edges,
                "rollout": {"soak": soak},
                "checks": {
                    "well": {
                        "http": f"{asked}/health",
                        "expect": ["status == 200", f"body.release != '{red}'"],
                    },
                    **({"still": {"command": well, "expect": ["exit_code == 0"]}} if well else {}),
                },
                **({"bake": bake} if bake else {}),
            },
        )
        self.project.runbook(
            "deploy",
            {
                "summary": "Beside the old one.",
                "steps": [{"name": "Update", "update": {}, "on": "all"}],
                "settle": [
                    {"name": "Restart", "restart": {"within": within}, "on": "all"},
                    {"name": "Prove it", "verify": "all"},
                ],
            },
        )

    def ship(self, behaviour: sample_app.Behaviour = "healthy") -> str:
        """The next release, published; its number."""
        number = (
            self.git.good_change() if behaviour == "healthy" else self.git.bad_change(behaviour)
        )
        self.git.commit(f"Release {number}")
        self.git.push()
        return number

    def deploy(self, *words: str) -> Said:
        return self.project.say("deploy", "--target", "prod", "--yes", "--json", *words)

    def rollback(self) -> Said:
        return self.project.say("rollback", "--target", "prod", "--yes", "--json")

    @contextmanager
    def watched(self) -> Iterator[Process]:
        """While `invoke watch` runs."""
        argv, place = [*BACKOUT, "watch", "--target", "prod"], self.project.directory
        with Process(argv, log=place / "watch.log", env=self.project.env, cwd=place) as process:
            yield process

    def killed(self, moment: Callable[[], Callable[[], bool]]) -> None:
        """A deploy that is killed as soon as something has happened on the host."""
        happened = moment()
        begun = self.project.start("deploy", "--target", "prod", "--yes", "--json")
        eventually(happened, every=0.02, saying=moment.__name__)
        begun.kill()
        begun.communicate()

    @property
    def slot(self) -> str:
        """The one that traffic goes to."""
        return self.live.read_text().strip()

    @property
    def idle(self) -> str:
        return SLOTS[1 - SLOTS.index(self.slot)]

    def idle_is_up(self) -> Callable[[], bool]:
        idle = self.idle
        was = self._serving(idle)
        return lambda: self._serving(idle) not in (was, "")

    def traffic_has_moved(self) -> Callable[[], bool]:
        was = self.live.read_text()
        return lambda: self.live.read_text() != was

    def _serving(self, slot: str) -> str:
        seen = sample_app.health(self.host.address, self.ports[slot])
        return str(seen["pid"]) if seen else ""

    def states(self) -> dict[str, str]:
        """By slot, what systemd says of its unit."""
        return {
            name: self.host.show("ActiveState", unit=f"api@{name}")["ActiveState"] for name in SLOTS
        }
