"""`pidfile`: a service that its own script starts, and a file that holds its process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from backout.model import Identity, Options, Result
from backout.restarters.backend import (
    START_OF,
    Backend,
    last,
    nobody_knows,
    quote,
)


class PidfileOptions(Options):
    """How it is started, and where it leaves its process's number and its log."""

    start: str
    pidfile: str
    log: str = "/dev/null"


class Pidfile(Backend):
    """The identity is the process and when it began: a number alone may come again."""

    Options: ClassVar[type[Options]] = PidfileOptions

    def identity(self) -> Identity:
        file = quote(self.service.options.pidfile)
        seen = self.read(
            START_OF,
            f"[ -r {file} ] || exit 0",
            f"read -r pid <{file}",
            'kill -0 "$pid" 2>/dev/null || exit 0',
            'echo "$pid $(start_of "$pid")"',
        )
        if not seen.ok:
            return nobody_knows(seen)
        who = seen.stdout.strip()
        return Identity(up=bool(who), value=who, detail=f"process {who}" if who else "not running")

    def restart(self, key: str) -> Result:
        return self.change(key, *self._end(), f"{self.service.options.start}")

    def stop(self, key: str) -> Result:
        return self.change(key, *self._end())

    def logs(self, lines: int) -> str:
        said = self.read(f"tail -n {lines} -- {quote(self.service.options.log)}")
        return last(said.stdout, lines)

    def find(self) -> Sequence[Mapping[str, str]]:
        return ()

    def _end(self) -> tuple[str, ...]:
        """Shell text that ends the process there is, and waits until it is gone."""
        file = quote(self.service.options.pidfile)
        return (
            f"pid=; [ ! -r {file} ] || read -r pid <{file}",
            '[ -z "$pid" ] || kill "$pid" 2>/dev/null || pid=',
            'while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done',
            f"rm -f {file}",
        )
