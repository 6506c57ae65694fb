"""Containers of a Docker Engine: what `docker` and `docker-compose` have in common.

On this machine the Docker SDK reads from the Engine's socket (or `ssh://`, through the ssh
program), in a tenth of the docker command's time. On another host the docker command there is
asked over the connection that is open already, with its keys and its known hosts. Whatever
changes something is the docker command under the caller's key, so that its outcome can be
recalled after a lost link.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING

from backout.errors import Refused
from backout.model import Boolean, Identity, Options, Result, State
from backout.restarters.backend import (
    READING,
    Backend,
    log_of,
    nobody_knows,
    quote,
    section,
    understood,
)
from backout.restarters.foreign import Unreadable, checked, parsed
from backout.restarters.inspected import FORMAT, Inspected
from backout.restarters.listeners import judge, scan

if TYPE_CHECKING:
    from docker import DockerClient

_TRYING, _OVER = ("restarting", "paused"), ("exited", "dead", "created")
_PASSING = ("running", "removing", "stopping")

Filters = dict[str, list[str]]


class EngineOptions(Options):
    """`host` is the Engine's address, else DOCKER_HOST or docker's current context; with
    `sudo` the docker command is run by `sudo -n`; `grace` is how long a container may take to
    stop before it is killed."""

    host: str = ""
    sudo: Boolean = False
    grace: int | None = None

    def needs(self, connection: str) -> str:
        """On this machine the Engine is asked through its SDK, elsewhere through its program."""
        return "docker" if connection == "local" and not self.sudo else ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the Engine showed, and when."""

    now: float
    mine: Sequence[Container]
    others: Sequence[Container] = ()
    """What may be taken for the service, and is not."""


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
    sources: tuple[str, ...] = ()
    """What of the machine it sees, as its mounts name it."""
    passing: bool = False
    """Whether it is removed when it ends (`--rm`)."""
    tagged: str = ""
    """The image that its tag names now; empty when nobody has it any more."""

    @classmethod
    def of(cls, seen: Inspected) -> Container:
        """From what `docker inspect` shows."""
        bindings = (each for many in seen.network_settings.ports.values() for each in many or ())
        return cls(
            id=seen.id,
            name=seen.name.removeprefix("/"),
            status=seen.state.status,
            health=seen.state.health.status,
            started=seen.state.started_at,
            restarts=seen.restart_count,
            image=seen.image,
            tag=seen.config.image,
            labels=seen.config.labels,
            network=seen.host_config.network_mode,
            passing=seen.host_config.auto_remove,
            published=frozenset(int(b.host_port) for b in bindings if b.host_port.isdigit()),
            sources=tuple(mount.source for mount in seen.mounts if mount.source),
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
        words = f"{self.name} {self.status or 'has no state'}{health}"
        return f"{words}, not the image that {self.tag} names now" if self.outdated else words


class Containers(Backend):
    """A service that is one or several containers."""

    def identity(self) -> Identity:
        """Every container and when it started. A crash loop shows in the restart count."""
        try:
            looked = self._look()
        except Unreadable as error:
            return Identity(up=False, known=False, detail=error.what)
        if isinstance(looked, Result):
            return _allowed(nobody_knows(looked))
        doubt = self._doubt(looked)
        if doubt:
            return Identity(up=False, known=False, detail=doubt)
        seen = _identity(looked.mine, looked.now) if looked.mine else self._without()
        return self._proved(seen, looked.mine)

    def _without(self) -> Identity:
        """The Engine has no container of it, and a restart would make one."""
        words = f"the Engine has no container of {self.service.name}"
        return Identity(up=False, known=False, absent=True, detail=words)

    def logs(self, lines: int) -> str:
        looked = self._look()
        if isinstance(looked, Result):
            return log_of(looked, self.service, lines)
        ids = [container.id for container in looked.mine]
        tails = [f"{quote('docker', 'logs', '--tail', str(lines), id)} 2>&1" for id in ids]
        return log_of(self.read(*tails), self.service, lines) if ids else ""

    def streams(self, lines: int) -> Mapping[str, str]:
        """A container's log goes on over its rotations as far as the Engine keeps them."""
        looked = self._look()
        if isinstance(looked, Result):
            return {"": log_of(looked, self.service, lines)}
        tail = ("docker", "logs", "--tail", str(lines))
        return {
            c.id: log_of(self.read(f"{quote(*tail, c.id)} 2>&1"), self.service, lines)
            for c in looked.mine
        }

    def containers(self) -> Sequence[Container]:
        """The service's containers; none when nobody can tell."""
        looked = self._look()
        return () if isinstance(looked, Result) else looked.mine

    def _doubt(self, seen: Seen) -> str:  # noqa: ARG002 - a name alone leaves none
        """Why nobody can tell which are the service's."""
        return ""

    @property
    def _directory(self) -> str:
        """The directory that the service's containers are known by."""
        return self.service.directory or "."

    def _filters(self) -> Filters:
        """Filters of `docker ps` that find them, more or less."""
        raise NotImplementedError

    def _belongs(self, container: Container, directory: str) -> bool:
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
        """The lines, in which `docker` is whoever may speak to the Engine."""
        options = self.service.options
        host = f"export DOCKER_HOST={quote(options.host)}" if options.host else ""
        own = f'docker() {{ {quote(*self._sudo("docker"))} "$@"; }}' if options.sudo else ""
        return (host, own, *lines)

    def _sudo(self, *words: str) -> tuple[str, ...]:
        """A command line of the Engine's or Compose's program, under sudo where that was said.
        Through sudo no variable reaches it."""
        options = self.service.options
        if not options.sudo:
            return words
        return ("sudo", "-n", *words, *(("-H", options.host) if options.host else ()))

    def _look(self) -> Seen | Result:
        local = self.transport.host.connection == "local" and not self.service.options.sudo
        if local and (words := self._astray()):
            return Result(State.UNKNOWN, reason=words)
        return self._through_sdk() if local else self._through_command()

    def _astray(self) -> str:
        """An Engine's socket is on this machine: where a person's own Engine is, say."""
        here = os.environ.get("DOCKER_HOST", "").startswith("unix://")
        variables = ("DOCKER_CONTEXT",) if here else ("DOCKER_HOST", "DOCKER_CONTEXT")
        return self.astray(**dict.fromkeys(variables, "host"))

    def _seen(self, now: float, every: Sequence[Container], directory: str) -> Seen:
        mine = [one for one in every if self._belongs(one, directory)]
        return Seen(now, mine, [one for one in every if one not in mine])

    def _through_sdk(self) -> Seen | Result:
        try:
            found = _listed(self.service.options.host, self._filters())
        except OSError as error:
            return Result(State.UNKNOWN, reason=f"the Docker Engine does not answer: {error}")
        return self._seen(time.time(), found, os.path.realpath(self._directory))

    def _through_command(self) -> Seen | Result:
        directory = self._directory
        filters = [
            f"--filter={name}={value}"
            for name, values in self._filters().items()
            for value in values
        ]
        inspect = quote("docker", "inspect", "--type", "container", "--format", FORMAT)
        found = self.look(
            f"ids=$({quote('docker', 'ps', '-aq', '--no-trunc', *filters)})",
            f'[ -z "$ids" ] || {inspect} $ids',
            section("images"),
            "for id in $ids; do",
            """  tag=$(docker inspect --type container --format '{{.Config.Image}}' "$id")""",
            # Of an image that is not there an empty line is printed all the same.
            """  image=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null) || continue""",
            '  echo "$tag $image"',
            "done",
            section("here"),
            "date +%s",
            f"cd {quote(directory)} 2>/dev/null && pwd -P || echo {quote(directory)}",
        )
        if isinstance(found, Result):
            return found
        tagged = dict(line.rsplit(" ", 1) for line in found["images"].splitlines())
        now, directory = found["here"].splitlines()[:2]
        every = (Container.of(parsed(Inspected, line)) for line in found[""].splitlines())
        known = [replace(one, tagged=tagged.get(one.tag, "")) for one in every]
        return self._seen(float(now), known, directory)

    def _proved(self, identity: Identity, found: Sequence[Container]) -> Identity:
        """A published port is held by the Engine for its container; on the host's network the
        listener must be of one of the containers."""
        port = self.service.port
        if port is None or any(int(port) in c.published for c in found):
            return identity
        if identity.up and all(container.network != "host" for container in found):
            words = f"no container of it publishes port {port}"
            cure = f"it runs, but {words}: correct service.port or leave it out"
            detail = f"{identity.detail}; {words}"
            return replace(identity, up=False, detail=detail, obstacle=cure)
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
    paused = [container.name for container in found if container.status == "paused"]
    sources = tuple(sorted({source for container in found for source in container.sources}))
    times = [_timestamp(container.started) for container in running]
    started = max((time for time in times if time is not None), default=None)
    return Identity(
        up=all(container.up for container in found),
        trying=any(container.status in _TRYING for container in found),
        over=any(container.status in _OVER for container in found),
        value=" ".join(sorted(f"{c.id[:12]}.{c.started}" for c in running)),
        restarts=sum(container.restarts for container in found),
        uptime=None if started is None else now - started,
        detail="; ".join(str(container) for container in found),
        obstacle=f"it is paused: docker unpause {' '.join(paused)}" if paused else "",
        known=understood((c.status for c in found), _TRYING, _OVER, _PASSING),
        images=tuple(sorted({(container.tag, container.image) for container in found})),
        outdated="; ".join(str(container) for container in found if container.outdated),
        paths=sources,
        pinned=sources,
    )


def _allowed(nobody: Identity) -> Identity:
    """Who may not speak to the Engine has two ways to be allowed."""
    denied = "permission denied" in nobody.detail.lower()
    cure = "`sudo: true` of the service, or the group docker, lets Backout ask" if denied else ""
    return replace(nobody, obstacle=cure)


def _timestamp(text: str) -> float | None:
    """An Engine's time, which has nine decimals."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest[:6] or 0}")
    except ValueError:
        return None


def _listed(host: str, filters: Filters) -> list[Container]:
    """The containers as the Docker SDK sees them. Raises OSError when it sees no Engine."""
    docker = _sdk()
    environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
    try:
        engine = docker.from_env(environment=environment, use_ssh_client=True, timeout=int(READING))
        with closing(engine):
            found = engine.containers.list(all=True, filters=filters, ignore_removed=True)
            return [_with_tag(engine, Container.of(checked(Inspected, one.attrs))) for one in found]
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
    if not hasattr(docker, "from_context"):
        words = f"the Docker SDK {docker.__version__} does not know the context that docker is in"
        raise Refused(words, next="pip install --upgrade 'backout[docker]'")
    return docker
