"""`sql`: one query in PostgreSQL, in a transaction that only reads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any, ClassVar

from backout.model import Observation, Options, Words
from backout.ports import Look
from backout.probes.base import EXCERPT, Kind
from backout.probes.postgres import Unanswered, session

SHOWN = 1000
"""How many rows are kept; `count` counts all of them."""


class SqlOptions(Options):
    """Where to ask, and what."""

    database: str
    query: str


class Sql(Kind):
    """Connects from this machine. An error of the server is an answer that proves nothing."""

    Options: ClassVar[type[Options]] = SqlOptions
    names: ClassVar[Mapping[str, str]] = {
        "rows": "the rows, each name -> value; there are none when the query found none",
        "count": "how many rows were found",
        "sqlstate": "the server's error code; empty when all went well",
        "elapsed_ms": "connecting and asking, in milliseconds",
    }
    expects: ClassVar[Words] = ("sqlstate == ''",)

    def observe(self, look: Look) -> Observation:
        """Ask once. `rows` is left out when there are none: what is said of every row must not
        hold because there is no row."""
        started = time.monotonic()
        try:
            rows, count = _asked(look)
        except Unanswered as error:
            elapsed = (time.monotonic() - started) * 1000
            facts = {"sqlstate": error.sqlstate, "elapsed_ms": elapsed}
            return Observation(facts, error=str(error), elapsed_ms=elapsed)
        elapsed = (time.monotonic() - started) * 1000
        known: dict[str, Any] = {"count": count, "sqlstate": "", "elapsed_ms": elapsed}
        if rows:
            known["rows"] = rows
        excerpt = "\n".join(" | ".join(map(str, row.values())) for row in rows[:20])
        return Observation(known, elapsed_ms=elapsed, excerpt=excerpt[:EXCERPT])


def _asked(look: Look) -> tuple[list[dict[str, Any]], int]:
    query = look.vault.reveal(look.options.query).encode()
    with session(look) as connection, connection.cursor() as cursor:
        # Prepared, because that takes one statement: none can end the transaction first.
        cursor.execute(query, prepare=True)
        if cursor.description is None:
            return [], 0
        columns = [column.name for column in cursor.description]
        rows = cursor.fetchmany(SHOWN)
        count = cursor.rowcount
    return [dict(zip(columns, map(plain, row), strict=True)) for row in rows], count


def plain(value: Any) -> Any:
    """A column's value as JSON has it; times as RFC 3339."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        return int(value) if whole else float(value)
    if isinstance(value, datetime | date | time_of_day):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
