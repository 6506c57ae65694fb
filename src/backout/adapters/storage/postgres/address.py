"""Where a ledger in PostgreSQL is, without its password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backout.errors import Mistakes
from backout.postgres.driver import driver, own_host

EXTRA = "team"
SCHEMES = ("postgresql://", "postgres://")
CONNECT_WITHIN = 10
"""Seconds for a new session."""
ALIVE: Mapping[str, str | int] = {
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A link that was cut is noticed within some seconds."""


@dataclass(frozen=True)
class Address:
    """A libpq connection string. Nothing of it, its repr included, shows a password."""

    dsn: str = field(repr=False)

    def __post_init__(self) -> None:
        """Raises Mistakes when it is none, and Refused where the driver is not installed."""
        psycopg = driver(EXTRA)
        try:
            psycopg.conninfo.conninfo_to_dict(self.dsn)
        except psycopg.ProgrammingError:
            raise Mistakes(
                "the address of the ledger is no PostgreSQL connection string",
                where="ledger",
                next="postgresql://USER@HOST/DATABASE, by reference: see docs/team.md",
            ) from None

    @property
    def parts(self) -> Mapping[str, Any]:
        """What stands in it, by libpq's names."""
        found: Mapping[str, Any] = driver(EXTRA).conninfo.conninfo_to_dict(self.dsn)
        return found

    @property
    def password(self) -> str:
        return str(self.parts.get("password") or "")

    @property
    def host(self) -> str:
        return str(self.parts.get("host") or self.parts.get("hostaddr") or "")

    def __str__(self) -> str:
        parts = self.parts
        name = parts.get("dbname") or parts.get("user") or ""
        host, port = self.host or "localhost", parts.get("port")
        return f"postgresql://{host}{f':{port}' if port else ''}/{name}"

    def connect(self, **more: Any) -> Any:
        """A new session of psycopg's, which commits each statement by itself. Values are put into
        the words here: nothing is prepared on the server, which a pooler would not bear."""
        psycopg = driver(EXTRA)
        return psycopg.connect(
            self.dsn, autocommit=True, cursor_factory=psycopg.ClientCursor, **self.settings, **more
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a session has beside what stands in it."""
        given = {"connect_timeout": CONNECT_WITHIN, "application_name": "backout", **ALIVE}
        said = self.parts
        return {**{name: given[name] for name in given.keys() - said.keys()}, **own_host(said)}
