"""What a person did who wrote YAML that is none, in their words, with the place marked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Protocol

WIDTH = 160
"""Letters of a line that are shown."""
_BARE_TEMPLATE = re.compile(r"(?:^|[:\-\[,]) *\{\{")
_LONE_KEY = re.compile(r"[\s-]*[^\s:]+\s*$")
_INDENTED = (
    "its indentation fits no line above: keys, and the dashes of a list, stand in one column each"
)
_WORDS = (
    ("unknown escape", "in double quotes \\ begins an escape: use single quotes, or write \\\\"),
    ("block sequence entries", "a list begins on a line of its own, not behind a colon"),
    ("comment or line break", "> and | begin a text of several lines: put the value in quotes"),
    ("could not find expected ':'", "no colon stands behind this: is it a key, or meant to follow"
     " the line above?"),
    ("found undefined tag handle", "a value cannot begin with !: put it in quotes"),
)  # fmt: skip
"""What the reader says, and what was probably meant."""


_UNFIT = ("start any token", "node content", "alphabetic or numeric", "mapping keys are not")
"""What the reader says of the first character of a value."""


class Mark(Protocol):
    """A place of the text; both count from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class Trouble(Protocol):
    """Where the reader stopped and why, and in what it was: an error of PyYAML."""

    @property
    def problem(self) -> str | None: ...
    @property
    def problem_mark(self) -> Mark | None: ...
    @property
    def context(self) -> str | None: ...
    @property
    def context_mark(self) -> Mark | None: ...


def explained(text: str, trouble: Trouble) -> tuple[int, str]:
    """The line, counted from 1 (0: nobody knows), and what is wrong there."""
    is_a_name = any(word in (trouble.context or "") for word in ("anchor", "alias"))
    mark = (None if is_a_name else trouble.problem_mark) or trouble.context_mark
    if mark is None:
        return 0, f"not YAML: {trouble.problem or trouble.context or 'cannot be read'}"
    lines = text.splitlines()
    mark, said = _meant(lines, mark, trouble)
    return mark.line + 1, marked(lines, mark, f"not YAML: {said}")


def marked(lines: Sequence[str], mark: Mark, said: str) -> str:
    """What is said, and below it the line with a caret under the place; of a long one that part."""
    line = lines[mark.line] if mark.line < len(lines) else ""
    if not line.strip():
        return said
    column = min(mark.column, len(line))
    start = max(0, column - WIDTH // 2) if len(line) > WIDTH else 0
    shown = "".join(char if char.isprintable() else " " for char in line[start : start + WIDTH])
    return f"{said}\n  {shown}\n  {' ' * (column - start)}^"


def unseen(word: str) -> str:
    """Which character in a word looks like a space or like nothing; empty when none does."""
    found = (each for each in word if each != " " and unicodedata.category(each) in ("Zs", "Cf"))
    return next((unicodedata.name(each).lower() for each in found), "")


def _meant(lines: Sequence[str], mark: Mark, trouble: Trouble) -> tuple[Mark, str]:
    """Where the mistake is, and its usual name; the reader's own words when it has none."""
    line = lines[mark.line] if mark.line < len(lines) else ""
    before, there = line[: mark.column], line[mark.column : mark.column + 1]
    if "\t" in (there, before[-1:]) and not before.strip():
        return mark, "a tab stands before the first word: indent with spaces"
    if _BARE_TEMPLATE.search(line):
        return mark, 'a value begins with {{: put it in quotes, "{{ … }}"'
    return _open(mark, trouble) or (mark, _cause(before, there, trouble.problem or ""))


def _open(mark: Mark, trouble: Trouble) -> tuple[Mark, str] | None:
    """What was begun and never ended is marked where it begins."""
    begun, context = trouble.context_mark or mark, trouble.context or ""
    if "quoted scalar" in context and "end of stream" in (trouble.problem or ""):
        return begun, "this quotation mark is never closed"
    for kind, bracket in (("flow sequence", "["), ("flow mapping", "{")):
        if kind in context and begun.line == mark.line:
            return mark, "a comma is missing before this, or the value needs quotes"
        if kind in context:
            return begun, f"this {bracket} is never closed, or a comma is missing in it"
    is_a_start = "simple key" in context or "block scalar" in context
    return (begun, _known(trouble.problem or "")) if is_a_start else None


def _cause(before: str, there: str, problem: str) -> str:
    if not before.strip() and "did not find expected" in problem:
        return _INDENTED if there else "a [ or { above is never closed"
    closed = before.rstrip()[-1:]
    if closed and closed in "\"'])}" and "did not find" in problem:
        return f"the value goes on after its closing {closed}: put the whole of it in quotes"
    if any(words in problem for words in _UNFIT):
        return f"a value cannot begin with {there}: put it in quotes"
    if "mapping values are not allowed" not in problem:
        return _known(problem)
    if _LONE_KEY.match(before):
        return "the line above has no colon at its end, or this one stands too deep"
    return "a colon and a space stand inside a value: put the value in quotes"


def _known(problem: str) -> str:
    return next((said for words, said in _WORDS if words in problem), problem)
