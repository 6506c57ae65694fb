"""Containers of a Docker Engine: what `docker` and `docker-compose` have in common.

On this machine the Docker SDK reads from the Engine's socket (or `ssh://`, through the ssh
program), in a tenth of the docker command's time. On another host the docker command there is
asked over the connection that is open already, with its keys and its known hosts. Whatever
changes something is the docker command under the caller's key, so that its outcome can be
recalled after a lost link.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

from backout.errors import Refused
from backout.model import Identity, Options, Result, State
from backout.restarters.backend import (
    READING,
    Backend,
    log_of,
    nobody_knows,
    quote,
    script,
    section,
)
from backout.restarters.listeners import judge, scan

if TYPE_CHECKING:
    from docker import DockerClient

# Only what is needed: a container's environment, secrets and all, stays on the machine.
_FORMAT = "".join(
    """{"Id":{{json .Id}},"Name":{{json .Name}},"Image":{{json .Image}},
"RestartCount":{{.RestartCount}},"State":{{json .State}},
"Config":{"Image":{{json .Config.Image}},"Labels":{{json .Config.Labels}}},
"HostConfig":{"NetworkMode":{{json .HostConfig.NetworkMode}}},
"NetworkSettings":{"Ports":{{json .NetworkSettings.Ports}}}}""".splitlines()
)

Filters = dict[str, list[str]]


class EngineOptions(Options):
    """`host` is the Engine's address, else DOCKER_HOST or docker's current context; with
    `sudo` the docker command is run by `sudo -n`; `grace` is how long a container may take to
    stop before it is killed."""

    host: str = ""
    sudo: bool = False
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """What the Engine says about one container."""

    id: str
    name: str
    status: str
    health: str
    started: str
    restarts: int
    image: str
    tag: str
    labels: Mapping[str, str]
    network: str
    published: frozenset[int]
    tagged: str = ""
    """The image that its tag names now; empty when nobody has it any more."""

    @classmethod
    def of(cls, seen: Mapping[str, Any]) -> Container:
        """From what `docker inspect` shows."""
        state = seen["State"]
        bindings = (seen["NetworkSettings"].get("Ports") or {}).values()
        return cls(
            id=seen["Id"],
            name=seen["Name"].removeprefix("/"),
            status=state["Status"],
            health=(state.get("Health") or {}).get("Status", ""),
            started=state["StartedAt"],
            restarts=seen["RestartCount"],
            image=seen["Image"],
            tag=seen["Config"]["Image"],
            labels=seen["Config"].get("Labels") or {},
            network=seen["HostConfig"]["NetworkMode"],
            published=frozenset(int(b["HostPort"]) for many in bindings for b in many or ()),
        )

    @property
    def up(self) -> bool:
        """Running, and healthy where it has a health check."""
        return self.status == "running" and self.health in ("", "none", "healthy")

    @property
    def outdated(self) -> bool:
        """Its tag names another image by now, which a restart does not bring."""
        return bool(self.tagged) and self.tagged != self.image

    def __str__(self) -> str:
        health = f" ({self.health})" if self.health not in ("", "none") else ""
        words = f"{self.name} {self.status}{health}"
        return f"{words}, not the image that {self.tag} names now" if self.outdated else words


class Containers(Backend):
    """A service that is one or several containers."""

    def identity(self) -> Identity:
        """Every container and when it started. A crash loop shows in the restart count."""
        looked = self._look()
        if isinstance(looked, Result):
            return nobody_knows(looked)
        now, found = looked
        doubt = self._doubt(found)
        if doubt:
            return Identity(up=False, known=False, detail=doubt)
        return self._proved(_identity(found, now), found)

    def logs(self, lines: int) -> str:
        looked = self._look()
        if isinstance(looked, Result):
            return log_of(looked, self.service, lines)
        found = looked[1]
        tails = [f"{quote('docker', 'logs', '--tail', str(lines), c.id)} 2>&1" for c in found]
        return log_of(self.read(*tails), self.service, lines) if found else ""

    def containers(self) -> Sequence[Container]:
        """The service's containers; none when nobody can tell."""
        looked = self._look()
        return () if isinstance(looked, Result) else looked[1]

    def _doubt(self, found: Sequence[Container]) -> str:
        """Why these cannot be the service."""
        return "" if found else f"the Engine has no container of {self.service.name}"

    def _filters(self) -> Filters:
        """Filters of `docker ps` that find them, more or less."""
        raise NotImplementedError

    def _mine(self, container: Container, directory: str) -> bool:
        """Whether it is one of them; `directory` is the service's, its links followed."""
        raise NotImplementedError

    def _grace(self) -> tuple[str, ...]:
        grace = self.service.options.grace
        return () if grace is None else ("-t", f"{grace:d}")

    def read(self, *lines: str) -> Result:
        return super().read(*self._as_allowed(lines))

    def change(self, key: str, *lines: str) -> Result:
        return super().change(key, *self._as_allowed(lines))

    def _as_allowed(self, lines: Sequence[str]) -> tuple[str, ...]:
        options = self.service.options
        text = script((f"export DOCKER_HOST={quote(options.host)}" if options.host else "", *lines))
        return (quote("sudo", "-n", "sh", "-ec", text) if options.sudo else text,)

    def _look(self) -> tuple[float, Sequence[Container]] | Result:
        local = self.transport.host.connection == "local" and not self.service.options.sudo
        return self._through_sdk() if local else self._through_command()

    def _through_sdk(self) -> tuple[float, Sequence[Container]] | Result:
        try:
            found = _listed(self.service.options.host, self._filters())
        except OSError as error:
            return Result(State.UNKNOWN, reason=f"the Docker Engine does not answer: {error}")
        directory = os.path.realpath(self.service.directory or ".")
        return time.time(), [one for one in found if self._mine(one, directory)]

    def _through_command(self) -> tuple[float, Sequence[Container]] | Result:
        directory = self.service.directory or "."
        filters = [
            f"--filter={name}={value}"
            for name, values in self._filters().items()
            for value in values
        ]
        inspect = quote("docker", "inspect", "--type", "container", "--format", _FORMAT)
        found = self.look(
            f"ids=$({quote('docker', 'ps', '-aq', '--no-trunc', *filters)})",
            f'[ -z "$ids" ] || {inspect} $ids',
            section("images"),
            "for id in $ids; do",
            """  tag=$(docker inspect --type container --format '{{.Config.Image}}' "$id")""",
            """  docker image inspect --format "$tag {{.Id}}" "$tag" 2>/dev/null || :""",
            "done",
            section("here"),
            "date +%s",
            f"cd {quote(directory)} 2>/dev/null && pwd -P || echo {quote(directory)}",
        )
        if isinstance(found, Result):
            return found
        tagged = dict(line.rsplit(" ", 1) for line in found["images"].splitlines())
        now, directory = found["here"].splitlines()
        every = (Container.of(json.loads(line)) for line in found[""].splitlines())
        known = (replace(one, tagged=tagged.get(one.tag, "")) for one in every)
        return float(now), [one for one in known if self._mine(one, directory)]

    def _proved(self, identity: Identity, found: Sequence[Container]) -> Identity:
        """A published port is held by the Engine for its container; on the host's network the
        listener must be of one of the containers."""
        port = self.service.port
        if port is None or not identity.up or any(int(port) in c.published for c in found):
            return identity
        if all(container.network != "host" for container in found):
            detail = f"{identity.detail}; no container of it publishes port {port}"
            return replace(identity, up=False, detail=detail)
        ids = [container.id for container in found]
        looked = self.look(scan(port, sudo=self.service.options.sudo))
        return judge(
            {} if isinstance(looked, Result) else looked,
            port,
            identity,
            lambda holder: any(id in group for id in ids for group in holder.groups),
        )


