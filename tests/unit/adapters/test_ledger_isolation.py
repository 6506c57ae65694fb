"""Transactions that wait for each other, whatever the database's own default is."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal
from backout.adapters.storage.postgres.session import Session
from backout.adapters.storage.postgres.watchdog import Watch
from backout.adapters.storage.tables import Tables
from support.postgres import Postgres
from support.wait import eventually


@pytest.mark.parametrize("default", ["repeatable read", "serializable"])
def test_who_waited_for_another_sees_what_that_one_wrote(postgres: Postgres, default: str) -> None:
    name = f"isolated_{secrets.token_hex(4)}"
    dsn = postgres.create_database(name)
    postgres.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = '{default}'")
    began, goes_on = Event(), Event()
    first = Session(Address(dsn), Watch())

    def writes(db: Tables) -> None:
        db.execute("UPDATE number SET last = 77")
        began.set()
        assert goes_on.wait(60)

    with PostgresJournal(Address(dsn), str) as journal, ThreadPoolExecutor(2) as pool:
        assert journal.next_number("prod") == 1
        one = pool.submit(first.transact, writes)
        try:
            assert began.wait(60)
            other = pool.submit(journal.next_number, "prod")
            waits = f"datname = '{name}' AND wait_event_type = 'Lock'"
            waiting = f"SELECT 1 FROM pg_stat_activity WHERE {waits}"
            eventually(lambda: postgres.sql(waiting), saying="the second waits for the first")
        finally:
            goes_on.set()
        one.result(timeout=60)
        assert other.result(timeout=60) == 78
    first.drop()
