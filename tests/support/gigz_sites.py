"""Places where the example application runs: under PM2, under systemd, in a container, on the
stand-in for Heroku."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from . import rootfs
from .dockerd import DockerEngine, unique_name
from .gigz import EXAMPLE, Gigz
from .gigz_heroku import Dynos, router
from .heroku_git import HerokuGit
from .pm2 import Pm2
from .postgres import Postgres
from .sshd import SshdBed
from .systemd_host import UNIT, SystemdBed, SystemdHost
from .tools import cache

Site = Callable[[Path, Postgres, DockerEngine], AbstractContextManager[Gigz]]


@contextmanager
def pm2(directory: Path, postgres: Postgres, _engine: DockerEngine) -> Iterator[Gigz]:
    """On a host that is reached by SSH, under a PM2 of its own."""
    with SshdBed(directory / "ssh", ["web1"]) as bed:
        manager = Pm2(directory / "pm2", bed["web1"].machine).start()
        gigz = Gigz(directory / "site", postgres)
        place = {"home": manager.environment["PM2_HOME"], "path": manager.environment["PATH"]}
        gigz.inventory(
            "pm2",
            hosts=bed.inventory_hosts(),
            ssh=bed.inventory_ssh(),
            service={"directory": str(gigz.code), "port": gigz.port, **place},
        )
        yield gigz


@contextmanager
def systemd(directory: Path, postgres: Postgres, engine: DockerEngine) -> Iterator[Gigz]:
    """On a host that is reached by SSH and whose first process is systemd, as a unit."""
    site, packages = directory / "site", str(cache() / "npm")
    volumes = {str(site): str(site), packages: f"{packages}:ro"}
    site.mkdir()
    with SystemdBed(engine, directory / "hosts", volumes=volumes) as bed:
        host = bed["web1"]
        gigz = Gigz(site, postgres, host.address, host.app_port)
        unit = (EXAMPLE / "gigz-api.service").read_text().replace("/srv/gigz", str(site))
        (site / f"{UNIT}.service").write_text(unit)
        _in(host, f"systemctl stop {UNIT}")
        _in(host, f"cp {site}/{UNIT}.service /etc/systemd/system/ && systemctl daemon-reload")
        gigz.inventory(
            "systemd",
            hosts=bed.inventory_hosts(),
            ssh=bed.inventory_ssh(),
            service={"port": host.app_port, "sudo": False},
        )
        yield gigz


@contextmanager
def compose(directory: Path, postgres: Postgres, engine: DockerEngine) -> Iterator[Gigz]:
    """On this machine, in a container whose image borrows this machine's /usr."""
    gigz = Gigz(directory / "site", postgres, env=engine.environment)
    image = engine.import_image("gigz:base", rootfs.skeleton())
    shared = [str(gigz.directory), f"{cache() / 'npm'}"]
    service = {
        "image": image,
        "command": ["/usr/bin/node", "index.js"],
        "working_dir": str(gigz.code),
        "network_mode": "host",
        "env_file": str(gigz.directory / "gigz-api.env"),
        "volumes": ["/usr:/usr:ro", *(f"{path}:{path}" for path in shared)],
        "restart": "unless-stopped",
    }
    file = gigz.directory / "compose.yaml"
    file.write_text(json.dumps({"version": "3.7", "services": {"gigz-api": service}}))
    project = unique_name("gigz")
    gigz.inventory(
        "docker-compose",
        hosts={"web1": {"connection": "local", "address": ""}},
        service={
            "directory": str(gigz.directory),
            "port": gigz.port,
            "build": False,
            "host": engine.host,
            "project": project,
        },
    )
    try:
        yield gigz
    finally:
        engine.compose("v2", gigz.directory, "-p", project, "down", "-t", "1", check=False)


@contextmanager
def heroku(directory: Path, postgres: Postgres, _engine: DockerEngine) -> Iterator[Gigz]:
    """On the stand-in for Heroku, whose dyno runs what was pushed, behind its router."""
    gigz = Gigz(directory / "site", postgres, env={"HEROKU_API_KEY": "heroku-key-of-the-bed"})
    gigz.host = "here"
    dynos = Dynos(gigz.code, gigz.environment)
    dynos.token = "heroku-key-of-the-bed"
    with dynos, HerokuGit(dynos, directory / "heroku") as git, router(dynos, gigz.port):
        gigz.git("config", f"url.{git.url}/.insteadOf", "https://git.heroku.com/")
        gigz.inventory("heroku", source={"strategy": "heroku"}, service={"api": dynos.url})
        yield gigz


SITES: dict[str, Site] = {
    "pm2": pm2,
    "systemd": systemd,
    "docker-compose": compose,
    "heroku": heroku,
}


def _in(host: SystemdHost, command: str) -> None:
    done = host.run("sh", "-c", command)
    assert done.returncode == 0, done.stderr