def _identity(found: Sequence[Container], now: float) -> Identity:
    running = [container for container in found if container.status == "running"]
    started = max((_timestamp(container.started) for container in running), default=None)
    return Identity(
        up=all(container.up for container in found),
        value=" ".join(sorted(f"{c.id[:12]}.{c.started}" for c in running)),
        restarts=sum(container.restarts for container in found),
        uptime=None if started is None else now - started,
        detail="; ".join(str(container) for container in found),
        images=tuple(sorted({(container.tag, container.image) for container in found})),
        outdated="; ".join(str(container) for container in found if container.outdated),
    )


def _timestamp(text: str) -> float:
    """An Engine's time, which has nine decimals."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest[:6] or 0}")


def _listed(host: str, filters: Filters) -> list[Container]:
    """The containers as the Docker SDK sees them. Raises OSError when it sees no Engine."""
    docker = _sdk()
    environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
    try:
        engine = docker.from_env(environment=environment, use_ssh_client=True, timeout=int(READING))
        with closing(engine):
            found = engine.containers.list(all=True, filters=filters, ignore_removed=True)
            return [_with_tag(engine, Container.of(one.attrs)) for one in found]
    except docker.errors.DockerException as error:
        raise OSError(str(error)) from error


def _with_tag(engine: DockerClient, container: Container) -> Container:
    try:
        return replace(container, tagged=str(engine.images.get(container.tag).id))
    except _sdk().errors.ImageNotFound:
        return container


def _sdk() -> ModuleType:
    try:
        import docker
    except ImportError as error:
        missing = "the Docker SDK is not installed"
        raise Refused(missing, next="pip install 'backout[docker]'") from error
    return docker
