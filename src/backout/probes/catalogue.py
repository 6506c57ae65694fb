"""What Parse's `_SCHEMA` promises beside what PostgreSQL's catalogue has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

NEVER_WRITTEN = ("Relation", "ACL")
"""Types of fields that have no column of their own."""

_FIELDS = """
SELECT s."className", f.key, f.value->>'type', f.value->>'targetClass',
       coalesce((f.value->>'required')::boolean, false),
       to_regclass(quote_ident(s."className")) IS NOT NULL
FROM "_SCHEMA" s CROSS JOIN LATERAL jsonb_each(s.schema->'fields') f ORDER BY 1
"""
_COLUMNS = """
SELECT s."className", a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.attgenerated <> '' OR a.attidentity = 'a', d.adbin IS NOT NULL OR a.attidentity <> '',
       coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM "_SCHEMA" s JOIN pg_attribute a ON a.attrelid = to_regclass(quote_ident(s."className"))
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum
"""
# A row trigger that is fired before INSERT: bits 1, 2 and 4 of its type.
_TRIGGERS = """
SELECT s."className", g.tgname
FROM "_SCHEMA" s JOIN pg_trigger g ON g.tgrelid = to_regclass(quote_ident(s."className"))
WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & 7 = 7 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a class, as Parse knows it."""

    type: str
    target: str = ""
    required: bool = False

    def __str__(self) -> str:
        target = f"<{self.target}>" if self.target else ""
        return f"{self.type}{target}{' required' if self.required else ''}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, as PostgreSQL knows it."""

    type: str
    not_null: bool = False
    generated: bool = False
    default: bool = False
    expression: str = ""

    def __str__(self) -> str:
        words = [self.type, "not null" if self.not_null else ""]
        words.append(f"generated {self.expression}".strip() if self.generated else "")
        return " ".join(word for word in words if word)


@dataclass(slots=True)
class Table:
    """One class and its table, if there is one."""

    name: str
    there: bool = True
    fields: dict[str, Field] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    triggers: list[str] = field(default_factory=list)
    """Those that may fill a column before it is inserted."""

    @property
    def lines(self) -> list[str]:
        """Every field and column, a line each, in an order that never changes."""
        names = sorted({*self.fields, *self.columns})
        lines = [
            f"{self.name}.{name}: {self.fields.get(name, 'no field')}"
            f" | {self.columns.get(name, 'no column')}"
            for name in names
        ]
        return [*lines, *(f"{self.name}: trigger {name}" for name in self.triggers)]


@dataclass(slots=True)
class Finds:
    """What does not fit, as `Class.name`; in words, what makes Parse fail and what only may."""

    generated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    required: list[str] = field(default_factory=list)
    prefixed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tables(connection: psycopg.Connection[Any]) -> Mapping[str, Table]:
    """Every class of `_SCHEMA` with its table, in the order of their names."""
    found: dict[str, Table] = defaultdict(lambda: Table(""))
    for name, key, kind, target, required, there in connection.execute(_FIELDS):
        table = found.setdefault(name, Table(name, there))
        table.fields[key] = Field(kind, target or "", required)
    for name, key, kind, not_null, generated, default, expression in connection.execute(_COLUMNS):
        column = Column(kind, not_null, generated, default, expression if generated else "")
        found[name].columns[key] = column
    for name, trigger in connection.execute(_TRIGGERS):
        found[name].triggers.append(trigger)
    return dict(found)


def held(known: Iterable[Table], proved: Collection[str] = ()) -> Finds:
    """What does not fit. A class in `proved` took an INSERT: what might have stood in its way
    does not."""
    finds = Finds()
    for table in known:
        if table.there:
            _fields(table, finds)
            _columns(table, finds, filled=table.name in proved)
    return finds


def _fields(table: Table, finds: Finds) -> None:
    for name, promised in table.fields.items():
        if promised.type in NEVER_WRITTEN:
            continue
        place, column = f"{table.name}.{name}", table.columns.get(name)
        if column is None:
            finds.missing.append(place)
            finds.problems.append(f"{place}: 42703 no column for a field that Parse writes")
        elif column.generated:
            finds.generated.append(place)
            said = f" (from {column.expression})" if column.expression else ""
            finds.problems.append(f"{place}: 428C9 generated column{said}, and Parse writes it")


def _columns(table: Table, finds: Finds, *, filled: bool) -> None:
    for name, column in table.columns.items():
        if name in table.fields:
            continue
        place = f"{table.name}.{name}"
        if name.startswith("_p_"):
            finds.prefixed.append(place)
            finds.notes.append(f"{place}: a pointer as MongoDB has it; here Parse uses {name[3:]}")
        if column.not_null and not (column.default or column.generated):
            finds.required.append(place)
            _required(table, place, finds, filled=filled)


def _required(table: Table, place: str, finds: Finds, *, filled: bool) -> None:
    """A trigger may fill it: then only an INSERT can tell."""
    words = f"{place}: 23502 NOT NULL, and Parse does not know it"
    if table.triggers:
        finds.notes.append(f"{words}; the trigger {table.triggers[0]} may fill it")
    elif not filled:
        finds.problems.append(words)


def changed(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """The lines that went and those that came."""
    gone, new = set(before), set(now)
    return [
        *(f"- {line}" for line in before if line not in new),
        *(f"+ {line}" for line in now if line not in gone),
    ]
