"""One container by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from backout.model import Options, Result
from backout.restarters.backend import quote
from backout.restarters.containers import Container, Containers, EngineOptions, Filters


class Docker(Containers):
    """`service.name` is the container. A restart is the same container on the same image: to
    bring another image, it must be made anew by whatever made it."""

    Options: ClassVar[type[Options]] = EngineOptions

    def restart(self, key: str) -> Result:
        return self.change(key, quote("docker", "restart", *self._grace(), self.service.name))

    def stop(self, key: str) -> Result:
        return self.change(key, quote("docker", "stop", *self._grace(), self.service.name))

    def find(self) -> Sequence[Mapping[str, str]]:
        return tuple({"backend": "docker", "name": one.name} for one in self.containers())

    def _filters(self) -> Filters:
        return {"name": [self.service.name]}

    def _mine(self, container: Container, directory: str) -> bool:  # noqa: ARG002
        return container.name == self.service.name
