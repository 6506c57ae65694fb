"""A service of a Compose project, of Compose v1 or v2: both label their containers alike."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from backout.model import Boolean, Identity, Options, Result
from backout.restarters.backend import quote, text_of
from backout.restarters.containers import Container, Containers, EngineOptions, Filters, Seen
from backout.restarters.images import images

_LABEL = "com.docker.compose"
_PROJECT = f"{_LABEL}.project"
_DIRECTORY = f"{_LABEL}.project.working_dir"

_FILES = (
    *("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"),
    *("compose.override.yaml", "compose.override.yml"),
    *("docker-compose.override.yaml", "docker-compose.override.yml"),
)
"""What Compose reads where no file is named."""

_INSPECT = "docker inspect --format '{{.Id}} {{.State.Running}} {{.State.StartedAt}}'"


_NO_NAME = re.compile(r"[^a-z0-9_-]")
"""What Compose leaves out of a directory's name to have the project's."""
_MEANT = {
    "COMPOSE_FILE": "files",
    "COMPOSE_PROJECT_NAME": "project",
    "COMPOSE_PROFILES": "command",
    "COMPOSE_ENV_FILES": "command",
}
"""What of a shell says which project is meant, or what is in it; and the option that does."""
_NOTHING = re.compile(
    r"no configuration file|suitable configuration file|no such file|can.t cd|no such service",
    re.IGNORECASE,
)
"""How Compose, or the shell before it, says that there is no project in a directory."""

_SAID = """\
/^[^ ]/ { top = $1 }
top == "services:" && /^  [^ ]/ { mine = $1 == service ":"; key = "" }
!mine { next }
/^    [^ -]/ { key = $1 }
/^    scale:/ || (key == "deploy:" && /^      replicas:/) { print "count", $2 }
key == "depends_on:" && /^ *- / { print "needs", $2 }
key == "depends_on:" && /^      [^ -].*:/ { sub(/:.*/, "", $1); print "needs", $1 }
"""
"""What `compose config` says of a service: how many containers, and what it needs."""


class ComposeOptions(EngineOptions):
    """`project` and `files` as on Compose's command line, with its own defaults in the
    service's directory; `build: true` builds images before they are compared; `command` is
    how Compose is called, else `docker compose` or, where that is missing, `docker-compose`."""

    project: str = ""
    files: tuple[str, ...] = ()
    build: Boolean = False
    command: str = ""


class DockerCompose(Containers):
    """`service.name` is the service in the Compose file, `service.directory` where that is."""

    Options: ClassVar[type[Options]] = ComposeOptions
    slotted: ClassVar[bool] = True

    def identity(self) -> Identity:
        """Compose makes a container anew when its mounts have changed."""
        if not self.service.options.sudo and (words := self.astray(**_MEANT)):
            return Identity(up=False, known=False, detail=words)
        return replace(super().identity(), pinned=())

    def _proved(self, identity: Identity, found: Sequence[Container]) -> Identity:
        seen = super()._proved(identity, found)
        return replace(seen, obstacle=seen.obstacle or self._moves(found))

    def _moves(self, found: Sequence[Container]) -> str:
        """Why Compose would make the service once more, beside what runs, and not anew: the project
        has the name of where a link leads to now. Empty where it would not."""
        if self.service.options.project or not self.service.directory:
            return ""
        mine = posixpath.basename(self._directory)
        for project, directory in _projects(found).items():
            name = posixpath.basename(directory)
            if name != mine and project == _NO_NAME.sub("", name.lower()).lstrip("_-"):
                return (
                    f"Compose named its project after {directory}, where {self._directory} leads to"
                    " now: led elsewhere, it would run twice;"
                    f" say `project: {project}` of the service"
                )
        return ""

    def restart(self, key: str) -> Result:
        """`restart` does not bring a rebuilt image or a changed configuration, `up` does;
        and `up` leaves alone what has not changed. What the service depends on is left as it is
        too, but what of that has no container yet is made. As many containers as there are stay,
        unless the file says how many."""
        name = quote(self.service.name)
        up = quote("up", "-d", *(("--build",) if self.service.options.build else ()))
        return self._changed(
            key,
            "running() {",
            f"  ids=$(compose ps -q {name} 2>/dev/null) || ids=",
            f"""  [ -z "$ids" ] || {_INSPECT} $ids | grep ' true ' || :""",
            "}",
            "before=$(running) count=0 new=",
            """[ -z "$before" ] || count=$(printf '%s\\n' "$before" | wc -l)""",
            f"said=$(compose config | awk -v service={name} {quote(_SAID)})",
            """case $said in *"count "*) count=0 ;; esac""",
            'if [ -n "$before" ]; then',
            "  for needed in $(printf '%s\\n' \"$said\" | sed -n 's/^needs //p'); do",
            '    [ -n "$(compose ps -aq "$needed" 2>/dev/null)" ] || new="$new $needed"',
            "  done",
            f'  [ -z "$new" ] || compose {up} --no-recreate $new',
            "fi",
            'scale=; [ "$count" -lt 2 ] || scale=--scale',
            f"compose {up} ${{before:+--no-deps}} ${{scale:+$scale {name}=$count}} {name}",
            """same=$(running | grep -Fx -e "$before" | cut -d' ' -f1)""",
            f"""[ -z "$same" ] || {quote("docker", "restart", *self._grace())} $same""",
        )

    def stop(self, key: str) -> Result:
        words = quote("stop", *self._grace(), self.service.name)
        return self._changed(key, f"compose {words}")

    def definition(self) -> Mapping[str, str | None]:
        """The Compose files, and the images of the containers."""
        named = self.service.options.files
        files = quote(*(named or _FILES))
        read = self.read(
            f"cd {quote(self.service.directory or '.')}",
            f"for file in {files}; do",
            '  [ -e "$file" ] || continue',
            '  echo "# $file"; cat "$file"',
            "done",
        )
        text = text_of(read, f"the Compose file of {self.service.name}")
        return {"compose": text or None, "images": images(self._look(), self.service.name)}

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

    def _look(self) -> Seen | Result:
        """Labels tell most of it. Where they do not, Compose itself knows its project."""
        seen = super()._look()
        if isinstance(seen, Result) or seen.mine or not seen.others:
            return seen
        name = quote(self.service.name)
        asked = self.read(*self._project(), f"compose ps -aq {name} || compose ps -q {name}")
        if not asked.ok and not _NOTHING.search(asked.stderr):
            return asked
        ids = asked.stdout.split()
        mine = [one for one in seen.others if one.id in ids]
        return replace(seen, mine=mine, others=[one for one in seen.others if one not in mine])

    def _doubt(self, seen: Seen) -> str:
        projects = _projects(seen.mine)
        if len(projects) < 2:
            return ""
        names = ", ".join(sorted(projects))
        return f"several projects have a service {self.service.name}: {names}; say which"

    @property
    def _directory(self) -> str:
        """Compose calls the directory of the first file the project's."""
        first = (*self.service.options.files, "")[0]
        directory = self.service.directory or "."
        return posixpath.normpath(posixpath.join(directory, posixpath.dirname(first)))

    def _filters(self) -> Filters:
        labels = {"service": self.service.name, "oneoff": "False"}
        return {"label": [f"{_LABEL}.{name}={value}" for name, value in labels.items()]}

    def _belongs(self, container: Container, directory: str) -> bool:
        project = self.service.options.project
        if project:
            return bool(container.labels.get(_PROJECT) == project)
        if not self.service.directory:
            return True
        return container.labels.get(_DIRECTORY) in (self._directory, directory)

    def _changed(self, key: str, *lines: str) -> Result:
        """Change something in the project that the containers are of, however that was named."""
        seen = self._look()
        if isinstance(seen, Result):
            return seen
        projects = [*_projects(seen.mine)]
        named = projects[0] if len(projects) == 1 else ""
        return self.change(key, *self._project(named), *lines)

    def _project(self, named: str = "") -> tuple[str, ...]:
        """Shell text: in the project's directory, with Compose as the command `compose`."""
        options, directory = self.service.options, self.service.directory
        name = options.project or named
        project = ("-p", name) if name else ()
        files = [word for file in options.files for word in ("-f", file)]
        own = tuple(shlex.split(options.command)) or ("docker-compose",)
        v2, v1 = (
            f'{quote(*command, *project, *files)} "$@"'
            for command in (("docker", "compose"), (*self._sudo(own[0]), *own[1:]))
        )
        found = f"if docker compose version >/dev/null 2>&1; then {v2}; else {v1}; fi"
        call = v1 if options.command else found
        return (f"cd {quote(directory)}" if directory else "", f"compose() {{ {call}; }}")


def _projects(found: Sequence[Container]) -> dict[str, str]:
    """The projects of some containers, with their directories."""
    return {one.labels.get(_PROJECT, ""): one.labels.get(_DIRECTORY, "") for one in found}
