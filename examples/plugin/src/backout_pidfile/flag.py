"""`flag`: a feature flag that is a file on each host, with its way back."""

from __future__ import annotations

import shlex
from typing import ClassVar

from backout.model import Options, Result, Undo
from backout.ports import StepContext
from backout.steps.base import Kind, command
from backout.steps.script import output, way_back


class FlagOptions(Options):
    """Which flag, and what it is to say."""

    short: ClassVar[str] = "name"
    name: str
    value: str = "on"
    directory: str = "/etc/flags"


class Flag(Kind):
    """Writes one file, whole or not at all; the undo puts back what it said before."""

    Options: ClassVar[type[Options]] = FlagOptions
    undoes: ClassVar[bool] = True

    def describe(self, work: StepContext) -> str:
        return f"flag {work.options.name} = {work.options.value}"

    def before(self, work: StepContext) -> Undo:
        path = _path(work)
        was = output(work.transport, f'! [ -e {path} ] || echo "=$(cat {path})"', path)
        value = was.removeprefix("=").removesuffix("\n")
        text = _write(path, value) if was else f"rm -f {path}"
        return way_back(work, text, summary=f"flag {work.options.name} as it was")

    def act(self, work: StepContext) -> Result:
        script = _write(_path(work), work.options.value)
        return work.transport.run(command(work, script, key=work.key))


def _path(work: StepContext) -> str:
    return shlex.quote(f"{work.options.directory}/{work.options.name}")


def _write(path: str, value: str) -> str:
    return f"printf '%s\\n' {shlex.quote(value)} >{path}.new\nmv -f {path}.new {path}"
