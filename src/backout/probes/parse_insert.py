"""An INSERT worded as Parse words it, read back, and never kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backout.postgres.driver import words
from backout.probes.catalogue import NEVER_WRITTEN, Table

if TYPE_CHECKING:
    import psycopg

_VALUES = {
    "Date": "2024-01-30T20:00:00Z",
    "Number": 0,
    "Boolean": False,
    "Object": "{}",
    "Array": "[]",
    "Bytes": "{}",
    "GeoPoint": "(0,0)",
    "Polygon": "((0,0),(0,1),(1,1))",
}
"""By the type of the field; any other is a text."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it: nothing to say when all is well."""

    name: str
    sqlstate: str = ""
    words: str = ""
    altered: tuple[str, ...] = ()
    """What did not come back as it was written."""

    @property
    def well(self) -> bool:
        return not (self.words or self.altered)

    @property
    def problems(self) -> list[str]:
        if self.words:
            return [f"{self.name}: {self.words} (an INSERT as Parse does it, rolled back)"]
        return [f"{self.name}.{each}" for each in self.altered]


def attempt(connection: psycopg.Connection[Any], table: Table) -> Tried:
    """Insert one row, read it back and roll it back. Raises what the driver raises when the
    connection itself fails."""
    import psycopg
    from psycopg import sql

    values = _row(connection, table)
    names = list(values)
    object_id = values["objectId"]
    wanted = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(map(sql.Literal, values.values())),
    )
    pointers = {name: values[name] for name in names if table.fields[name].type == "Pointer"}
    try:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        connection.execute(wanted)
        altered = tuple(_altered(connection, table.name, object_id, pointers))
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        return Tried(table.name, error.sqlstate, words(error))
    finally:
        connection.rollback()
    return Tried(table.name, altered=altered)


def _row(connection: psycopg.Connection[Any], table: Table) -> dict[str, Any]:
    """What Parse would write: every field, pointers as the bare objectId."""
    return {
        name: _somebody(connection, field.target)
        if field.type == "Pointer"
        else _VALUES.get(field.type, secrets.token_hex(5))
        for name, field in table.fields.items()
        if not name.startswith("_") and field.type not in NEVER_WRITTEN
    }


def _somebody(connection: psycopg.Connection[Any], target: str) -> str:
    """An object that is there, for the sake of foreign keys; else one that could be."""
    from psycopg import sql

    there = connection.execute("SELECT to_regclass(quote_ident(%s))", (target,)).fetchone()
    if there is None or there[0] is None:
        return secrets.token_hex(5)
    query = sql.SQL('SELECT "objectId" FROM {} LIMIT 1').format(sql.Identifier(target))
    found = connection.execute(query).fetchone()
    return str(found[0]) if found else secrets.token_hex(5)


def _altered(
    connection: psycopg.Connection[Any], table: str, object_id: str, pointers: Mapping[str, str]
) -> Iterator[str]:
    """Pointers that a query by what was written would not find."""
    from psycopg import sql

    for name, value in pointers.items():
        query = sql.SQL('SELECT {} FROM {} WHERE "objectId" = %s').format(
            sql.Identifier(name), sql.Identifier(table)
        )
        found = connection.execute(query, (object_id,)).fetchone()
        if found is None or found[0] != value:
            came = f"{found[0]!r} came back" if found else "the row is not there"
            yield f"{name}: {value!r} was written, and {came}"
