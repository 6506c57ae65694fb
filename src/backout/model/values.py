"""What came from outside, as data that everything here can hold, compare, keep and show.

JSON and SQL can say more than that: a number of ten thousand digits, half a surrogate pair, six
hundred lists in one another, a day before Christ. Such a value is `Unavailable`: it says why, and
spoils only what uses it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

DIGITS = 4000
"""Longer numbers are unavailable: Python itself writes none that is longer than 4,300."""
DEEPEST = 64
"""What is nested deeper is unavailable."""
_NUMBER, _REASON = "\0number", "\0unavailable"
"""The keys under which `stored` keeps what JSON has no form for; no key from outside is one."""
HALF = re.compile("[\ud800-\udfff]")
"""Half of a pair, which no text in UTF-8 has."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Stands where a value cannot be had, and says why."""

    reason: str

    def __str__(self) -> str:
        return f"[cannot be had: {self.reason}]"


def cut(text: str, most: int) -> str:
    """So many characters of it; what is longer ends in `…`, by which a redactor knows that the
    first part of a value may stand before it."""
    return text if len(text) <= most else f"{text[:most]}…"


class Partial(str):
    """A text of which only a part was read: what is not in it may be in the rest."""

    __slots__ = ()


class Some(list[Any]):
    """The first items of a list of which the others were not read."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of JSON. Where one key has several values, nobody knows which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        times = Counter(name for name, _value in pairs)
        twice = {
            name: Unavailable(f"there are several {name!r}") for name in times if times[name] > 1
        }
        found.update(twice)
    return found


def number(text: str) -> int | float | Decimal | Unavailable:
    """A decimal number exactly as it is written: a float only where that is the same number."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return Unavailable(f"{text[:40]!r} is no number")
    return _held(exact)


def _held(exact: Decimal) -> int | float | Decimal | Unavailable:
    if not exact.is_finite():
        return float(exact)
    _sign, digits, exponent = exact.as_tuple()
    if len(digits) + abs(int(exponent)) > DIGITS:
        return Unavailable("a number of too many digits")
    near = float(exact)
    if math.isfinite(near) and Decimal(repr(near)) == exact:
        return near
    return int(exact) if exact == exact.to_integral_value() else exact


def integer(text: str) -> int | Unavailable:
    """A whole number as JSON writes it."""
    return int(text) if len(text) <= DIGITS else Unavailable("a number of too many digits")


def plain(value: Any, depth: int = DEEPEST) -> Any:
    """`value` as text, numbers, booleans, null, lists and mappings; Unavailable, at its own
    place, what is none of them."""
    if isinstance(value, str):
        return Unavailable("text with half a surrogate pair") if HALF.search(value) else value
    if value is None or isinstance(value, bool | float | Unavailable):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < DIGITS * 3 else integer_of(value)
    if isinstance(value, Mapping | list | tuple):
        return _nested(value, depth)
    return _scalar(value)


def _nested(value: Any, depth: int) -> Any:
    if not depth:
        return Unavailable(f"it is nested more than {DEEPEST} deep")
    if not isinstance(value, Mapping):
        items = (plain(each, depth - 1) for each in value)
        return Some(items) if isinstance(value, Some) else list(items)
    if _NUMBER in value or _REASON in value:
        return Unavailable("a mapping with a key that nothing may have")
    return {writable(str(key)): plain(each, depth - 1) for key, each in value.items()}


def integer_of(value: int) -> int | Unavailable:
    """The number, when it is not too long to be written."""
    fits = abs(value) < 10**DIGITS
    return value if fits else Unavailable("a number of too many digits")


def _scalar(value: Any) -> Any:
    if isinstance(value, Decimal):
        whole = value.is_finite() and abs(value.adjusted()) < DIGITS and value == int(value)
        return int(value) if whole else _held(value)
    if isinstance(value, timedelta):
        return f"{number(str(Decimal(value // timedelta(microseconds=1)) / 1_000_000))}s"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return plain(str(value))


def writable(text: str) -> str:
    """The text with every half of a surrogate pair spelled out: it can be written anywhere."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def stored(value: Any) -> Any:
    """Plain data as JSON can keep it; `restored` gives it back."""
    if isinstance(value, Decimal):
        return {_NUMBER: str(value)}
    if isinstance(value, Unavailable):
        return {_REASON: value.reason}
    if isinstance(value, Mapping):
        return {key: stored(each) for key, each in value.items()}
    return [stored(each) for each in value] if isinstance(value, list | tuple) else value


def restored(value: Any) -> Any:
    """What `stored` was given."""
    if isinstance(value, Mapping):
        if _NUMBER in value:
            return Decimal(value[_NUMBER])
        if _REASON in value:
            return Unavailable(value[_REASON])
        return {key: restored(each) for key, each in value.items()}
    return [restored(each) for each in value] if isinstance(value, list | tuple) else value
