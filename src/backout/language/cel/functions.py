"""The functions and methods of the language."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from math import trunc
from types import ModuleType
from typing import Any

from backout.language.cel.patterns import bounded
from backout.language.cel.values import (
    UNDEFINED,
    CannotTell,
    exact,
    kind_of,
    outward,
    seconds_of,
    whole,
)
from backout.model.values import Unavailable, number

# --- of one value ------------------------------------------------------------------------


def size(value: Any) -> int:
    """Characters of a text, items of a list, keys of a mapping."""
    if isinstance(whole(value), str | bytes | list | tuple | Mapping):
        return len(value)
    raise CannotTell(f"'size' is not defined for what it is used on: {kind_of(value)}")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def to_number(value: Any) -> Any:
    """A number, or the one that a text says."""
    if isinstance(value, datetime):
        return seconds_of(value - datetime.fromtimestamp(0, UTC))
    if isinstance(value, timedelta):
        return seconds_of(value)
    if not isinstance(value, str):
        return exact(value)
    said = number(value) if _NUMBER.fullmatch(whole(value)) else None
    if said is None or isinstance(said, Unavailable):
        raise CannotTell(f"{value[:40]!r} is no number")
    return exact(said)


def to_int(value: Any) -> int:
    """A number without what is behind its point."""
    return int(to_number(value))


def to_uint(value: Any) -> int:
    """The same, and never below zero."""
    whole = to_int(value)
    if whole < 0:
        raise CannotTell(f"{whole} is below zero")
    return whole


def to_text(value: Any) -> str:
    """What a template would show."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise CannotTell("bytes that are no UTF-8") from None
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, list | tuple | Mapping):
        raise CannotTell(f"'string' is not defined for {kind_of(value)}")
    return value if isinstance(value, str) else str(outward(_shortest(value)))


def _shortest(value: Any) -> Any:
    return Fraction(exact(value)) if kind_of(value) == "a number" else value


def to_bytes(value: Any) -> bytes:
    """A text as UTF-8."""
    return value if isinstance(value, bytes) else _text(value).encode()


def type_of(value: Any) -> str:
    """The name of a value's type; a number is an int when it is whole."""
    if kind_of(value) == "a number":
        return "int" if exact(value) == trunc(exact(value)) else "double"
    return _TYPES[kind_of(value)]


_TYPES = {
    "null": "null_type",
    "a boolean": "bool",
    "text": "string",
    "a list": "list",
    "a mapping": "map",
    "a time": "timestamp",
    "a duration": "duration",
    "bytes": "bytes",
}

# --- times -------------------------------------------------------------------------------

_TIME = re.compile(
    r"(?a:(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:([Zz])|([+-]\d\d):?(\d\d)))"
)
_PART = re.compile(r"(?a:(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))")
_UNITS = {"ns": 10**-9, "us": 10**-6, "µs": 10**-6, "μs": 10**-6, "ms": 10**-3}
_SECONDS = {unit: Fraction(str(size)) for unit, size in _UNITS.items()}
_SECONDS |= {"s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}


def timestamp(value: Any) -> datetime:
    """An RFC 3339 text with its zone, or seconds since 1970, as a moment."""
    try:
        if kind_of(value) == "a number":
            return datetime.fromtimestamp(0, UTC) + timedelta(
                microseconds=int(exact(value) * 10**6)
            )
        if isinstance(value, datetime):
            return value
        return _moment(_text(value))
    except (ValueError, OverflowError):
        raise CannotTell(f"{str(value)[:40]!r} is no moment that can be had") from None


def _moment(text: str) -> datetime:
    found = _TIME.fullmatch(text)
    if not found:
        raise CannotTell(
            f"{text[:40]!r} is no RFC 3339 time with its zone, such as 2024-01-30T20:00:00Z"
        )
    day, clock, fraction, utc, hours, minutes = found.groups()
    zone = "+00:00" if utc else f"{hours}:{minutes}"
    return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}{zone}")


