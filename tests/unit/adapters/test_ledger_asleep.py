"""A machine that is put to sleep in the middle of a transaction with the ledger."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from backout.adapters.storage.postgres import session
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal
from backout.adapters.storage.postgres.session import Lost, Session
from backout.adapters.storage.postgres.watchdog import Watch
from backout.adapters.storage.tables import Tables
from support.postgres import Postgres


def test_it_holds_nobody_up_and_has_done_nothing(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "IDLE", 3.0)
    dsn = postgres.create_database(f"asleep_{secrets.token_hex(4)}")
    began, wakes = Event(), Event()

    def sleeps(db: Tables) -> None:
        db.execute("UPDATE number SET last = 77")
        began.set()
        assert wakes.wait(60)
        db.execute("UPDATE number SET last = 78")

    with PostgresJournal(Address(dsn), str) as journal, ThreadPoolExecutor(1) as pool:
        assert journal.next_number("prod") == 1
        asleep = pool.submit(Session(Address(dsn), Watch()).transact, sleeps)
        try:
            assert began.wait(60)
            assert journal.next_number("prod") == 2
        finally:
            wakes.set()
        with pytest.raises(Lost, match="idle-in-transaction"):
            asleep.result(timeout=60)
