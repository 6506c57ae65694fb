"""Nodes -> a function from names to a value."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from backout.language.cel import values
from backout.language.cel.functions import FUNCTIONS, METHODS
from backout.language.cel.limits import limit
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
)
from backout.language.cel.parser import parsed
from backout.language.cel.values import UNDEFINED, CannotTell, had, kind_of

Scope = Mapping[str, Any]
Code = Callable[[Scope], Any]
AN_ITEM = 64
"""About so many octets an item of a list is."""


@lru_cache(maxsize=2048)
def compiled(expression: str) -> Code:
    """The expression, ready to be evaluated often. Raises CannotTell for what is none."""
    return code(parsed(expression))


def code(node: Node) -> Code:
    """What a node does."""
    match node:
        case Literal(value):
            return lambda _scope: value
        case Name(name):
            return _name(name)
        case Select(of, field, asked):
            return _asked(code(of), field) if asked else _select(code(of), field)
        case Index(of, key):
            return _index(code(of), code(key))
        case Items(items):
            parts = tuple(map(code, items))
            return lambda scope: [_kept(part(scope)) for part in parts]
        case Pairs(pairs):
            return _pairs(tuple((code(key), code(value)) for key, value in pairs))
        case Operation("==" | "!=" as sign, operands) if Literal(None) in operands:
            return _is_null(*map(code, operands), wanted=sign == "==")
        case Operation(sign, operands):
            return _operation(sign, tuple(map(code, operands)))
        case Call(function, arguments, method):
            return _call(function, tuple(map(code, arguments)), method)
        case Macro(macro, over, variable, bodies):
            return _MACROS[macro](_loop(code(over), variable), *map(code, bodies))


# --- reading -----------------------------------------------------------------------------


def _name(name: str) -> Code:
    def read(scope: Scope) -> Any:
        try:
            return had(scope[name])
        except KeyError:
            raise CannotTell(f"{name!r} is not defined") from None

    return read


def _select(of: Code, field: str) -> Code:
    def read(scope: Scope) -> Any:
        whole = of(scope)
        if not isinstance(whole, Mapping):
            raise CannotTell(f"{UNDEFINED}: {kind_of(whole)} has no {field!r}")
        if field not in whole:
            raise CannotTell(f"{field!r} is missing")
        return had(whole[field])

    return read


def _asked(of: Code, field: str) -> Code:
    def read(scope: Scope) -> bool:
        whole = of(scope)
        if not isinstance(whole, Mapping):
            raise CannotTell(f"{UNDEFINED}: {kind_of(whole)} has no {field!r}")
        return field in whole

    return read


def _index(of: Code, key: Code) -> Code:
    def read(scope: Scope) -> Any:
        whole, at = of(scope), key(scope)
        if isinstance(whole, Mapping):
            return had(_found(whole, at))
        if not isinstance(whole, list | tuple):
            raise CannotTell(f"{UNDEFINED}: {kind_of(whole)} has no [{at!r}]")
        place = values.exact(at)
        if place != int(place) or not 0 <= place < len(whole):
            raise CannotTell(f"the index {at} is out of bounds: there are {len(whole)}")
        return had(whole[int(place)])

    return read


def _found(whole: Mapping[Any, Any], at: Any) -> Any:
    for key in (at,) if isinstance(at, str) else whole:
        if key in whole and kind_of(key) == kind_of(at) and values.same(key, at):
            return whole[key]
    raise CannotTell(f"{at!r} is missing")


def _pairs(pairs: tuple[tuple[Code, Code], ...]) -> Code:
    def read(scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in pairs:
            name = key(scope)
            if kind_of(name) not in ("text", "a number", "a boolean"):
                raise CannotTell(f"{kind_of(name)} is no key")
            found[name] = value(scope)
        return found

    return read


# --- operators ---------------------------------------------------------------------------


def _operation(sign: str, parts: tuple[Code, ...]) -> Code:
    if sign in ("||", "&&"):
        return _logic(parts, stops=sign == "||")
    if sign == "?:":
        test, then, other = parts
        return lambda scope: then(scope) if _truth(test(scope)) else other(scope)
    if len(parts) == 1:
        (one,) = parts
        work = _negated if sign == "!" else values.negated
        return lambda scope: work(one(scope))
    left, right = parts
    both = _BINARY[sign]
    return lambda scope: both(left(scope), right(scope))


def _logic(parts: tuple[Code, ...], *, stops: bool) -> Code:
    """From left to right; the first that decides is the answer, and an error is one too."""

    def read(scope: Scope) -> bool:
        for part in parts:
            if _truth(part(scope)) is stops:
                return stops
        return not stops

    return read


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise CannotTell(f"the value is {kind_of(value)}, neither true nor false")


def _negated(value: Any) -> bool:
    return not _truth(value)


def _order(work: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda one, two: work(*values.ordered(one, two))


def _is_null(one: Code, two: Code, *, wanted: bool) -> Code:
    """`x == null`, written out: the one question that a value of any kind answers."""
    return lambda scope: (one(scope) is two(scope) is None) is wanted


def _added(one: Any, two: Any) -> Any:
    whole = values.added(one, two)
    if isinstance(whole, str | bytes | list):
        limit().builds(len(whole) * (AN_ITEM if isinstance(whole, list) else 1))
    return whole


_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": values.same,
    "!=": lambda one, two: not values.same(one, two),
    "in": values.among,
    "<": _order(operator.lt),
    "<=": _order(operator.le),
    ">": _order(operator.gt),
    ">=": _order(operator.ge),
    "+": _added,
    "-": values.subtracted,
    "*": values.multiplied,
    "/": values.divided,
    "%": values.remainder,
}

# --- functions and macros ----------------------------------------------------------------


def _call(function: str, parts: tuple[Code, ...], method: bool) -> Code:
    work = (METHODS if method else FUNCTIONS).get(function)
    wanted = 2 if function in ("contains", "startsWith", "endsWith", "matches") else 1
    if work is None or len(parts) != wanted:
        raise CannotTell(f"{function!r} is not defined for what it is used on")
    if wanted == 1:
        (one,) = parts
        return lambda scope: work(one(scope))
    one, two = parts
    return lambda scope: work(one(scope), two(scope))


Loop = Callable[[Scope], Iterator[tuple[Any, Scope]]]


def _loop(over: Code, variable: str) -> Loop:
    """The items of a list, or the keys of a mapping, each with the names that its body sees."""

    def each(scope: Scope) -> Iterator[tuple[Any, Scope]]:
        whole, inner = over(scope), dict(scope)
        if not isinstance(whole, list | tuple | Mapping):
            raise CannotTell(f"{UNDEFINED}: {kind_of(whole)} has no items")
        for item in whole:
            limit().goes_on()
            inner[variable] = item
            yield item, inner
        values.whole(whole)  # those that decided without the rest did not come here

    return each


def _all(loop: Loop, body: Code) -> Code:
    return lambda scope: all(_truth(body(inner)) for _item, inner in loop(scope))


def _exists(loop: Loop, body: Code) -> Code:
    return lambda scope: any(_truth(body(inner)) for _item, inner in loop(scope))


def _exists_one(loop: Loop, body: Code) -> Code:
    return lambda scope: sum(_truth(body(inner)) for _item, inner in loop(scope)) == 1


def _filter(loop: Loop, body: Code) -> Code:
    return lambda scope: [_kept(item) for item, inner in loop(scope) if _truth(body(inner))]


def _map(loop: Loop, *bodies: Code) -> Code:
    *tests, body = bodies
    return lambda scope: [
        _kept(body(inner))
        for _item, inner in loop(scope)
        if all(_truth(test(inner)) for test in tests)
    ]


def _kept(item: Any) -> Any:
    limit().builds(AN_ITEM)
    return item


_MACROS: Mapping[str, Callable[..., Code]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
}
