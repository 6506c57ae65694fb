"""One container by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from backout.model import Identity, Options, Result
from backout.restarters.backend import quote
from backout.restarters.containers import Container, Containers, EngineOptions, Filters
from backout.restarters.images import images


class DockerOptions(EngineOptions):
    """`create` is the shell text that makes the container: `docker run -d --name …`."""

    create: str = ""


class Docker(Containers):
    """`service.name` is the container. A restart is the same container on the same image: to
    bring another image it is made anew, which needs `create`."""

    Options: ClassVar[type[Options]] = DockerOptions
    slotted: ClassVar[bool] = True

    def identity(self) -> Identity:
        """Nothing can be brought that cannot be made."""
        seen = super().identity()
        if self._create:
            return seen
        lacks = f"{seen.detail}, and `create` does not say how to make it" if seen.absent else ""
        return replace(seen, outdated="", obstacle=seen.obstacle or lacks)

    def _proved(self, identity: Identity, found: Sequence[Container]) -> Identity:
        seen = super()._proved(identity, found)
        if self._create or not any(one.passing for one in found):
            return seen
        words = "it is removed when it ends (--rm), and `create` does not say how to make it again"
        return replace(seen, obstacle=seen.obstacle or words)

    def restart(self, key: str) -> Result:
        name = quote(self.service.name)
        restart = quote("docker", "restart", *self._grace(), self.service.name)
        if not self._create:
            return self.change(key, restart)
        return self.change(
            key,
            f'look() {{ docker container inspect --format "$1" {name} 2>/dev/null || :; }}',
            "made=$(look '{{.Image}}') tag=$(look '{{.Config.Image}}')",
            """now=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null) || now=$made""",
            # One that is removed when it ends Docker may remove in the middle of its own restart.
            "goes=$(look '{{.HostConfig.AutoRemove}}')",
            'if [ -n "$made" ] && [ "$made" = "$now" ] && [ "$goes" != true ]; then'
            f" {restart}; exit; fi",
            'if [ -n "$made" ]; then',
            f"  {quote('docker', 'stop', *self._grace(), self.service.name)}",
            f"  docker rm -f {name} >/dev/null 2>&1 || :",  # of --rm it is gone, or goes now
            "  for each in 1 2 3 4 5 6 7 8 9 10; do",
            "    [ -n \"$(look '{{.Id}}')\" ] || break",
            "    sleep 0.5",
            "  done",
            "fi",
            self._create,
        )

    @property
    def _create(self) -> str:
        return str(self.service.options.create)

    def stop(self, key: str) -> Result:
        return self.change(key, quote("docker", "stop", *self._grace(), self.service.name))

    def definition(self) -> Mapping[str, str | None]:
        """The image of its container."""
        return {"images": images(self._look(), self.service.name)}

    def find(self) -> Sequence[Mapping[str, str]]:
        return tuple({"backend": "docker", "name": one.name} for one in self.containers())

    def _filters(self) -> Filters:
        return {"name": [self.service.name]}

    def _belongs(self, container: Container, directory: str) -> bool:  # noqa: ARG002
        return container.name == self.service.name
