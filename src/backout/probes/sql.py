"""`sql`: one query in PostgreSQL, in a transaction that only reads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from backout.model import Observation, Options, Words
from backout.ports import ProbeRequest
from backout.probes.base import EXCERPT, Kind
from backout.probes.columns import answered
from backout.probes.postgres import Unanswered, session


class SqlOptions(Options):
    """Where to ask, and what."""

    database: str
    query: str

    def needs(self, connection: str) -> str:  # noqa: ARG002 - it always connects from here
        return "postgres"


class Sql(Kind):
    """Connects from this machine. An error of the server is an answer that proves nothing."""

    Options: ClassVar[type[Options]] = SqlOptions
    connects: ClassVar[bool] = True
    names: ClassVar[Mapping[str, str]] = {
        "rows": "the rows, each name -> value; there are none when the query found none",
        "count": "how many rows were found",
        "sqlstate": "the server's error code; empty when all went well",
        "elapsed_ms": "connecting and asking, in milliseconds",
    }
    kinds: ClassVar[Mapping[str, str]] = {
        "elapsed_ms": "a number",
        "rows": "a list",
        "count": "a number",
        "sqlstate": "text",
    }
    expects: ClassVar[Words] = ("sqlstate == ''",)

    def observe(self, look: ProbeRequest) -> Observation:
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


def _asked(look: ProbeRequest) -> tuple[list[dict[str, Any]], int]:
    query = look.vault.reveal(look.options.query).encode()
    with session(look) as connection:
        # As the extended protocol has it, one statement: none can end the transaction first.
        return answered(connection, query)
