"""A table of plug-ins: kind -> class, imported when a row is looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


class Table(Mapping[str, Any]):
    """`Table({"http": "backout.probes.http:Http"})["http"]` imports that row, and no other."""

    def __init__(self, rows: Mapping[str, str]) -> None:
        self._rows = dict(rows)

    def __getitem__(self, kind: str) -> Any:
        module, _, name = self._rows[kind].partition(":")
        return getattr(import_module(module), name)

    def __contains__(self, kind: object) -> bool:
        return kind in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True, slots=True)
class Tables:
    """The three tables that the words of a file are looked up in."""

    steps: Mapping[str, Any]
    backends: Mapping[str, Any]
    probes: Mapping[str, Any]
