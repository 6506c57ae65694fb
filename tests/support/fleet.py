"""Three hosts under systemd, a repository to deploy there, and the project that does it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import ports, sample_app
from .git_origin import GitOrigin
from .process import Process
from .project import Project, Said
from .systemd_host import UNIT, SystemdBed, SystemdHost
from .tools import program
from .wait import eventually

NAMES = ("web1", "web2", "web3")


class Fleet:
    """What the stories of a rollout need. Release 1 is committed; nothing is deployed yet."""

    def __init__(self, bed: SystemdBed, directory: Path, daemon: str) -> None:
        self.bed = bed
        self.origin = GitOrigin(directory / "git")
        self.project = Project(directory / "project")
        self._publish(daemon)
        self.project.inventory("prod", self.inventory())
        self.project.runbook("deploy", RUNBOOK)

    def inventory(self, **changes: Any) -> dict[str, Any]:
        """The fleet's inventory, with `changes` on top."""
        return {
            "hosts": self.bed.inventory_hosts(),
            "ssh": self.bed.inventory_ssh(),
            "service": {"name": UNIT, "backend": "systemd", "port": self.bed.app_port},
            "source": {"repository": str(self.origin.copy), "directory": "/app"},
            "rollout": {"batches": [1, "100%"], "soak": "600ms"},
            "checks": {"alive": self.alive()},
            **changes,
        }

    def alive(self) -> dict[str, Any]:
        return {
            "on": "web",
            "http": f"http://sample.invalid:{self.bed.app_port}/health",
            "expect": ["status == 200", "body.status == 'ok'"],
            "timeout": "3s",
            "retry": {"for": "8s", "every": "200ms"},
        }

    def deploy(self, *words: str) -> Said:
        return self.project.say("deploy", "--target", "prod", "--json", *words)

    def good_release(self) -> str:
        """Write the next release, deploy it, and return its number."""
        version = self.origin.good_change()
        said = self.deploy()
        assert said.code == 0, said.out + said.err
        return version

    def releases(self) -> dict[str, str | None]:
        """What each host's service itself says it is."""
        return {host.name: self.release_on(host) for host in self.bed}

    def release_on(self, host: SystemdHost) -> str | None:
        health = sample_app.health(host.address, host.app_port)
        return health["release"] if health and health["status"] == "ok" else None

    def _publish(self, daemon: str) -> None:
        """Hosts fetch over the git protocol; this machine pushes by path."""
        served = self.origin.origin
        (served / "git-daemon-export-ok").touch()
        self.origin.git("remote", "set-url", "origin", f"{daemon}{served}")
        self.origin.git("remote", "set-url", "--push", "origin", str(served))


RUNBOOK: dict[str, Any] = {
    "summary": "Ship the working copy and prove that it works.",
    "params": {"message": {"default": "Next release"}},
    "steps": [
        {"name": "Commit", "commit": {"message": "{{ params.message }}"}},
        {"name": "Push", "push": {}},
        {"name": "Update", "update": {}, "on": "web"},
    ],
    "settle": [
        {"name": "Restart", "restart": {"within": "8s"}, "on": "web"},
        {"name": "Prove it", "verify": "all"},
    ],
}


@contextmanager
def git_daemon(log: Path) -> Iterator[str]:
    """Serves every repository of this machine that says so; yields the URL's beginning."""
    port = ports.free_port()
    arguments = ["daemon", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr"]
    process = Process([program("git"), *arguments], log=log)
    try:
        eventually(lambda: ports.accepts("127.0.0.1", port), saying="git daemon")
        yield f"git://127.0.0.1:{port}"
    finally:
        process.stop()
        ports.release(port)


def clean(host: SystemdHost) -> None:
    """The host as it was before its first deploy."""
    host.run("systemctl", "stop", UNIT)
    host.run("systemctl", "reset-failed", UNIT)
    for entry in host.app_directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def witnesses(host: SystemdHost) -> str:
    """The service's own log, for a failing test."""
    done: subprocess.CompletedProcess[str] = host.run("journalctl", "-u", UNIT, "-n", "20")
    return done.stdout
