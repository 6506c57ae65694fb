"""One session with the ledger's database: opened when it is needed, and again when it was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import RLock
from typing import Any

from backout.adapters.storage.postgres.address import EXTRA, Address
from backout.adapters.storage.postgres.dialect import translated
from backout.adapters.storage.postgres.watchdog import Watch
from backout.adapters.storage.tables import Rows, T, Tables
from backout.postgres.driver import driver, words

PASSING = {"25006", "25P03", "57P01", "57P02", "57P03", "57P05", "08P01"}
"""A standby that is being promoted, a transaction that slept, a server that shuts down, a pooler
without a server: such states end, though the link is there."""
IDLE = 15.0
"""Seconds after which the server ends a transaction of a machine that says no more: one that is put
to sleep in the middle of it would hold up all others, and its kernel answers for it."""


class Lost(Exception):
    """The link to the database, or the database itself, is gone; nobody knows whether what was
    asked last was done."""


class PgTables:
    """What the journal's SQL is said to: one connection."""

    def __init__(self, connection: Any, watch: Watch, *, health: bool = False) -> None:
        self.connection = connection
        self._watch = watch
        self._health = health

    def execute(self, words: str, values: Any = (), /) -> Rows:
        named = isinstance(values, Mapping)
        with self._watch.over(self.connection):
            text = translated(words, named=named, health=self._health)
            rows: Rows = self.connection.execute(text, values)
        return rows

    def executemany(self, words: str, values: Sequence[Any]) -> None:
        for each in values:
            self.execute(words, each)


class Session:
    """Raises Lost for a link that is gone, whatever was asked; the next question opens another."""

    def __init__(self, address: Address, watch: Watch, *, health: bool = False) -> None:
        """One that asks for the history of checks says so (`health`): those tables go by short
        names."""
        self._address = address
        self._health = health
        self._watch = watch
        self._connection: Any = None
        self._turn = RLock()

    def ask(self, question: Callable[[Tables], T]) -> T:
        """What one statement, or several, come to; each is committed by itself."""
        with self._turn:
            try:
                return question(PgTables(self._opened(), self._watch, health=self._health))
            except BaseException as error:
                if gone(error):
                    self.drop()
                    raise Lost(told(error)) from error
                raise

    def transact(self, question: Callable[[Tables], T]) -> T:
        """All of it, or nothing."""

        def whole(db: Tables) -> T:
            begin(db)
            value = question(db)
            db.execute("COMMIT")
            return value

        with self._turn:
            try:
                return self.ask(whole)
            except Lost:
                raise
            except BaseException:
                self.roll_back()
                raise

    def roll_back(self) -> None:
        """Nothing of what was begun is done."""
        try:
            self._connection.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - whatever it is, this session is of no more use
            self.drop()

    def _opened(self) -> Any:
        if self._connection is None or self._connection.closed:
            self._connection = self._address.connect()
        return self._connection

    def drop(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()


def begin(db: Tables) -> None:
    """A transaction that no sleeping machine can hold open. Who waits for another's row sees what
    that one wrote, whatever the database's default is."""
    idle = f"SET LOCAL idle_in_transaction_session_timeout = {IDLE * 1000:.0f}"
    db.execute(f"BEGIN ISOLATION LEVEL READ COMMITTED; {idle}")


def gone(error: BaseException) -> bool:
    """Whether it tells of a link or a database that is not there, not of what was asked."""
    psycopg = driver(EXTRA)
    if isinstance(error, psycopg.errors.TransactionRollback):
        return False
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return lost or getattr(error, "sqlstate", None) in PASSING


def direct(link: Any) -> bool:
    """Whether no pooler stands between here and the database: one invents the number of the session
    that it shows. Raises what the driver raises."""
    return bool(link.execute("SELECT pg_backend_pid()").fetchone()[0] == link.info.backend_pid)


def told(error: BaseException) -> str:
    """What the database or the driver says."""
    return words(error) if isinstance(error, driver(EXTRA).Error) else str(error)
