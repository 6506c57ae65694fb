"""What a person did who wrote YAML that is none, in their words, with the place marked."""

from __future__ import annotations

import re
from typing import Protocol

_BARE_TEMPLATE = re.compile(r"(?:^|[:\-\[,]) *\{\{")
_COLON = re.compile(r":\s")


class Mark(Protocol):
    """Where the reader stopped; both count from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


def explained(text: str, mark: Mark | None, problem: str) -> str:
    """What is wrong, and the line with a caret under the place."""
    if mark is None:
        return f"not YAML: {problem}"
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    said = _meant(line, min(mark.column, len(line)), problem)
    if not line.strip():
        return f"not YAML: {said}"
    shown = line.replace("\t", " ")
    return f"not YAML: {said}\n  {shown}\n  {' ' * mark.column}^"


def _meant(line: str, column: int, problem: str) -> str:
    """The mistake by its usual name; the reader's own words when it has none."""
    before, there = line[:column], line[column : column + 1]
    if "\t" in (there, before[-1:]) and not before.strip():
        return "a tab stands before the first word: indent with spaces"
    if _BARE_TEMPLATE.search(line):
        return 'a value begins with {{: put it in quotes, "{{ … }}"'
    if there in ("`", "@", "%"):
        return f"a value cannot begin with {there}: put it in quotes"
    if "mapping values are not allowed" in problem and _COLON.search(line):
        return "a colon and a space stand inside a value: put the value in quotes"
    return problem
