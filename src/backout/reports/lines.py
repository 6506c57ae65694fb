"""What every text for people is put together from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def page(*paragraphs: Sequence[str]) -> str:
    """Paragraphs with an empty line between them; an empty one is left out."""
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)


def table(rows: Iterable[Sequence[Any]], indent: str = "  ") -> list[str]:
    """Rows with their columns aligned."""
    lined = [[one_line(cell) for cell in row] for row in rows]
    if not lined:
        return []
    widths = [max(map(len, column)) for column in zip(*lined, strict=True)]
    return [
        (indent + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))).rstrip()
        for row in lined
    ]


def one_line(text: object) -> str:
    """On one line, whatever it holds: a name cannot pretend to be a line of the report."""
    return " ".join(str(text).split())
