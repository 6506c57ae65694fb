"""CEL, the language of `expect`, `save`, `when` and `diagnose`, held to one rule: what cannot be
told is never true.

The dialect is the Common Expression Language with these deviations:

- There is one kind of number, exact as it is written: `95 / 100 < 1`, `0.1 + 0.2 == 0.3`,
  `5000000 == 5e6`. A whole number of a division is `int(a / b)`.
- `a == b`, `a != b` and `a in b` cannot be told when the two are of different types, or when one
  is null or NaN. (Standard CEL says true to `null != 'down'`.) Write `x == null` to ask for null.
- `a || b` and `a && b` read from left to right and never swallow an error of the side they read:
  `body.code == 1 || true` cannot be told when `code` is missing. Guards work as everywhere:
  `!has(body.code) || body.code == 1`. So do `all()` and `exists()`.
- A value that cannot be had spoils what reads it and nothing else.

As in standard CEL, `all()` of an empty list is true: add `size(x) > 0 &&` where that matters; and
`has()` asks for one key of a mapping: `has(body.a.b)` cannot be told when `a` itself is missing.
`matches` is a method (`text.matches('^ok')`), not a function.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from backout.language.cel import slips
from backout.language.cel.evaluator import Scope, compiled
from backout.language.cel.functions import FUNCTIONS, METHODS
from backout.language.cel.kinds import Kinds, contradictions, kind
from backout.language.cel.limits import within
from backout.language.cel.nodes import Call, Macro, Name, Node, Select, inner
from backout.language.cel.parser import MACROS, TOO_DEEP, parsed
from backout.language.cel.values import CannotTell, kind_of, outward
from backout.model.validation import did_you_mean

__all__ = ["CannotTell", "evaluate", "holds", "mistakes", "within"]

LONGEST = 10.0
"""How many seconds an expression may take where nothing else says so."""

# --- evaluating --------------------------------------------------------------------------


def evaluate(expression: str, scope: Scope) -> Any:
    """The expression's value, as data. Raises CannotTell: a missing key, mismatched types, null,
    NaN, an undefined name, a value that cannot be had, or text that is no expression."""
    return outward(_value(expression, scope))


def holds(expression: str, scope: Scope) -> bool:
    """Whether the expression is true. Raises CannotTell, also when it is neither true nor false."""
    value = _value(expression, scope)
    if not isinstance(value, bool):
        raise CannotTell(f"the value is {kind_of(value)}, neither true nor false")
    return value


def _value(expression: str, scope: Scope) -> Any:
    try:
        with within(LONGEST):
            return compiled(expression)(scope)
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise CannotTell(f"it came to no end: {type(error).__name__}") from error


# --- checking, before anything runs ------------------------------------------------------

Known = Mapping[str, Collection[str] | None]


def mistakes(
    expression: str, known: Known, kinds: Kinds = MappingProxyType({}), *, wanted: str = ""
) -> tuple[str, ...]:
    """What is wrong with an expression: its syntax, functions that do not exist, names that
    nobody defines, and what cannot be right whatever comes. `known` has the top-level names, each
    with its attributes, or None when any may be there; `kinds` the kinds of some of them;
    `wanted` is the kind that the whole must have."""
    try:
        node = parsed(expression)
    except CannotTell as error:
        said = "" if error.reason == TOO_DEEP else slips.explained(expression)
        return (f"no CEL expression: {said or error.reason}",)
    wrong = tuple(dict.fromkeys(_misnamed(node, known, frozenset())))
    if wrong:
        return wrong
    whole = kind(node, kinds)
    if wanted and whole and whole != wanted:
        return (f"it is {whole}, and {wanted} is wanted",)
    return tuple(dict.fromkeys(contradictions(node, kinds)))


def _misnamed(node: Node, known: Known, local: frozenset[str]) -> Iterator[str]:
    match node:
        case Name(name) if name not in local and name not in known:
            yield f"{name!r} is not defined here{_instead(name, known)}"
        case Select(Name(name), field) if name not in local:
            attributes = known.get(name)
            if attributes is not None and field not in attributes:
                near = did_you_mean(field, attributes).replace("'", f"'{name}.", 1)
                yield f"'{name}.{field}' is not defined{near}"
        case Call(function, _, method):
            yield from _uncallable(function, method=method)
        case Macro(over=over, variable=variable, bodies=bodies):
            yield from _misnamed(over, known, local)
            for body in bodies:
                yield from _misnamed(body, known, local | {variable})
            return
    for each in inner(node):
        yield from _misnamed(each, known, local)


def _uncallable(name: str, *, method: bool) -> Iterator[str]:
    every = {*METHODS, *MACROS, *FUNCTIONS, "has"}
    if name not in every:
        yield f"no function {name!r}{_instead(name, every)}"
    elif name not in FUNCTIONS and not method:
        yield f"{name!r} is a method: write text.{name}(…)"
    elif name not in METHODS and method:
        yield f"{name!r} is a function: write {name}(…)"


def _instead(name: str, known: Collection[str]) -> str:
    return f"; {slips.INSTEAD[name]}" if name in slips.INSTEAD else did_you_mean(name, known)
