"""The places where a history of checks can lie, for what must hold of each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from backout.adapters.storage.health_store import HealthStore
from backout.adapters.storage.health_tables import HealthTables
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.health import PostgresHealth
from backout.watch import rollups

from .journals import empty_ledger


class HealthPlace(Protocol):
    """Where stores are opened, several of them over the same tables."""

    def __call__(self, redact: Callable[[str], str] = str) -> HealthTables: ...


@pytest.fixture(params=["sqlite", "postgres"])
def health_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HealthPlace]:
    """A place of the test's own; what is opened there is closed at its end."""
    with ExitStack() as opened:
        dsn = ""
        if request.param == "postgres":
            dsn = empty_ledger(request.getfixturevalue("postgres"))

        def open_one(redact: Callable[[str], str] = str) -> HealthTables:
            made: HealthTables = (
                PostgresHealth(Address(dsn), redact, rollups.fold)
                if dsn
                else HealthStore(tmp_path / "health.db", redact, rollups.fold)
            )
            return opened.enter_context(made)

        yield open_one
