"""`file-age`: how old a file on a host is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import ClassVar

from backout.model import Command, Observation, Options
from backout.ports import ProbeRequest
from backout.probes.base import Kind


class FileAgeOptions(Options):
    """Which file."""

    short: ClassVar[str] = "path"
    path: str


class FileAge(Kind):
    """A file that is not there has no age: that is an error, never a pass."""

    Options: ClassVar[type[Options]] = FileAgeOptions
    names: ClassVar[Mapping[str, str]] = {"age_s": "seconds since it was last written"}

    def observe(self, look: ProbeRequest) -> Observation:
        path = shlex.quote(look.options.path)
        script = f"echo $(($(date +%s) - $(stat -L -c %Y -- {path})))"
        result = look.transport.run(Command(script, timeout=look.timeout))
        if not result.ok or not result.stdout.strip().lstrip("-").isdigit():
            return Observation(error=result.stderr.strip() or result.reason or "it has no age")
        return Observation({"age_s": int(result.stdout)}, excerpt=result.stdout)
