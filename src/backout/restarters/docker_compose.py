"""A service of a Compose project, of Compose v1 or v2: both label their containers alike."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import ClassVar

from backout.model import Options, Result
from backout.restarters.backend import quote
from backout.restarters.containers import Container, Containers, EngineOptions, Filters

_LABEL = "com.docker.compose"
_PROJECT = f"{_LABEL}.project"
_DIRECTORY = f"{_LABEL}.project.working_dir"

_INSPECT = "docker inspect --format '{{.Id}} {{.State.Running}} {{.State.StartedAt}}'"


class ComposeOptions(EngineOptions):
    """`project` and `files` as on Compose's command line, with its own defaults in the
    service's directory; `build: true` builds images before they are compared; `command` is
    how Compose is called, else `docker compose` or, where that is missing, `docker-compose`."""

    project: str = ""
    files: tuple[str, ...] = ()
    build: bool = False
    command: str = ""


class DockerCompose(Containers):
    """`service.name` is the service in the Compose file, `service.directory` where that is."""

    Options: ClassVar[type[Options]] = ComposeOptions

    def restart(self, key: str) -> Result:
        """`restart` does not bring a rebuilt image or a changed configuration, `up` does;
        and `up` leaves alone what has not changed. Its dependencies are left as they are."""
        name = quote(self.service.name)
        up = quote("up", "-d", *(("--build",) if self.service.options.build else ()))
        return self.change(
            key,
            *self._project(),
            "running() {",
            f"  ids=$(compose ps -q {name} 2>/dev/null) || ids=",
            f"""  [ -z "$ids" ] || {_INSPECT} $ids | grep ' true ' || :""",
            "}",
            "before=$(running)",
            f"compose {up} ${{before:+--no-deps}} {name}",
            """same=$(running | grep -Fx -e "$before" | cut -d' ' -f1)""",
            f"""[ -z "$same" ] || {quote("docker", "restart", *self._grace())} $same""",
        )

    def stop(self, key: str) -> Result:
        words = quote("stop", *self._grace(), self.service.name)
        return self.change(key, *self._project(), f"compose {words}")

    def find(self) -> Sequence[Mapping[str, str]]:
        return tuple(
            {
                "backend": "docker-compose",
                "name": self.service.name,
                "directory": directory,
                "project": project,
            }
            for project, directory in sorted(_projects(self.containers()).items())
        )

    def _doubt(self, found: Sequence[Container]) -> str:
        projects = _projects(found)
        if len(projects) < 2:
            return super()._doubt(found)
        names = ", ".join(sorted(projects))
        return f"several projects have a service {self.service.name}: {names}; say which"

    def _filters(self) -> Filters:
        project = self.service.options.project
        labels = {"service": self.service.name, "oneoff": "False"}
        labels |= {"project": project} if project else {}
        return {"label": [f"{_LABEL}.{name}={value}" for name, value in labels.items()]}

    def _mine(self, container: Container, directory: str) -> bool:
        if self.service.options.project or not self.service.directory:
            return True
        where = container.labels.get(_DIRECTORY)
        return where in (self.service.directory.rstrip("/"), directory)

    def _project(self) -> tuple[str, ...]:
        """Shell text: in the project's directory, with Compose as the command `compose`."""
        options, directory = self.service.options, self.service.directory
        project = ("-p", options.project) if options.project else ()
        files = [word for file in options.files for word in ("-f", file)]
        v2, v1, own = (
            quote(*command, *project, *files) + ' "$@"'
            for command in (
                ("docker", "compose"),
                ("docker-compose",),
                shlex.split(options.command),
            )
        )
        found = f"if docker compose version >/dev/null 2>&1; then {v2}; else {v1}; fi"
        call = own if options.command else found
        return (f"cd {quote(directory)}" if directory else "", f"compose() {{ {call}; }}")


def _projects(found: Sequence[Container]) -> dict[str, str]:
    """The projects of some containers, with their directories."""
    return {one.labels.get(_PROJECT, ""): one.labels.get(_DIRECTORY, "") for one in found}
