"""A web server under systemd that is reloaded, or whose port a socket unit holds, on real gunicorn
and uvicorn; its releases come by git.
"""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import Self

from . import ports
from .bed import Bed
from .git_origin import GitOrigin
from .project import Project, Said
from .slots import release_at
from .systemd_host import SystemdBed, SystemdHost
from .wait import eventually

APP = """\
import json, pathlib
RELEASE = (pathlib.Path(__file__).parent / "RELEASE").read_text().strip()
BODY = json.dumps({"release": RELEASE}).encode()

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [BODY]

async def asgi(scope, receive, send):
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})
"""
GUNICORN = "gunicorn --workers 2 --chdir /srv/web/current"
COMMANDS = {
    "gunicorn": f"{GUNICORN} --bind ADDRESS:PORT app:wsgi",
    "preloaded": f"{GUNICORN} --preload --bind ADDRESS:PORT app:wsgi",
    "socket": f"{GUNICORN} app:wsgi",
    "uvicorn": "uvicorn --workers 2 --lifespan off --app-dir /srv/web/current"
    " --host ADDRESS --port PORT app:asgi",
}
UNIT = """\
[Service]
Environment=PYTHONPATH={packages} PYTHONDONTWRITEBYTECODE=1
ExecStart=/usr/bin/python3 -m {command}
ExecReload=/bin/kill -HUP $MAINPID
"""
SOCKET = "[Socket]\nListenStream={address}:{port}\n"


class Reloaded(Bed):
    """The unit `web`; its first release is not deployed yet when it has started."""

    def __init__(self, directory: Path, bed: SystemdBed) -> None:
        self.bed = bed
        self.host: SystemdHost = bed["web1"]
        self.git = GitOrigin(directory / "git")
        self.project = Project(directory / "project")
        self.port = ports.free_port([self.host.address])
        self.number = 0

    def start(self) -> Self:
        self.ship()
        return self

    def stop(self) -> None:
        self.host.run("systemctl", "stop", "web.socket", "web.service")
        ports.release(self.port)

    def serve(self, how: str, *, begin: bool = True) -> None:
        """From now on the unit is this one of COMMANDS."""
        self.host.run("systemctl", "stop", "web.socket", "web.service")
        command = COMMANDS[how].replace("ADDRESS", self.host.address)
        unit = UNIT.format(packages=packages(), command=command.replace("PORT", str(self.port)))
        listens = how == "socket"
        self._write("web.service", unit)
        self._write("web.socket", SOCKET.format(address=self.host.address, port=self.port))
        self.host.run("systemctl", "daemon-reload")
        self.describe(reload=not listens, within="5s" if how == "preloaded" else "60s")
        if listens:
            assert self.host.run("systemctl", "start", "web.socket").returncode == 0
        elif begin:
            assert self.host.run("systemctl", "start", "web.service").returncode == 0
        if begin:
            eventually(self.now, saying=f"{how} answers")

    def _write(self, name: str, text: str) -> None:
        made = f"printf %s {shlex.quote(text)} >/etc/systemd/system/{name}"
        assert self.host.run("sh", "-c", made).returncode == 0

    def describe(self, *, reload: bool, within: str) -> None:
        self.project.runbook(
            "deploy",
            {
                "summary": "Reload.",
                "steps": [{"name": "Update", "update": {}, "on": "all"}],
                "settle": [{"name": "Reload", "restart": {"within": within}, "on": "all"}],
            },
        )
        url = f"http://{self.host.address}:{self.port}/"
        live = '\\"release\\": \\"$(cat /srv/web/current/RELEASE)\\"'
        prove = {"reload": True, "prove": f'curl -fsS {url} | grep -qF "{live}"'}
        self.project.inventory(
            "prod",
            {
                "hosts": self.bed.inventory_hosts(),
                "ssh": self.bed.inventory_ssh(),
                "source": {
                    "repository": str(self.git.copy),
                    "strategy": "releases",
                    "directory": "/srv/web",
                },
                "service": {
                    "name": "web",
                    "backend": "systemd",
                    "port": self.port,
                    **(prove if reload else {}),
                },
                "rollout": {"soak": "100ms"},
                "checks": {"well": {"http": url, "expect": ["status == 200"]}},
            },
        )

    def ship(self) -> str:
        """The next release, published; its number."""
        self.number += 1
        (self.git.copy / "app.py").write_text(APP)
        (self.git.copy / "RELEASE").write_text(f"{self.number}\n")
        self.git.commit(f"Release {self.number}")
        self.git.push()
        return str(self.number)

    def deploy(self) -> Said:
        return self.project.say("deploy", "--target", "prod", "--yes", "--json")

    def now(self) -> str:
        return release_at(self.host.address, self.port)

    def main(self) -> str:
        """The unit's main process."""
        return self.host.show("MainPID", unit="web")["MainPID"]


def packages() -> Path:
    """Where this Python has gunicorn and uvicorn."""
    found = importlib.util.find_spec("gunicorn")
    assert found
    assert found.origin
    return Path(found.origin).parents[1]
