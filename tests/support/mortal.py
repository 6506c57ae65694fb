"""A deployer that may be killed at any record and around any command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backout.adapters.storage.journal import SqliteJournal


class Killed(BaseException):
    """The deployer is killed here."""


@dataclass
class Fate:
    """Kills the deployer at a boundary, for good, and counts those that it passed."""

    at: int = 0
    passed: int = 0
    dead: bool = False

    def boundary(self) -> None:
        self.passed += 1
        self.dead = self.dead or self.passed == self.at
        if self.dead:
            raise Killed


class Mortal:
    """A journal around whose every record the deployer may be killed."""

    def __init__(self, journal: SqliteJournal, fate: Fate) -> None:
        self._journal = journal
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        write = getattr(self._journal, name)
        if name not in ("begin", "end", "note", "finish"):
            return write

        def mortal(*args: Any, **keys: Any) -> None:
            self._fate.boundary()
            write(*args, **keys)
            self._fate.boundary()

        return mortal
