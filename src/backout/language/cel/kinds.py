"""What cannot be right whatever comes: kinds that do not go together, and constants that fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backout.language.cel.evaluator import code
from backout.language.cel.functions import FUNCTIONS, METHODS
from backout.language.cel.nodes import (
    Call,
    Index,
    Items,
    Literal,
    Macro,
    Name,
    Node,
    Operation,
    Pairs,
    Select,
    everything,
    inner,
)
from backout.language.cel.values import ORDERED, CannotTell, kind_of

Kinds = Mapping[str, str]
"""The kinds of names, and of what stands below them: `{"status": "a number"}`."""
_COMPARED = {"==", "!=", "<", "<=", ">", ">=", "in"}
_TIMED = {
    ("a time", "+", "a duration"): "a time",
    ("a duration", "+", "a time"): "a time",
    ("a duration", "+", "a duration"): "a duration",
    ("a duration", "-", "a duration"): "a duration",
    ("a time", "-", "a duration"): "a time",
    ("a time", "-", "a time"): "a duration",
}
_ADDED = {"a number", "text", "a list", "bytes"}
_MADE = {
    "string": "text",
    "type": "text",
    "bytes": "bytes",
    "timestamp": "a time",
    "duration": "a duration",
}
_TESTS = {"contains", "startsWith", "endsWith", "matches"}


def contradictions(node: Node, kinds: Kinds) -> Iterator[str]:
    """What can never be told of the expression, in words."""
    if _constant(node) and not isinstance(node, Literal):
        yield from _fails(node)
        return
    for each in inner(node):
        yield from contradictions(each, kinds)
    match node:
        case Operation(sign, (left, right)) if sign in _COMPARED:
            yield from _uncomparable(sign, left, right, kinds)
        case Operation("||" | "&&" | "!" | "?:" as sign, operands):
            for each in operands[:1] if sign == "?:" else operands:
                yield from _other_than(each, "a boolean", kinds, "neither true nor false")
        case Operation(sign, (left, right)):
            yield from _unreckonable(sign, left, right, kinds)
        case Select(of, field):
            yield from _among(of, ("a mapping",), kinds, f"has no {field!r}")
        case Macro(macro=macro, over=over):
            yield from _among(over, ("a list", "a mapping"), kinds, f"has no {macro}(…)")
        case Call(function, (text, *pattern)) if function in _TESTS:
            yield from _other_than(text, "text", kinds, f"no text for {function}")
            yield from _pattern(function, pattern)


def kind(node: Node, kinds: Kinds) -> str:
    """The kind of a node's value; empty when that cannot be known."""
    match node:
        case Literal(value):
            return kind_of(value)
        case Name() | Select(asked=False):
            return kinds.get(_path(node), "")
        case Select() | Macro(macro="all" | "exists" | "exists_one"):
            return "a boolean"
        case Items() | Macro():
            return "a list"
        case Pairs():
            return "a mapping"
        case Call(function):
            return _called(function)
        case Operation(sign, operands):
            return _operated(sign, [kind(each, kinds) for each in operands])
    return ""


def _called(function: str) -> str:
    if function in _TESTS:
        return "a boolean"
    return _MADE.get(function, "a number") if function in FUNCTIONS.keys() | METHODS.keys() else ""


def _operated(sign: str, kinds: list[str]) -> str:
    if sign in _COMPARED | {"||", "&&", "!"}:
        return "a boolean"
    if sign == "?:":
        return kinds[1] if kinds[1] == kinds[2] else ""
    if len(kinds) == 1:
        return kinds[0]
    left, right = kinds
    if left == right and (left == "a number" or (sign == "+" and left in _ADDED)):
        return left
    return _TIMED.get((left, sign, right), "")


def _uncomparable(sign: str, left: Node, right: Node, kinds: Kinds) -> Iterator[str]:
    one, two = kind(left, kinds), kind(right, kinds)
    if sign == "in":
        known = {kind(item, kinds) for item in right.items} if isinstance(right, Items) else {""}
        if one and known and not known & {"", one}:
            yield f"{_shown(left)} is {one} and never in {_shown(right)}"
        elif two and two not in ("a list", "a mapping"):
            yield f"'in' wants a list or a mapping, and {_shown(right)} is {two}"
    elif one and two and "null" not in (one, two):
        if one != two or (sign not in ("==", "!=") and one not in ORDERED):
            yield (f"{_shown(left)} is {one} and {_shown(right)} is {two}: they cannot be compared")
        elif sign in ("==", "!=") and _fraction(left) and isinstance(right, Literal):
            yield f"a division of the status is no whole number: write int({_shown(left)})"
    elif "null" in (one, two) and sign not in ("==", "!="):
        yield "null has no order"


def _fraction(node: Node) -> bool:
    """`status / 100`, which was meant to be whole."""
    divided = isinstance(node, Operation) and node.operator == "/"
    return divided and inner(node)[0] == Name("status")


def _unreckonable(sign: str, left: Node, right: Node, kinds: Kinds) -> Iterator[str]:
    one, two = kind(left, kinds), kind(right, kinds)
    if one and two and not _operated(sign, [one, two]):
        yield f"{one} {sign} {two} is not defined: {_shown(left)} {sign} {_shown(right)}"
    elif sign in "/%" and isinstance(right, Literal) and two == "a number" and not right.value:
        yield "division by zero"


def _other_than(node: Node, wanted: str, kinds: Kinds, words: str) -> Iterator[str]:
    found = kind(node, kinds)
    if found and found != wanted:
        yield f"{_shown(node)} is {found}, {words}"


def _among(node: Node, wanted: tuple[str, ...], kinds: Kinds, words: str) -> Iterator[str]:
    found = kind(node, kinds)
    if found and found not in wanted:
        yield f"{_shown(node)} is {found} and {words}"


def _pattern(function: str, pattern: list[Node]) -> Iterator[str]:
    if function == "matches" and pattern and isinstance(pattern[0], Literal):
        yield from _fails(Call("matches", (Literal(""), pattern[0]), method=True))


def _fails(node: Node) -> Iterator[str]:
    """Why a part without any name has no value."""
    try:
        code(node)({})
    except CannotTell as error:
        yield error.reason


def _constant(node: Node) -> bool:
    return not any(isinstance(each, Name | Macro) for each in everything(node))


def _path(node: Node) -> str:
    match node:
        case Name(name):
            return name
        case Select(of, field):
            return f"{above}.{field}" if (above := _path(of)) else ""
    return ""


def _shown(node: Node) -> str:
    """A part of an expression as it was written, more or less."""
    match node:
        case Literal(value):
            return _written(value)
        case Name() | Select() if path := _path(node):
            return path
        case Index(of, key):
            return f"{_shown(of)}[{_shown(key)}]"
        case Items(items):
            return f"[{', '.join(map(_shown, items))}]"
        case Call(function, arguments):
            return f"{function}({', '.join(map(_shown, arguments))})"
        case Operation(sign, (left, right)):
            return f"{_shown(left)} {sign} {_shown(right)}"
    return "this"


def _written(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)
