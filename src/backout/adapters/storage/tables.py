"""The tables of a journal, wherever they lie: what its SQL is said to.

The words are SQLite's, as far as PostgreSQL understands them too; what differs is put into its
words where it is asked (`postgres.dialect`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
ALL = 2**62
"""As a limit: all there are."""


class Rows(Protocol):
    """What a statement came to."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def close(self) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...


class Tables(Protocol):
    """A session within which statements are said."""

    def execute(self, words: str, values: Any = ..., /) -> Rows: ...


Write = Callable[[Tables], T]
"""What is written in one transaction, and what comes of it."""
