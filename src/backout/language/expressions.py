"""CEL, the language of `expect`, `save`, `when` and `diagnose`, held to one rule: what cannot be
told is never true.

The dialect is the Common Expression Language with these deviations, all to the strict side:

- `a == b`, `a != b` and `a in b` cannot be told when the two are of different types, or when one
  is null or NaN. (Standard CEL says true to `null != 'down'`.) Write `x == null` to ask for null.
  Numbers of both kinds compare: `5000000 == 5e6`.
- `a || b` and `a && b` read from left to right and never swallow an error of the side they read:
  `body.code == 1 || true` cannot be told when `code` is missing. Guards work as everywhere:
  `!has(body.code) || body.code == 1`.

As in standard CEL, `all()` of an empty list is true: add `size(x) > 0 &&` where that matters; and
`has()` asks for one key of a mapping: `has(body.a.b)` cannot be told when `a` itself is missing.
`matches` is a method (`text.matches('^ok')`), not a function.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any

from backout.model.validation import did_you_mean

Scope = Mapping[str, Any]


class CannotTell(Exception):
    """An expression that has no answer here, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# --- evaluating --------------------------------------------------------------------------


def evaluate(expression: str, scope: Scope) -> Any:
    """The expression's value. Raises CannotTell: a missing key, mismatched types, null, NaN, an
    undefined name, or text that is no expression."""
    cel = _cel()
    strict = _Strict()
    try:
        context = cel.Context(variables=dict(scope), functions=strict.functions)
        value = _compiled(expression).execute(context)
    except _FAILURES as error:
        raise CannotTell(strict.reason or _reason(error)) from None
    if strict.reason:
        raise CannotTell(strict.reason)
    if isinstance(value, float) and math.isnan(value):
        raise CannotTell("the value is NaN")
    return value


def holds(expression: str, scope: Scope) -> bool:
    """Whether the expression is true. Raises CannotTell, also when it is neither true nor false."""
    value = evaluate(expression, scope)
    if not isinstance(value, bool):
        raise CannotTell(f"the value is {_kind(value)}, neither true nor false")
    return value


_FAILURES = (
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)


@lru_cache(maxsize=1)
def _cel() -> Any:
    """The library, late, and without the prompt of its own command line, which would be most of
    what importing it costs."""
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    import cel

    return cel


@lru_cache(maxsize=2048)
def _compiled(expression: str) -> Any:
    cel = _cel()
    strict = strictly(expression)
    cel.compile(expression)  # its own words for its mistakes, before ours
    return cel.compile(strict)


def _reason(error: BaseException) -> str:
    text = str(error).partition("\n")[0]
    if isinstance(error, KeyError):
        return f"{str(error).strip(chr(34))} is missing"
    if isinstance(error, IndexError):
        return text
    if isinstance(error, TypeError):
        return "the operation is not defined for values of these types"
    if undefined := re.match(r"Undefined variable or function: '([^']*)'", text):
        return f"{undefined[1]!r} is not defined for what it is used on"
    return text


class _Strict:
    """The comparisons that the rewritten expression calls. They cannot raise (the library would
    print it), so they keep the first reason and answer null, which nothing accepts."""

    def __init__(self) -> None:
        self.reason = ""
        self.functions = {"same_": self.same, "other_": self.other, "among_": self.among}

    def same(self, one: Any, two: Any) -> bool | None:
        try:
            return _same(one, two)
        except CannotTell as error:
            self.reason = self.reason or error.reason
            return None

    def other(self, one: Any, two: Any) -> bool | None:
        same = self.same(one, two)
        return None if same is None else not same

    def among(self, one: Any, many: Any) -> bool | None:
        try:
            return _among(one, many)
        except CannotTell as error:
            self.reason = self.reason or error.reason
            return None


def _same(one: Any, two: Any) -> bool:
    if (kind := _kind(one)) != _kind(two) or kind == "null":
        raise CannotTell(f"{kind} cannot be compared with {_kind(two)}")
    if kind == "a number" and (one != one or two != two):
        raise CannotTell("NaN cannot be compared")
    if kind == "a list":
        return len(one) == len(two) and all(map(_alike, one, two))
    if kind == "a mapping":
        return one.keys() == two.keys() and all(_alike(one[key], two[key]) for key in one)
    return bool(one == two)


def _alike(one: Any, two: Any) -> bool:
    """Within lists and mappings, unlike kinds are just unlike; but NaN is never equal."""
    if _kind(one) != _kind(two):
        return False
    return one is None or _same(one, two)


def _among(one: Any, many: Any) -> bool:
    if not isinstance(many, list | dict):
        raise CannotTell(f"'in' wants a list or a mapping, not {_kind(many)}")
    comparable = [other for other in many if _kind(other) == _kind(one)]
    if one is None or (many and not comparable):
        raise CannotTell(f"{_kind(one)} cannot be looked for there")
    return any(_same(one, other) for other in comparable)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return f"a {type(value).__name__}"


_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "a boolean"),
    (int | float, "a number"),
    (str, "text"),
    (list | tuple, "a list"),
    (Mapping, "a mapping"),
)


