"""The kinds of value, and what may be done with two of them.

There is one kind of number. Whole ones, those with a decimal point and those of a database are
compared and reckoned with exactly, as they are written: `5000000 == 5e6`, `0.1 + 0.2 == 0.3`,
`95 / 100 < 1`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from backout.model.values import DIGITS, Partial, Some, Unavailable

Number = int | float | Decimal | Fraction
UNDEFINED = "the operation is not defined for values of these types"
_TOO_LONG = DIGITS * 3  # bits


class CannotTell(Exception):
    """An expression that has no answer here, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def had(value: Any) -> Any:
    """The value, unless it is unavailable: then CannotTell says why."""
    if isinstance(value, Unavailable):
        raise CannotTell(f"a value that cannot be had: {value.reason}")
    return value


def whole(value: Any) -> Any:
    """The value, unless it is a text or a list of which only a part was read."""
    if isinstance(value, Partial | Some):
        raise CannotTell(f"only a part of it was read ({len(value)})")
    return value


def kind_of(value: Any) -> str:
    """What a value is, in words. Raises CannotTell for one that cannot be had, or not whole."""
    if value is None:
        return "null"
    whole(value)
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    had(value)
    return f"a {type(value).__name__}"


_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "a boolean"),
    (Number, "a number"),
    (str, "text"),
    (list | tuple, "a list"),
    (Mapping, "a mapping"),
    (datetime, "a time"),
    (timedelta, "a duration"),
    (bytes, "bytes"),
)
ORDERED = {"a boolean", "a number", "text", "a time", "a duration", "bytes"}

# --- comparing ---------------------------------------------------------------------------


def same(one: Any, two: Any) -> bool:
    """Whether two values are equal. Raises CannotTell for different kinds, null and NaN."""
    kind, other = kind_of(one), kind_of(two)
    if kind != other or kind == "null":
        raise CannotTell(f"{kind} cannot be compared with {other}")
    if kind == "a number":
        return bool(_comparable(one) == _comparable(two))
    if kind == "a list":
        return len(one) == len(two) and all(map(_alike, one, two))
    if kind == "a mapping":
        return one.keys() == two.keys() and all(_alike(one[key], two[key]) for key in one)
    return bool(one == two)


def _alike(one: Any, two: Any) -> bool:
    """Within lists and mappings, unlike kinds are just unlike; but NaN is never equal."""
    if kind_of(one) != kind_of(two):
        return False
    return one is None or same(one, two)


def among(one: Any, many: Any) -> bool:
    """Whether a value is in a list, or a key of a mapping."""
    kind = kind_of(one)
    if not isinstance(many, list | tuple | Mapping):
        raise CannotTell(f"'in' wants a list or a mapping, not {kind_of(many)}")
    lost = [other for other in many if isinstance(other, Unavailable)]
    comparable = [other for other in many if other not in lost and kind_of(other) == kind]
    if one is None or (many and not comparable and not lost):
        raise CannotTell(f"{kind} cannot be looked for there")
    if any(same(one, other) for other in comparable):
        return True
    return had(lost[0]) if lost else False


def ordered(one: Any, two: Any) -> tuple[Any, Any]:
    """Two values of one kind as `<` can take them. Raises CannotTell for others, and for NaN."""
    kind, other = kind_of(one), kind_of(two)
    if kind != other or kind not in ORDERED:
        raise CannotTell(f"{UNDEFINED}: {kind} and {other} have no order")
    return (_comparable(one), _comparable(two)) if kind == "a number" else (one, two)


def _comparable(value: Number) -> int | float | Fraction:
    """The number exactly; only infinity stays what it is."""
    if isinstance(value, int):
        return value
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        if math.isnan(value):
            raise CannotTell("NaN cannot be compared")
        return float(value)
    return exact(value)


# --- reckoning ---------------------------------------------------------------------------


