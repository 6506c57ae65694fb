"""A report on a screen that is narrower than its lines."""

from __future__ import annotations

import re
from textwrap import wrap

NARROW = 20
GAP = "  "
"""What stands between two columns."""
_COPIED = ("next:", "       ", "all of it:")
_COLUMN = re.compile(r"\S+(?: \S+)*\s*")
"""A cell with what pads it, so that every row of a table breaks at the same place."""


def fitted(text: str, width: int) -> str:
    """Tables broken between columns, and sentences between words. What is to be copied as it is (a
    command to type, what a host said) the terminal itself breaks, so that it is copied whole."""
    return "\n".join(part for line in text.split("\n") for part in _broken(line, width))


def _broken(line: str, width: int) -> list[str]:
    indent = len(line) - len(line.lstrip())
    if len(line) <= width or width < 2 * NARROW or line.startswith(_COPIED) or indent == 4:
        return [line]
    under = " " * (indent + (0 if indent == 6 else 4))
    rows = [line[:indent]]
    for column in _COLUMN.findall(line):
        cell, whole = column.removesuffix(GAP), rows[-1] + column.removesuffix(GAP)
        if len(whole) <= width:
            rows[-1] = whole
        elif len(under) + len(cell) <= width:
            rows.append(under + cell)
        else:
            rows[-1:] = _between_words(whole, width, under)
        rows[-1] += column[len(cell) :]
    return [row.rstrip() for row in rows]


def _between_words(text: str, width: int, under: str) -> list[str]:
    return wrap(
        text, width, subsequent_indent=under, break_long_words=False, break_on_hyphens=False
    )
