"""The places where a journal can lie, for what must hold of each of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest

from backout.adapters.storage.journal import RunJournal, SqliteJournal
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal

from .postgres import Postgres

TEMPLATE = "ledger_of_nobody"


class Place(Protocol):
    """Where journals are opened, several of them over the same tables."""

    def __call__(self, redact: Callable[[str], str] = str, **keys: Any) -> RunJournal: ...


def empty_ledger(server: Postgres) -> str:
    """The address of a database that has a ledger's tables, and nothing in them."""
    _make_template(server)
    name = f"ledger_{secrets.token_hex(4)}"
    server.sql(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return server.dsn(name)


@cache
def _make_template(server: Postgres) -> None:
    """What the others are copied from, once for each server."""
    PostgresJournal(Address(server.create_database(TEMPLATE)), str).close()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place of the test's own; what is opened there is closed at its end."""
    with ExitStack() as opened:
        file = tmp_path / "state" / "journal.db"
        dsn = ""
        if request.param == "postgres":
            dsn = empty_ledger(request.getfixturevalue("postgres"))

        def open_one(redact: Callable[[str], str] = str, **keys: Any) -> RunJournal:
            made: RunJournal = (
                PostgresJournal(Address(dsn), redact, **keys)
                if dsn
                else SqliteJournal(file, redact, **keys)
            )
            return opened.enter_context(made)

        yield open_one
