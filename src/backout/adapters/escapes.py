"""Escapes of URLs, of JSON and its like, and of HTML, read back.

Each language escapes what it likes of a text: one writes `&` as it is, another one `%26`, `\\u0026`
or `&amp;`. So a text is looked at as what it means, with the place that each character has in it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

_HEX = "[0-9a-fA-F]"
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Escape:
    """One way to write characters otherwise than they are."""

    mark: str
    """What every escape begins with."""
    whole: re.Pattern[str]
    begun: re.Pattern[str]
    """One of which the rest has not come yet, at the end of a text."""
    means: Callable[[str], str]

    def read(self, text: str) -> str:
        """What `text` means."""
        return self.whole.sub(lambda match: self.means(match[0]), text)

    def places(self, text: str) -> tuple[Sequence[int], Sequence[int]]:
        """Where each character of what it means begins in `text`, and where it ends."""
        begins, ends, at = list[int](), list[int](), 0
        for match in self.whole.finditer(text):
            start, end = match.span()
            size = len(self.means(match[0]))
            begins += [*range(at, start), *[start] * size]
            ends += [*range(at + 1, start + 1), *[end] * size]
            at = end
        return [*begins, *range(at, len(text))], [*ends, *range(at + 1, len(text) + 1)]

    def unfinished(self, text: str) -> int:
        """Where an escape begins at the end of `text` of which more may come; else its length."""
        last = max((match.end() for match in self.whole.finditer(text)), default=0)
        found = self.begun.search(text, last)
        return found.start() if found else len(text)

    def around(self, text: str, at: int) -> int:
        """Where the escape begins that `at` is within; `at` itself when it is in none."""
        spans = (match.span() for match in self.whole.finditer(text))
        return next((start for start, end in spans if start < at < end), at)


@lru_cache(maxsize=1024)
def _percent(found: str) -> str:
    try:
        return bytes.fromhex(found.replace("%", "")).decode()
    except UnicodeDecodeError:
        return found


@lru_cache(maxsize=1024)
def _backslash(found: str) -> str:
    kind = found[1]
    if kind in "xU":
        with suppress(ValueError, OverflowError):
            return chr(int(found[2:], 16))
        return found
    if kind == "u":
        return str(json.loads(f'"{found}"'))
    return _LETTERS.get(kind, found[1:])


_MORE = f"%[89abAB]{_HEX}"
"""A byte that continues a character of UTF-8."""
_HIGH = f"[dD][89abAB]{_HEX}{{2}}"
"""The first half of a surrogate pair."""

ESCAPES = (
    Escape(
        "%",
        re.compile(
            f"%[0-7]{_HEX}|%[cdCD]{_HEX}{_MORE}|%[eE]{_HEX}(?:{_MORE}){{2}}"
            f"|%[fF]{_HEX}(?:{_MORE}){{3}}"
        ),
        re.compile(
            rf"%(?:[0-7]?|[cdCD]{_HEX}?|[eE]{_HEX}?|[eE]{_HEX}{_MORE}|[fF]{_HEX}?"
            rf"|[fF]{_HEX}(?:{_MORE}){{1,2}}|[c-fC-F]{_HEX}(?:{_MORE}){{0,2}}%[89abAB]?)\Z"
        ),
        _percent,
    ),
    Escape(
        "\\",
        re.compile(
            rf"\\u{_HIGH}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u(?!{_HIGH}){_HEX}{{4}}"
            rf"|\\x{_HEX}{{2}}|\\U{_HEX}{{8}}"
            rf"|\\(?!\\u{_HEX}{{4}}|\\x{_HEX}{{2}}|\\U{_HEX}{{8}})[nrtbf!-/:-@\[-`{{-~]"
        ),
        re.compile(
            rf"\\(?:u{_HEX}{{0,3}}|x{_HEX}?|U{_HEX}{{0,7}}|u{_HIGH}(?:\\(?:u{_HEX}{{0,3}})?)?)?\Z"
        ),
        _backslash,
    ),
    Escape(
        "&",
        re.compile(rf"&(?:#[0-9]{{1,7}}|#[xX]{_HEX}{{1,6}}|[a-zA-Z][a-zA-Z0-9]{{1,30}});"),
        re.compile(r"&[#a-zA-Z0-9]{0,31}\Z"),
        html.unescape,
    ),
)