def duration(value: Any) -> timedelta:
    """`90s`, `1h30m`, `250ms`."""
    if isinstance(value, timedelta):
        return value
    text = _text(value)
    parts = _PART.findall(text)
    bare = text.lstrip("+-")
    if bare != "0" and (not parts or "".join(a + b for a, b in parts) != bare):
        raise CannotTell(f"{text[:40]!r} is no duration, such as 90s or 1h30m")
    whole = sum((Fraction(amount) * _SECONDS[unit] for amount, unit in parts), Fraction(0))
    try:
        found = timedelta(microseconds=int(whole * 10**6))
    except OverflowError:
        raise CannotTell("a duration beyond all measure") from None
    return -found if text.startswith("-") else found


def _part(name: str) -> Callable[[Any], int]:
    """A part of a moment, in UTC, or of a duration, where it counts the whole."""

    def part(value: Any) -> int:
        if isinstance(value, datetime) and name in _OF_TIME:
            return _OF_TIME[name](value.astimezone(UTC))
        if isinstance(value, timedelta) and name in _OF_DURATION:
            return trunc(seconds_of(value) / _OF_DURATION[name])
        raise CannotTell(f"'{name}' is not defined for {kind_of(value)}")

    return part


_OF_TIME: Mapping[str, Callable[[datetime], int]] = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
    "getMilliseconds": lambda at: at.microsecond // 1000,
}
_OF_DURATION = {
    "getHours": Fraction(3600),
    "getMinutes": Fraction(60),
    "getSeconds": Fraction(1),
    "getMilliseconds": Fraction(1, 1000),
}

# --- texts -------------------------------------------------------------------------------


def matches(value: Any, pattern: Any) -> bool:
    """Whether a part of the text matches. Raises CannotTell where that may take too long."""
    library = cel()
    scope = {"value": str(_read(value)), "pattern": _text(pattern)}
    bounded(**scope)
    try:
        found = bool(_matching().execute(library.Context(variables=scope)))
    except (ValueError, RuntimeError, TypeError):
        raise CannotTell(f"{pattern[:80]!r} is no regular expression of RE2") from None
    if not found or _AT_THE_END.search(pattern):
        whole(value)
    return found


_AT_THE_END = re.compile(r"\$|\\[zbB]")
"""What a pattern may say of the end of a text, or of the next character."""


@lru_cache(maxsize=1)
def cel() -> Any:
    """The library, late, and without the prompt of its own command line, which would be most of
    what importing it costs. It knows what is CEL, and regular expressions of linear time."""
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    import cel as library

    return library


@lru_cache(maxsize=1)
def _matching() -> Any:
    return cel().compile("value.matches(pattern)")


def contains(value: Any, part: Any) -> bool:
    """Whether a part is in a text. Raises CannotTell when it may be in what was not read."""
    found = _text(part) in _read(value)
    if not found:
        whole(value)
    return found


def starts_with(value: Any, part: Any) -> bool:
    """Whether a text begins so."""
    begun, wanted = _read(value), _text(part)
    if len(wanted) > len(begun):
        whole(value)
    return begun.startswith(wanted)


def _text(value: Any) -> str:
    return _read(whole(value))


def _read(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise CannotTell(f"{UNDEFINED}: {kind_of(value)} is no text")


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "size": size,
    "int": to_int,
    "uint": to_uint,
    "double": to_number,
    "string": to_text,
    "bytes": to_bytes,
    "type": type_of,
    "timestamp": timestamp,
    "duration": duration,
}
METHODS: Mapping[str, Callable[..., Any]] = {
    "size": size,
    "contains": contains,
    "startsWith": starts_with,
    "endsWith": lambda text, part: _text(text).endswith(_text(part)),
    "matches": matches,
    **{name: _part(name) for name in _OF_TIME},
}
