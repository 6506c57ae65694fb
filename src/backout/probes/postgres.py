"""A PostgreSQL connection for one look: bounded in time, and its errors in the server's words."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from backout.ports import ProbeRequest
from backout.postgres.driver import driver, encoding, ended_after, own_host, words
from backout.probes.connect import addresses, connected

if TYPE_CHECKING:
    import psycopg

Parameters = Mapping[str, Any]
QUIET = {"keepalives_idle": 5, "keepalives_interval": 2, "client_encoding": "UTF8"}
"""The connection string may say otherwise."""
_AS_TEXT = "; ".join(
    (
        "SET LOCAL DateStyle = 'ISO, YMD'",
        "SET LOCAL IntervalStyle = 'postgres'",
        "SET LOCAL bytea_output = 'hex'",
        "SET LOCAL extra_float_digits = 3",
    )
)
"""How values are written, whatever the server, the database or the role says."""


class Unanswered(Exception):
    """The database did not answer, or said no: `sqlstate` is empty when it was not reached."""

    def __init__(self, words: str, sqlstate: str = "") -> None:
        super().__init__(words)
        self.sqlstate = sqlstate


@contextmanager
def session(look: ProbeRequest, *, read_only: bool = True) -> Iterator[psycopg.Connection[Any]]:
    """A connection within the check's time. It is rolled back at the end, whatever happened.
    Raises Unanswered, also in place of the driver's errors within; Refused without the driver."""
    postgres = driver()
    started = time.monotonic()
    try:
        with _connected(postgres, look) as connection:
            left = look.timeout - (time.monotonic() - started)
            with ended_after(connection, left + 1.0):
                connection.read_only = read_only
                milliseconds = max(1, int(left * 1000))
                limit = f"SET LOCAL statement_timeout = {milliseconds}"
                connection.execute(f"{limit}; {_AS_TEXT}; {encoding(connection)}".encode())
                yield connection
                connection.rollback()
    except postgres.Error as error:
        waited = time.monotonic() - started
        silent = not error.sqlstate and waited >= 0.95 * look.timeout
        said = f"no answer within {look.timeout:g} s" if silent else words(error)
        raise Unanswered(said, error.sqlstate or "") from error


@contextmanager
def _connected(driver: Any, look: ProbeRequest) -> Iterator[psycopg.Connection[Any]]:
    from psycopg.conninfo import conninfo_to_dict

    started = time.monotonic()
    said = conninfo_to_dict(look.vault.reveal(look.options.database))
    own, given = own_host(said), _reached(said, look.timeout)
    left = look.timeout - (time.monotonic() - started)
    servers = str(given.get("host", "")).count(",") + 1
    limit = {
        "tcp_user_timeout": max(1, int(look.timeout * 1000)),
        "connect_timeout": max(1, math.ceil(left / servers)),
        "application_name": "backout",
    }
    # A pooler may give the next transaction to another server, which knows no statement of ours.
    connection = driver.connect(**{**QUIET, **limit, **own, **given}, prepare_threshold=None)
    try:
        yield connection
    finally:
        connection.close()


def _reached(given: Parameters, timeout: float) -> Parameters:
    """The same with the addresses that take a connection: the driver gives each its whole
    timeout, one after the other. Raises Unanswered when there is none."""
    names = str(given.get("host") or "").split(",")
    ports = str(given.get("port") or os.environ.get("PGPORT") or "5432").split(",")
    places = list(zip(names, ports * len(names) if len(ports) == 1 else ports, strict=False))
    usual = all(name and name[0] not in "/@" and _is_port(port) for name, port in places)
    if given.get("hostaddr") or not usual or len(places) < len(names):
        return given
    try:
        if len(places) == 1 and len(addresses(names[0], int(places[0][1]), timeout)) < 2:
            return given
        found = list(_taking(places, timeout))
    except OSError as error:
        raise Unanswered(_unreached(error, given, timeout)) from None
    hosts, answering, at = (",".join(each) for each in zip(*found, strict=True))
    return {**given, "host": hosts, "hostaddr": answering, "port": at}


def _taking(places: Sequence[tuple[str, str]], timeout: float) -> Iterator[tuple[str, str, str]]:
    """The name, address and port of each that takes a connection within its share of the time.
    Raises the OSError of the last one when none does."""
    trouble, any_of_them = OSError(), False
    for name, port in places:
        try:
            with connected(name, int(port), timeout / len(places)) as link:
                any_of_them = True
                yield name, str(link.getpeername()[0]), port
        except OSError as error:
            trouble = error
    if not any_of_them:
        raise trouble


def _is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) < 65536


def _unreached(error: OSError, given: Parameters, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(error, socket.gaierror):
        return f"could not resolve {given['host']}"
    return f"{(error.strerror or str(error)).lower()} by {given['host']}"
