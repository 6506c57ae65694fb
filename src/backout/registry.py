"""A table of plug-ins: kind -> class, imported when a row is looked up.

Other packages add rows by entry points of the table's group (`backout.steps`, `backout.probes`,
`backout.restarters`, `backout.balancers`, `backout.transports`); they are looked for when a kind is
asked for that is not ours, so that whoever has none pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from backout.errors import Refused

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Table(Mapping[str, Any]):
    """`Table({"http": "backout.probes.http:Http"})["http"]` imports that row, and no other."""

    def __init__(self, rows: Mapping[str, str], group: str = "", promise: str = "") -> None:
        """`promise` names what holds the classes of other packages to their seam."""
        self.own = dict(rows)
        """The rows that Backout brings."""
        self._group = group
        self._promise = promise
        self._kept: dict[str, Any] = {}

    @cached_property
    def _added(self) -> Mapping[str, EntryPoint]:
        from importlib.metadata import entry_points

        found = entry_points(group=self._group) if self._group else ()
        return {each.name: each for each in found if each.name not in self.own}

    def __getitem__(self, kind: str) -> Any:
        """Raises KeyError for an unknown kind, and Refused for a plug-in that cannot be loaded."""
        if kind in self.own:
            return _named(self.own[kind])
        if kind not in self._kept:
            self._kept[kind] = _load(self._added[kind], self._promise)
        return self._kept[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self.own or kind in self._added

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self._added

    def __len__(self) -> int:
        return len(self.own) + len(self._added)


def _named(row: str) -> Any:
    module, _, name = row.partition(":")
    return getattr(import_module(module), name)


def _load(row: EntryPoint, promise: str) -> Any:
    try:
        return _named(promise).load(row) if promise else row.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a stranger's module raises when it is imported
        package = row.dist.name if row.dist else row.module
        raise Refused(
            f"the plug-in {row.name!r} of {package} cannot be loaded:"
            f" {type(error).__name__}: {error}",
            where=row.value,
            next=f"pip install --upgrade {package}, or leave {row.name!r} out",
        ) from error


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that the words of a file are looked up in."""

    steps: Mapping[str, Any]
    backends: Mapping[str, Any]
    probes: Mapping[str, Any]
    transports: Mapping[str, Any]
    balancers: Mapping[str, Any] = field(default_factory=dict)
