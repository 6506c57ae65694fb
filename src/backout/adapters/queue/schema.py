"""Procrastinate's tables, in a schema of their own, and which workers there are beside them.

Nothing of it is truth: when all of it is lost, it is made anew, and workers ring for what waits.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backout.adapters.storage.tables import Tables

SCHEMA = "backout_queue"
_LOCK = 0x4261636B51756575
"""Names our advisory lock."""
_OURS = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"""CREATE TABLE {SCHEMA}.migration (
        name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())""",
    f"""CREATE TABLE {SCHEMA}.worker (
        id text PRIMARY KEY, zone text NOT NULL, by text NOT NULL, width integer NOT NULL,
        runs text NOT NULL DEFAULT '[]', stopping boolean NOT NULL DEFAULT false,
        since timestamptz NOT NULL DEFAULT now(), seen timestamptz NOT NULL DEFAULT now())""",
)


_ADDED = {
    "backout_02": f"ALTER TABLE {SCHEMA}.worker"
    " ADD COLUMN IF NOT EXISTS place text NOT NULL DEFAULT ''",
    "backout_03": f"ALTER TABLE {SCHEMA}.worker"
    " ADD COLUMN IF NOT EXISTS watches text NOT NULL DEFAULT '[]'",
}
"""What was added to our own since, by name."""


def bring_up(db: Tables) -> None:
    """Within a transaction: make the tables, or what a newer Procrastinate adds to them; each step
    once, whoever else does so at the same time."""
    if not _lacking(db):
        return
    db.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
    lacking = _lacking(db)
    raw: Any = db
    if anew := not is_there(db):
        for statement in _OURS:
            db.execute(statement)
        enter(db)
        raw.connection.execute(_text("schema.sql"))
        leave(db)
    for name in lacking:
        if name in _ADDED:
            db.execute(_ADDED[name])
        elif not anew:
            enter(db)
            raw.connection.execute(_text(f"migrations/{name}"))
            leave(db)
        db.execute(f"INSERT INTO {SCHEMA}.migration (name) VALUES (?)", (name,))  # noqa: S608 - our own words


def enter(db: Tables) -> None:
    """Within a transaction: what is said now is about these tables."""
    db.execute(f"SET LOCAL search_path TO {SCHEMA}")


def leave(db: Tables) -> None:
    """And from now on not any more."""
    db.execute("SET LOCAL search_path TO DEFAULT")


def is_there(db: Tables) -> bool:
    """Whether anybody has ever made them."""
    query = "SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = 'migration'"
    return bool(db.execute(query, (SCHEMA,)).fetchone())


def _lacking(db: Tables) -> list[str]:
    """The steps of the Procrastinate that is installed here which were not made yet."""
    known = set[str]()
    if is_there(db):
        known = {name for (name,) in db.execute(f"SELECT name FROM {SCHEMA}.migration").fetchall()}  # noqa: S608 - our own words
    return [name for name in (*_migrations(), *_ADDED) if name not in known]


def _migrations() -> list[str]:
    folder = files("procrastinate.sql") / "migrations"
    return sorted(each.name for each in folder.iterdir() if each.name.endswith(".sql"))


def _text(name: str) -> str:
    return (files("procrastinate.sql") / name).read_text("utf-8")