def exact(value: Any) -> int | Fraction:
    """The number as it is written. Raises CannotTell for infinity, NaN, and what is none."""
    if kind_of(value) != "a number":
        raise CannotTell(f"{UNDEFINED}: {kind_of(value)} is no number")
    if isinstance(value, int | Fraction):
        return value
    if not math.isfinite(value):
        raise CannotTell("infinity and NaN are no numbers to reckon with")
    return Fraction(repr(value) if isinstance(value, float) else value)


def added(one: Any, two: Any) -> Any:
    """`one + two`."""
    if kind_of(one) == kind_of(two) and isinstance(one, str | bytes | list):
        return one + two
    if isinstance(one, datetime | timedelta) and isinstance(two, datetime | timedelta):
        return _timed(lambda: one + two)  # type: ignore[operator]
    return _short(_numbers(one, two, "+", lambda a, b: a + b))


def subtracted(one: Any, two: Any) -> Any:
    """`one - two`."""
    if isinstance(one, datetime | timedelta) and isinstance(two, datetime | timedelta):
        return _timed(lambda: one - two)  # type: ignore[operator]
    return _numbers(one, two, "-", lambda a, b: a - b)


def multiplied(one: Any, two: Any) -> Any:
    """`one * two`."""
    return _short(_numbers(one, two, "*", lambda a, b: a * b))


def divided(one: Any, two: Any) -> Any:
    """`one / two`, which is no whole number unless it comes out as one."""
    return _short(_numbers(one, two, "/", lambda a, b: Fraction(a) / b))


def remainder(one: Any, two: Any) -> Any:
    """What is left of `one` after as many whole `two` as are in it; it has the sign of `one`."""
    return _short(_numbers(one, two, "%", lambda a, b: a - b * math.trunc(Fraction(a) / b)))


def negated(value: Any) -> Any:
    """`-value`, of a number or a duration."""
    return -value if isinstance(value, timedelta) else -exact(value)


def _numbers(
    one: Any, two: Any, operator: str, work: Callable[[Any, Any], int | Fraction]
) -> int | Fraction:
    kind, other = kind_of(one), kind_of(two)
    if kind != "a number" or other != "a number":
        raise CannotTell(f"{UNDEFINED}: {kind} {operator} {other}")
    try:
        return work(exact(one), exact(two))
    except ZeroDivisionError:
        raise CannotTell("division by zero") from None


def _short(value: int | Fraction) -> int | Fraction:
    """The number, unless it has grown beyond all measure."""
    if value.numerator.bit_length() + value.denominator.bit_length() > _TOO_LONG:
        raise CannotTell("a number of too many digits")
    return value


def _timed(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except TypeError:
        raise CannotTell(UNDEFINED) from None
    except OverflowError:
        raise CannotTell("a time or a duration beyond all measure") from None


# --- out of the language -----------------------------------------------------------------


def outward(value: Any) -> Any:
    """A result as data: numbers as whole or decimal ones, times as RFC 3339, durations in
    seconds. Raises CannotTell for NaN and for what cannot be had."""
    if isinstance(value, list | tuple):
        return [outward(each) for each in value]
    if isinstance(value, Mapping):
        return {key: outward(each) for key, each in value.items()}
    if isinstance(value, Fraction):
        return _decimal(value)
    if isinstance(value, float | Decimal) and math.isnan(value):
        raise CannotTell("the value is NaN")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{_decimal(seconds_of(value))}s"
    return had(value)


def seconds_of(value: timedelta) -> Fraction:
    """A duration in seconds, exactly."""
    return Fraction(value // timedelta(microseconds=1), 1_000_000)


def _decimal(value: Fraction) -> int | float | Decimal:
    if value.denominator == 1:
        return value.numerator
    try:
        near = float(value)
    except OverflowError:
        raise CannotTell("a number of too many digits") from None
    if Fraction(repr(near)) == value:
        return near
    written = Decimal(value.numerator) / Decimal(value.denominator)
    return written if Fraction(written) == value else near
