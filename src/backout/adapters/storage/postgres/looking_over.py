"""Whether a database keeps what it acknowledges, and whatever else a ledger wants; for `doctor`."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backout.adapters.storage.postgres.address import EXTRA, Address
from backout.adapters.storage.postgres.schema import VERSION, version
from backout.adapters.storage.postgres.session import direct, told
from backout.adapters.storage.tables import Tables
from backout.postgres.driver import driver

OLDEST = 12_00_00
"""PostgreSQL before 12 lacks what the tables use."""
SKEW = 5.0
"""Seconds that two clocks may be apart before it is told."""
READ_ONLY = "SHOW default_transaction_read_only"
KEEPS = {
    "fsync": "a power cut of the server may lose the whole ledger",
    "full_page_writes": "a power cut of the server may leave torn pages",
    "synchronous_commit": "a crash of the server loses records that were acknowledged: a step may"
    " have acted without its way back",
}
"""What must be on, and why."""


@dataclass(frozen=True, slots=True)
class Look:
    """One thing about the database; `ok` is None for what a person should know."""

    name: str
    ok: bool | None
    detail: str
    fix: str = ""


def looked_over(db: Tables, connection: Any, address: Address) -> Iterator[Look]:
    """All of it, by that session. Raises what the driver raises."""
    yield _version(db)
    yield _schema(db)
    for name, why in KEEPS.items():
        yield _kept(db, name, why)
    yield from _copies(db)
    yield from _pooled(connection, address)
    yield _secrecy(connection, address)
    yield _clock(db)


def _one(db: Tables, query: str) -> Any:
    return db.execute(query).fetchone()[0]


def _version(db: Tables) -> Look:
    number, told = int(_one(db, "SHOW server_version_num")), _one(db, "SHOW server_version")
    fix = "" if number >= OLDEST else "PostgreSQL 12 or newer"
    return Look("ledger", number >= OLDEST, f"PostgreSQL {told}", fix)


def _schema(db: Tables) -> Look:
    """Which version its tables are, and whether whoever asks may write to them."""
    known, role = f"version {version(db)} of {VERSION}", _one(db, "SELECT current_user")
    closed = (
        "SELECT min(tableowner) FROM pg_tables WHERE schemaname = 'backout'"
        " AND NOT has_table_privilege(format('%I.%I', schemaname, tablename), 'INSERT')"
    )
    if owner := _one(db, closed):
        words = f"{known}; role {role} may not write to it"
        return Look("ledger's schema", False, words, f"GRANT {owner} TO {role};")
    if not _one(db, "SELECT pg_is_in_recovery()") and _one(db, READ_ONLY) == "on":
        words = f"{known}; its transactions are read-only for role {role}"
        fix = "default_transaction_read_only = off, for that role and database"
        return Look("ledger's schema", False, words, fix)
    return Look("ledger's schema", True, known)


def _kept(db: Tables, name: str, why: str) -> Look:
    value = str(_one(db, f"SHOW {name}"))
    kept = value not in ("off", "local") if name == "synchronous_commit" else value == "on"
    if value == "local":
        return Look(name, None, "local: a standby may lack what was acknowledged")
    fix = "" if kept else f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
    return Look(name, kept, value if kept else f"{value}: {why}", fix)


def _copies(db: Tables) -> Iterator[Look]:
    if _one(db, "SELECT pg_is_in_recovery()"):
        fix = "name the primary: several hosts and target_session_attrs=read-write in its address"
        yield Look("standby", False, "this is a standby, which cannot be written", fix)
        return
    query = (
        "SELECT coalesce(nullif(application_name, ''), client_addr::text, 'a standby'),"
        " sync_state FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'"
    )
    states = [(str(name), state) for name, state in db.execute(query).fetchall()]
    if names := ", ".join(name for name, state in states if state == "async"):
        lost = "promoted, it lacks the last records that were acknowledged: hosts know better then"
        yield Look("standby", None, f"{names} follows asynchronously; {lost}")
    if names := ", ".join(name for name, state in states if state is None):
        role = _one(db, "SELECT current_user")
        words = f"{names} may follow asynchronously: role {role} is not shown how"
        yield Look("standby", None, words, f"GRANT pg_read_all_stats TO {role};")


def _pooled(connection: Any, address: Address) -> Iterator[Look]:
    """Whoever stands between here and the database."""
    if direct(connection):
        return
    between = "between here and the database"
    try:
        with address.connect() as other, other.transaction():
            pass
    except driver(EXTRA).Error as error:
        words = f"{between}, and bears no transactions: {told(error)}"
        yield Look("pooler", False, words, "pool_mode = transaction")
    else:
        yield Look("pooler", True, f"{between}, in a mode that will do")


def _secrecy(connection: Any, address: Address) -> Look:
    if _near(address.host):
        return Look("TLS", True, "not needed: the database is on this machine")
    if not connection.pgconn.ssl_in_use:
        return Look(
            "TLS", False, "records travel unencrypted", "sslmode=verify-full in the address"
        )
    mode = str(address.parts.get("sslmode") or "prefer")
    if mode != "verify-full":
        return Look("TLS", None, f"on, sslmode={mode}: who answers is not proved (verify-full)")
    return Look("TLS", True, "on, and the server's name is proved")


def _near(host: str) -> bool:
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _clock(db: Tables, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Look:
    before = now()
    there = _one(db, "SELECT clock_timestamp()")
    apart = abs((there - before).total_seconds())
    if apart > SKEW:
        words = f"{apart:.0f} s apart from this machine's: times in `history` will be too"
        return Look("ledger's clock", None, words, "see that both follow NTP")
    return Look("ledger's clock", True, "as this machine's")
