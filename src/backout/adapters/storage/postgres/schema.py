"""The ledger's tables, brought up to this version: forwards only.

Each version is a file of SQL. Whoever meets an older schema brings it up, in one transaction, one
at a time; whoever meets a newer one is refused.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from backout import __version__
from backout.adapters.storage.postgres.session import Session
from backout.adapters.storage.tables import Tables
from backout.errors import Foreign, Refused

VERSION = 12
"""The version that this Backout knows."""
_LOCK = 0x4261636B6F7574
"""Names our advisory lock."""


def bring_up(session: Session, where: str) -> None:
    """Make the tables, or what a newer version adds to them. Raises Foreign for a schema of a newer
    Backout, which is left as it is."""
    found = session.ask(version)
    refuse_newer(found, where)
    if found < VERSION:
        session.transact(_migrate)


def refuse_newer(found: int, where: str) -> None:
    """Raises Foreign for a schema that this Backout does not know."""
    if found > VERSION:
        raise Foreign(
            f"the ledger was written by a newer Backout: its schema is version {found},"
            f" this one knows versions up to {VERSION}",
            where=where,
            state="nothing was changed, and the ledger is as it was",
            next="pip install --upgrade backout",
        )


def version(db: Tables) -> int:
    """The version of the schema; 0 where there is none."""
    # Asked of the catalogue's tables: what a session has of it in its cache may be of before
    # another one made ours.
    query = "SELECT 1 FROM pg_tables WHERE schemaname = 'backout' AND tablename = 'version'"
    if not db.execute(query).fetchone():
        return 0
    return int(db.execute("SELECT coalesce(max(number), 0) FROM version").fetchone()[0])


def _migrate(db: Tables) -> None:
    """Within a transaction, after whoever does the same."""
    db.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
    found = version(db)
    if not found:
        _refuse_encoding(db)
        db.execute("CREATE SCHEMA IF NOT EXISTS backout")
        db.execute(
            "CREATE TABLE backout.version (number integer PRIMARY KEY,"
            " at timestamptz NOT NULL DEFAULT now(), by text NOT NULL)"
        )
    for number in range(found + 1, VERSION + 1):
        _raw(db, statements(number))
        db.execute("INSERT INTO version (number, by) VALUES (?, ?)", (number, __version__))


def statements(number: int) -> str:
    """What leads to that version from the one before."""
    return (files(__package__) / "schema" / f"{number}.sql").read_text("utf-8")


def _raw(db: Any, text: str) -> None:
    """As it is written: it is PostgreSQL's own SQL."""
    db.connection.execute(text)


def _refuse_encoding(db: Tables) -> None:
    encoding = db.execute("SHOW server_encoding").fetchone()[0]
    if encoding != "UTF8":
        raise Refused(
            f"the database of the ledger is encoded in {encoding}, not UTF8",
            next="CREATE DATABASE backout ENCODING 'UTF8' TEMPLATE template0",
        )
