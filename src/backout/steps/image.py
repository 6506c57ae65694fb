"""`update` by `image`: the name that a service's container is made from is moved to another image.

A Compose file, or a `docker run`, says `image: registry/app`; the source says
`image: "registry/app:{{ release.commit }}"`. The update makes `registry/app` mean that image, and
the restart that follows makes the container anew. Going back moves the name back to the image
that ran, by its id: it may have lost every name meanwhile, and is kept by one of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from shlex import join, quote

from backout.errors import Refused
from backout.model import Command, Result, Service, State, Undo
from backout.model.operands import operand
from backout.ports import StepContext
from backout.steps.base import Kind
from backout.steps.git import source
from backout.steps.script import read, told, way_back

KEPT = "backout-"
"""How the tags begin that keep images for the way back; the run follows."""


class Image(Kind):
    """For services by `docker` and `docker-compose`."""

    undoes = True

    def describe(self, work: StepContext) -> str:
        names = _Names.of(work)
        return f"docker tag {names.wanted} {names.moved}"

    def before(self, work: StepContext) -> Undo:
        names, service = _Names.of(work), _service(work)
        id, digest = _running(work, service, names)
        text = _undo(names, id, digest) if id else _first_undo(names)
        summary = f"docker: {names.moved} is the image again that it is now"
        data = {"image": id, "name": names.moved}
        return way_back(work, _allowed(work, service, text), data, summary)

    def act(self, work: StepContext) -> Result:
        names, service = _Names.of(work), _service(work)
        try:
            id, _ = _running(work, service, names)
        except Refused as error:
            return Result(State.FAILED, reason=error.what)
        script = f"""\
{_ID}
id {quote(names.wanted)} >/dev/null 2>&1 || docker pull -q {quote(names.wanted)} >/dev/null
id=$(id {quote(names.wanted)})
{_keep(names, id, work.run, source(work).keep)}
docker tag "$id" {quote(names.moved)}
[ "$(id {quote(names.moved)})" = "$id" ]
echo "$id\""""
        allowed = _allowed(work, service, script)
        command = Command(allowed, timeout=work.step.timeout, key=work.key, title=work.step.name)
        return _outcome(work.transport.run(command))

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        result = super().recall(work, undo)
        return None if result is None else _outcome(result)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        return told(super().undo(work, undo))


_ID = "id() { docker image inspect --format '{{.Id}}' \"$1\"; }"


@dataclass(frozen=True, slots=True)
class _Names:
    """The image that is wanted, and the name that is moved to it."""

    wanted: str
    repository: str

    @classmethod
    def of(cls, work: StepContext) -> _Names:
        """Raises Refused when the inventory names no image."""
        try:
            wanted = operand(work.render(source(work).image))
        except ValueError as error:
            raise Refused(f"source.image: {error}") from error
        if not wanted:
            raise Refused("source.image is missing: which image a release is")
        return cls(wanted, re.sub(r":[^/]*$", "", wanted.partition("@")[0]))

    @property
    def moved(self) -> str:
        return f"{self.repository}:latest"


def _service(work: StepContext) -> Service:
    """The service whose image it is. Raises Refused."""
    service = work.target.service_on(work.host)
    if service is None or service.backend not in ("docker", "docker-compose"):
        kind = f"by {service.backend}" if service else "none"
        raise Refused(f"update by image needs a service by docker or docker-compose, here: {kind}")
    if service.backend == "docker" and not service.options.create:
        raise Refused(
            f"service.create is missing: how the container {service.name} is made."
            " A restart cannot give a container another image"
        )
    return service


def _running(work: StepContext, service: Service, names: _Names) -> tuple[str, str]:
    """The image that runs, or that the name means while nothing runs, and where it can be had
    again; empty before the first deploy. Raises Refused when there would be no way back."""
    seen = work.restarter().identity()
    for name, _ in seen.images:
        if name not in (names.repository, names.moved):
            raise Refused(
                f"{service.name} is made from {name}, and update moves {names.moved}:"
                f" let it be made from {names.repository}"
            )
    if len(seen.images) > 1:
        raise Refused(f"the containers of {service.name} are not of one image: restart them first")
    asked = seen.images[0][1] if seen.images else names.moved
    script = f"""\
docker version >/dev/null
look() {{ docker image inspect --format "$1" {quote(asked)} 2>/dev/null; }}
echo "image=$(look '{{{{.Id}}}}')"
echo "digest=$(look '{{{{range .RepoDigests}}}}{{{{println .}}}}{{{{end}}}}' | head -n 1)\""""
    where = f"{service.name} on {work.transport.host.name}"
    facts = read(work.transport, _allowed(work, service, script), where)
    return facts["image"][0] or (asked if seen.images else ""), facts["digest"][0]


def _keep(names: _Names, id: str, run: str, keep: int) -> str:
    """Shell text that names the image to come back to, so that pruning spares it; the oldest of
    such names are given up."""
    if not id:
        return ":"
    kept = quote(f"{names.repository}:{KEPT}{run}")
    ours = quote(f"reference={names.repository}:{KEPT}*")
    return f"""\
if [ "$id" != {id} ]; then
  docker tag {id} {kept}
  docker image ls --filter {ours} --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | sort -r |
    tail -n +{keep + 1} | while read -r old; do docker rmi "$old" >/dev/null 2>&1 || :; done
fi"""


def _undo(names: _Names, id: str, digest: str) -> str:
    gone = f"{{ echo {quote(f'the image {id} is gone')} >&2; exit 1; }}"
    again = f"docker pull -q {quote(digest)} >/dev/null || {gone}" if digest else gone
    return f"""\
set -e
docker image inspect {id} >/dev/null 2>&1 || {again}
docker tag {id} {quote(names.moved)}
"""


def _first_undo(names: _Names) -> str:
    """The name meant nothing before. One that was wanted by itself stays: it was built."""
    if names.wanted in (names.repository, names.moved):
        return ":"
    return f"docker rmi {quote(names.moved)} >/dev/null 2>&1 || :"


def _allowed(work: StepContext, service: Service, script: str) -> str:
    """Shell text for the service's Engine, as whoever may talk to it."""
    host = work.render(service.options.host)
    if not service.options.sudo:
        return f"export DOCKER_HOST={quote(host)}\n{script}" if host else script
    asked = join(("sudo", "-n", "docker", *(("-H", host) if host else ())))
    return f'docker() {{ {asked} "$@"; }}\n{script}'


def _outcome(result: Result) -> Result:
    if not result.ok:
        return told(result)
    return replace(result, saved={"image": result.stdout.split()[-1]})
