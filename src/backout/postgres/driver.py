"""The driver itself, what it says of an error, and a link that does not hang."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from backout.errors import Refused

if TYPE_CHECKING:
    import psycopg


def driver(extra: str = "postgres") -> Any:
    """The PostgreSQL driver, which an extra brings. Raises Refused when it is not installed."""
    try:
        import psycopg
    except ImportError as error:
        raise Refused(
            "PostgreSQL's driver is not installed", next=f"pip install 'backout[{extra}]'"
        ) from error
    return psycopg


def own_host(given: Mapping[str, Any]) -> Mapping[str, str]:
    """What keeps a connection string's host what it says: PGHOSTADDR in the environment would lead
    to another machine under its name. Raises Refused where the environment would say which server
    or database of that host is meant, and the string does not."""
    if not given.get("host") or given.get("service"):
        return {}
    for what in ("port", "database", "options", "service"):
        variable, name = f"PG{what.upper()}", "dbname" if what == "database" else what
        said = os.environ.get(variable, "")
        if said and not given.get(name) and (what, said) != ("port", "5432"):
            raise Refused(
                f"the connection string names no {what} of {given['host']}, and {variable} of this"
                f" environment would: {said}",
                next=f"write the {what} into the connection string, or: unset {variable}",
            )
    return {} if given.get("hostaddr") else {"hostaddr": ""}


def words(error: psycopg.Error) -> str:
    """SQLSTATE, message and detail of the server; or the driver's own words."""
    told = error.diag
    said = [part for part in (told.message_primary, told.message_detail) if part]
    text = ": ".join(said) or " ".join(str(error).split())
    return f"{error.sqlstate} {text}" if error.sqlstate else text


def encoding(connection: psycopg.Connection[Any]) -> str:
    """SQL by which texts go as UTF-8, in this transaction, whatever the database, the role or the
    environment says. A database that knows no encoding hands its texts over as they are: it would
    refuse all rows for one that is no UTF-8."""
    known = connection.info.parameter_status("server_encoding") != "SQL_ASCII"
    return f"SET LOCAL client_encoding = '{'UTF8' if known else 'SQL_ASCII'}'"


@contextmanager
def ended_after(connection: psycopg.Connection[Any], seconds: float) -> Iterator[threading.Event]:
    """A COMMIT knows no timeout of the server's, and one that stands still answers none: then the
    link is cut here. Yields whether it was."""
    link = socket.socket(fileno=os.dup(connection.fileno()))
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        link.close()
