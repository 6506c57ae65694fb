"""What keeps tables append-only, as SQLite has it."""

from __future__ import annotations


def append_only(*tables: str) -> tuple[str, ...]:
    """The statements after which no row of these tables is changed or taken out."""
    return tuple(
        f"CREATE TRIGGER {table}_{verb} BEFORE {verb} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table in tables
        for verb in ("UPDATE", "DELETE")
    )
