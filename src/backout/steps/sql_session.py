"""The database session of a `sql` step, of which there is one at a time.

A transaction whose end was not seen may still be on its way: a COMMIT runs deferred triggers and
waits for standbys long after its deployer is gone. So each one holds an advisory lock that is made
from the run and the step, for as long as it lasts and no longer, also behind a pooler. Whoever
comes next for the same step (another attempt, its check, its undo) takes that lock first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from backout.errors import Refused, Unreachable
from backout.ports import StepContext
from backout.postgres.driver import driver, own_host, words

if TYPE_CHECKING:
    import psycopg

PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""A dead link is noticed; the connection string may say otherwise."""
KNOWS_PRIMARY = 140_000
"""The libpq that can ask for a primary."""
LONGEST = 63
"""Bytes of an `application_name` that the server keeps."""
GRACE = 5.0
"""How many seconds a session that was told to end may take."""
RETURN = 30.0
"""For how many seconds a server that does not answer is asked again."""
UNSEEN = "whether its transaction still runs is not known"
PAUSE = 0.1

BUSY = """\
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) = %(lock)s
UNION SELECT pid FROM pg_stat_activity
WHERE application_name = %(name)s AND pid <> pg_backend_pid()
  AND state IN ('active', 'idle in transaction', 'fastpath function call')"""
"""Who is at work for a step: in the transaction that holds its lock, or, when its script has
ended that by itself, in what came after. A pooler's session that rests is nobody."""


def step_name(key: str) -> str:
    """What the sessions of the action `run/rest` are called, whichever attempt it is."""
    name = f"backout {key.partition('#')[0]}"
    plain = name.isascii() and name.isprintable()
    return (
        name
        if plain and len(name) <= LONGEST
        else f"backout {sha256(name.encode()).hexdigest()[:48]}"
    )


def lock_number(name: str) -> int:
    """The advisory lock of a session's name, as PostgreSQL's bigint."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)


def connect(work: StepContext, database: str, name: str) -> psycopg.Connection[Any]:
    """Raises Refused for a missing secret or driver, and the driver's errors."""
    dial = driver().connect
    from psycopg.conninfo import conninfo_to_dict

    given: Mapping[str, Any] = conninfo_to_dict(work.vault.reveal(database))
    usual = {**PATIENCE, **({} if work.step.readonly else _primary())}
    connection: psycopg.Connection[Any] = dial(
        **{**usual, **given, **own_host(given), "application_name": name}
    )
    return connection


def _primary() -> Mapping[str, str]:
    """Of several servers the one that writes: a standby takes no change, knows no session of
    those that make one, and may be late with what they made."""
    from psycopg.pq import version

    said = "PGTARGETSESSIONATTRS" in os.environ or version() < KNOWS_PRIMARY
    return {} if said else {"target_session_attrs": "primary"}


def await_end(work: StepContext, database: str, name: str, patience: float | None = None) -> None:
    """Return once no session of this step is at work any more: by itself, or because it was
    ended, after `patience` seconds or the step's timeout. Raises Unreachable when nobody can
    tell, or end it."""
    try:
        with closing(_connected(work, database, name)) as connection:
            claim(work, connection, name, patience)
            connection.rollback()
    except driver().Error as error:
        raise Unreachable(f"{UNSEEN}: {words(error)}") from error


def _connected(work: StepContext, database: str, name: str) -> psycopg.Connection[Any]:
    """A server that is just starting again is asked for a while. Raises Unreachable."""
    limit = work.clock.monotonic() + RETURN
    while True:
        try:
            return connect(work, database, name)
        except Refused as error:
            raise Unreachable(f"{UNSEEN}: {error.what}") from error
        except driver().Error as error:
            if work.clock.monotonic() >= limit:
                raise Unreachable(f"{UNSEEN}: {words(error)}") from error
        work.clock.sleep(1.0)


def claim(
    work: StepContext, connection: psycopg.Connection[Any], name: str, patience: float | None = None
) -> None:
    """Hold the step's lock until the end of the transaction that this begins. Raises Unreachable
    when another session of the step goes on, and the driver's errors."""
    clock = work.clock
    limit = clock.monotonic() + (work.step.timeout if patience is None else patience)
    ended = False
    while pids := _in_the_way(connection, name):
        connection.rollback()
        if clock.monotonic() >= limit:
            if ended:
                raise Unreachable(_stuck(pids))
            _end(connection, pids)
            ended, limit = True, clock.monotonic() + GRACE
        clock.sleep(PAUSE)


def _in_the_way(connection: psycopg.Connection[Any], name: str) -> tuple[int, ...]:
    """The sessions that are at work for this step; none, and its lock is held."""
    lock = lock_number(name)
    found = connection.execute(BUSY, {"lock": lock, "name": name}).fetchall()
    if found:
        return tuple(row[0] for row in found)
    taken = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock]).fetchone()
    return () if taken and taken[0] else (0,)


def _end(connection: psycopg.Connection[Any], pids: tuple[int, ...]) -> None:
    for pid in pids:
        with suppress(driver().Error):
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        connection.rollback()


def _stuck(pids: tuple[int, ...]) -> str:
    numbers = " and ".join(str(pid) for pid in pids if pid)
    return f"its transaction still runs, and session {numbers} of the database could not be ended"
