"""What a PostgreSQL server sends -> plain data, value by value: one that cannot be had spoils
none of the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from backout.model.values import Some, Unavailable, integer, number, plain, unique

if TYPE_CHECKING:
    import psycopg

SHOWN = 1000
"""How many rows are kept; `count` counts all of them."""
BYTEA = 17
Row = dict[str, Any]
_KNOWN = (bool, int, float, Decimal, str, bytes, list, dict, date, datetime, time, timedelta)


def answered(connection: psycopg.Connection[Any], query: bytes) -> tuple[list[Row], int]:
    """The rows of one statement, and how many there were. Raises the driver's errors."""
    from psycopg import errors
    from psycopg.adapt import Transformer
    from psycopg.pq import ExecStatus
    from psycopg.types.json import set_json_loads

    result = connection.pgconn.exec_params(query, None)
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise errors.error_from_result(result, "utf-8")
    set_json_loads(_parsed, connection)
    transformer = Transformer(connection)
    loaders = [_loader(transformer, result.ftype(column)) for column in range(result.nfields)]
    fields = (result.fname(column) or b"" for column in range(result.nfields))
    names = [field.decode("utf-8", "replace") for field in fields]
    twice = [name for name, times in Counter(names).items() if times > 1]

    def row(at: int) -> Row:
        values = (_value(load, result.get_value(at, i)) for i, load in enumerate(loaders))
        found = dict(zip(names, values, strict=True))
        return found | {name: Unavailable(f"two columns are called {name}") for name in twice}

    rows = (row(at) for at in range(min(result.ntuples, SHOWN)))
    return Some(rows) if result.ntuples > SHOWN else list(rows), result.ntuples


def _loader(transformer: Any, oid: int) -> Callable[[bytes], Any]:
    """What makes a value of a column's octets. Where the database knows no encoding, its texts
    come as octets too."""
    from psycopg.pq import Format

    load: Callable[[bytes], Any] = transformer.get_loader(oid, Format.TEXT).load
    return load if oid == BYTEA else lambda written: _text(load(written))


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _value(load: Callable[[bytes], Any], written: bytes | None) -> Any:
    """One value as JSON has it: times as RFC 3339, durations in seconds, what JSON does not know
    as the server writes it."""
    from psycopg import Error

    if written is None:
        return None
    try:
        value = load(written)
    except (Error, ValueError, ArithmeticError, RecursionError):
        text = written[:40].decode("utf-8", "backslashreplace")
        return Unavailable(f"{text!r}, as the server writes it, is no value here")
    if not isinstance(value, _KNOWN):
        return written.decode("utf-8", "backslashreplace")
    return plain(value)


def _parsed(written: str | bytes) -> Any:
    return json.loads(written, parse_int=integer, parse_float=number, object_pairs_hook=unique)
