"""`build`: shell text inside a release that is there and not yet live."""

from __future__ import annotations

import posixpath
import re
from shlex import quote
from typing import ClassVar

from backout.errors import Refused
from backout.model import Options, Source, Undo
from backout.ports import StepContext
from backout.steps.git import source
from backout.steps.hosted import TOLD, Hosted, address, directory
from backout.steps.releases import prepared, release_name
from backout.steps.script import read, way_back

REFERENCE = "\ue000"
"""What a reference to a secret begins with."""


class BuildOptions(Options):
    """POSIX shell, run with `set -e` in the release's directory."""

    short: ClassVar[str] = "script"
    shell_fields: ClassVar[tuple[str, ...]] = ("script",)
    script: str


class Build(Hosted):
    """What it did is kept beside the releases, so that one that was removed is built as it was."""

    Options: ClassVar[type[Options]] = BuildOptions
    needs: ClassVar[str] = "directory"
    strategies: ClassVar[tuple[str, ...]] = ("releases",)
    precedes: ClassVar[str] = "update"

    def describe(self, work: StepContext) -> str:
        inside = posixpath.join(
            directory(source(work)), _inside(work, work.release.commit or "COMMIT")
        )
        return f"in {inside}: {work.options.script}"

    def before(self, work: StepContext) -> Undo:
        where = source(work)
        if where.strategy != "releases":
            raise Refused(
                f"{work.step.name}: build needs the strategy releases, and the source's is"
                f" {where.strategy}",
                next="let it be a `run` step with `cwd`, or say `strategy: releases`",
            )
        place = directory(where)
        address(work, where)
        read(
            work.transport,
            "command -v git >/dev/null || { echo 'git is not installed' >&2; exit 1; }",
            f"{place} on {work.transport.host.name}",
        )
        return way_back(work, _undo(work, place), summary="remove the release, unless it went live")

    def environment(self, work: StepContext) -> tuple[tuple[str, str], ...]:
        return tuple(work.step.env.items())

    def script(self, work: StepContext, where: Source, commit: str) -> str:
        name = release_name(work, commit)
        made = f"builds/{name}/{_number(work)}.sh"
        secrets = [key for key, value in work.step.env.items() if REFERENCE in value]
        needed = f"echo {quote(' '.join(secrets))} >builds/{name}/secret" if secrets else ":"
        return f"""\
{prepared(work, where, commit)}
if [ "$(readlink current)" = releases/{name} ]; then
  echo 'releases/{name} is live: a build stands before the update' >&2; exit 1
fi
: >releases/.unbuilt-{name}
mkdir -p builds/{name}
{needed}
printf '%s\\n' {quote(_text(work, commit))} >{made}
unset {" ".join(TOLD)}
sh -e {made}"""


def _inside(work: StepContext, commit: str) -> str:
    """Where it runs, from the directory that has the releases."""
    release = f"releases/{release_name(work, commit)}"
    return posixpath.normpath(posixpath.join(release, work.step.cwd))


def _text(work: StepContext, commit: str) -> str:
    """The build as it is run now, and again when the release has to be made anew."""
    plain = {key: value for key, value in work.step.env.items() if REFERENCE not in value}
    exports = [f"export {key}={quote(value)}" for key, value in plain.items()]
    return "\n".join([f"cd -- {quote(_inside(work, commit))}", *exports, work.options.script])


def _number(work: StepContext) -> str:
    """Where the step stands in the runbook: builds are made again in their order."""
    found = re.search(r"steps/(\d+)", work.key)
    return (found[1] if found else "0").zfill(4)


def _undo(work: StepContext, d: str) -> str:
    """Take the release away that this run was building; one that went live stays."""
    return f"""\
cd -- {quote(d)} 2>/dev/null || exit 0
for mark in releases/.unbuilt-{work.release.number}-*; do
  [ -e "$mark" ] || continue
  name=${{mark#releases/.unbuilt-}}
  [ "$(readlink current)" != "releases/$name" ] || continue
  rm -rf "releases/$name" "builds/$name"
  rm -f "$mark"
done
"""
