"""`command`: any balancer that can be asked and told by commands of one's own.

`read` prints a JSON list, or an object by line, of `{"member", "takes"}` and what else is known:
`up`, `backup`, `open`, `mark`, and `requests` and `errors` so far; or lines of words: the member,
`in` or `out`, and how much is open there.
`out` and `in` are given the member as `$MEMBER`, and what `read` had said of it as `$MARK`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from backout.balancers.base import Backend
from backout.model import Member, Options, PoolState, Result


class CommandOptions(Options):
    """What asks the balancer, and what tells it."""

    shell_fields: ClassVar[tuple[str, ...]] = ("read", "out", "in_")
    read: str
    """Shell that only reads, and prints the members: it asks what runs."""
    out: str
    """Shell that takes `$MEMBER` out; nothing new goes there. It may find it out already."""
    in_: str = Field(alias="in")
    """Shell that puts `$MEMBER` back. It may find it in already."""


class Command(Backend):
    """A balancer that is asked and told by commands, on the host where it runs."""

    Options: ClassVar[type[Options]] = CommandOptions
    counts: ClassVar[bool] = True

    def look(self) -> PoolState:
        said = self.read(self.balancer.options.read)
        members = tuple(self._members(said))
        if not members:
            raise self.unread("`read` names no member")
        return PoolState(members, "\n".join(sorted(each.name for each in members)))

    def apply(self, key: str, wanted: Sequence[Member]) -> Result:
        ordered = sorted(wanted, key=lambda member: not member.takes)
        return self.change(key, "".join(map(self._told, ordered)))

    def spelled(self, wanted: Sequence[Member]) -> str:
        return "".join(map(self._told, wanted)).strip()

    def _told(self, member: Member) -> str:
        options = self.balancer.options
        names = f"MEMBER={shlex.quote(member.name)} MARK={shlex.quote(member.mark)}"
        text = options.in_ if member.takes else options.out
        return f"export {names}\n(\n{text}\n)\n"

    def _members(self, said: str) -> Iterator[Member]:
        for row in self._rows(said.strip()):
            try:
                yield _member(row)
            except (KeyError, TypeError, ValueError) as error:
                raise self.unread(f"`read` says {row!r}, which is no member") from error

    def _rows(self, said: str) -> Iterator[Any]:
        if not said.startswith(("[", "{")):
            yield from (line.split() for line in said.splitlines() if line.strip())
            return
        try:
            rows = json.loads(said) if said.startswith("[") else map(json.loads, said.splitlines())
            yield from rows
        except ValueError as error:
            raise self.unread(f"`read` prints no JSON: {error}") from error


def _member(row: Any) -> Member:
    if isinstance(row, list):
        name, state, *rest = row
        if state not in ("in", "out"):
            raise ValueError(state)
        return Member(name, state == "in", None, int(rest[0]) if rest else None)
    known: Mapping[str, Any] = row
    takes, up, opened = known["takes"], known.get("up"), known.get("open")
    backup = known.get("backup", False)
    if not (isinstance(takes, bool) and isinstance(up, bool | None) and isinstance(backup, bool)):
        raise TypeError(takes)
    count = _counted(opened)
    asked, failed = (_counted(known.get(name)) for name in ("requests", "errors"))
    mark = str(known.get("mark", ""))
    return Member(str(known["member"]), takes, up, count, mark, asked, failed, backup=backup)


def _counted(value: Any) -> int | None:
    return None if value is None else int(value)