# --- rewriting ---------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |[bB]?[rR][bB]?(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
    |[bB]?(?:\"{3}(?:\\.|.)*?\"{3}|'{3}(?:\\.|.)*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |0[xX][0-9a-fA-F]+u?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?u?
    |[A-Za-z_]\w*
    |\|\||&&|[=!<>]=|.""",
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_RELATIONS = {"==", "!=", "<", "<=", ">", ">=", "in"}
_CALLS = {"==": "same_", "!=": "other_", "in": "among_"}
_LONGEST, _DEEPEST = 4000, 32


def _tokens(expression: str) -> list[str]:
    return [" " if m["space"] else m.group() for m in _TOKEN.finditer(expression)]


def strictly(expression: str) -> str:
    """The same expression with comparisons and logic as this module's docstring says."""
    tokens = _tokens(expression)
    if len(expression) > _LONGEST or _depth(tokens) > _DEEPEST:
        raise CannotTell("the expression is too long or nested too deeply")
    return _group(iter(tokens), "")


def _depth(tokens: list[str]) -> int:
    deepest = depth = run = 0
    for token in tokens:
        depth += (token in _CLOSERS) - (token in _CLOSERS.values())
        run = run + 1 if token in ("!", "-", "?", "||", "&&") else run
        deepest = max(deepest, depth, run // 8)
    return deepest


def _group(tokens: Iterator[str], closer: str) -> str:
    """Rewrite up to `closer`. Commas, `?` and `:` bind less than anything rewritten here."""
    done, segment = "", list[str]()
    for token in tokens:
        if token in _CLOSERS:
            segment.append(token + _group(tokens, _CLOSERS[token]))
        elif token == closer:
            return f"{done}{_either(segment)}{token}"
        elif token in (",", "?", ":"):
            done, segment = f"{done}{_either(segment)}{token}", []
        else:
            segment.append(token)
    return done + _either(segment)


def _either(segment: list[str]) -> str:
    *first, last = (_both(part) for part in _split(segment, "||"))
    text = f"(({last}) ? true : false)" if first else last
    for part in reversed(first):
        text = f"(({part}) ? true : {text})"
    return text


def _both(segment: list[str]) -> str:
    *first, last = (_relation(part) for part in _split(segment, "&&"))
    text = f"(({last}) ? true : false)" if first else last
    for part in reversed(first):
        text = f"(({part}) ? {text} : false)"
    return text


def _relation(segment: list[str]) -> str:
    text, operator = "", ""
    operand: list[str] = []
    for token in [*segment, ""]:
        if token and token not in _RELATIONS:
            operand.append(token)
            continue
        right, operand = "".join(operand), []
        text = _compare(text, operator, right) if operator else right
        operator = token
    return text


def _compare(left: str, operator: str, right: str) -> str:
    if operator in _CALLS and "null" not in (left.strip(), right.strip()):
        return f"{_CALLS[operator]}({left}, {right})"
    return f"({left} {operator} {right})"


def _split(segment: list[str], operator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for token in segment:
        if token == operator:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


# --- checking, before anything runs ------------------------------------------------------

_LOOPS = {"all", "exists", "exists_one", "map", "filter"}
_METHODS = _LOOPS | {
    *("contains", "startsWith", "endsWith", "matches", "getFullYear", "getMonth", "getDate"),
    *("getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds"),
    "getMilliseconds",
}
_FUNCTIONS = {
    *("has", "size", "int", "uint", "double", "string", "bytes", "type", "timestamp", "duration"),
}


def mistakes(expression: str, known: Mapping[str, Collection[str] | None]) -> tuple[str, ...]:
    """What is wrong with an expression: its syntax, functions that do not exist, and names that
    nobody defines. `known` has the top-level names, each with its attributes, or None when any
    may be there."""
    try:
        _compiled(expression)
    except (*_FAILURES, CannotTell) as error:
        return (f"no CEL expression: {_syntax(error)}",)
    tokens = _tokens(expression)
    return tuple(dict.fromkeys(_unknown([t for t in tokens if t.strip()], known)))


def _syntax(error: BaseException) -> str:
    found = re.search(r"Syntax error: ([^\n]*)|ERROR: <input>:[\d:]+ ([^\n]*)", str(error))
    text = (found[1] or found[2]) if found else str(error)
    return text.partition("\n")[0].partition(" expecting ")[0]


def _unknown(tokens: list[str], known: Mapping[str, Collection[str] | None]) -> Iterator[str]:
    local = {
        tokens[index + 2]
        for index, token in enumerate(tokens[:-2])
        if token in _LOOPS and tokens[index + 1] == "("
    }
    for index, token in enumerate(tokens):
        if not _NAME.fullmatch(token) or token in ("true", "false", "null", "in"):
            continue
        before = tokens[index - 1] if index else ""
        after = [*tokens[index + 1 : index + 4], "", "", ""]
        if after[0] == "(":
            yield from _uncallable(token, method=before == ".")
        elif before == "." or after[0] == ":" or token in local:
            continue
        elif token not in known:
            yield f"{token!r} is not defined here{did_you_mean(token, known)}"
        elif after[0] == "." and after[2] != "(":
            attributes = known[token]
            if attributes is not None and after[1] not in attributes:
                near = did_you_mean(after[1], attributes).replace("'", f"'{token}.", 1)
                yield f"'{token}.{after[1]}' is not defined{near}"


def _uncallable(name: str, *, method: bool) -> Iterator[str]:
    if name not in _METHODS | _FUNCTIONS:
        yield f"no function {name!r}{did_you_mean(name, _METHODS | _FUNCTIONS)}"
    elif name in _METHODS and not method:
        yield f"{name!r} is a method: write text.{name}(…)"
    elif name in _FUNCTIONS - {"size"} and method:
        yield f"{name!r} is a function: write {name}(…)"
