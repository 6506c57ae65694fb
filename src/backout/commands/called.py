"""What a verb is called with from Python: each argument is of the type that its annotation says.

Python looks at no annotation, and a text is a sequence of texts too: `hosts="web1"` would be four
hosts of one letter.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache, wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from backout.errors import Mistakes

P = ParamSpec("P")
T = TypeVar("T")

_EXPECTED: Mapping[object, str] = {
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    Path: "a path",
    type(None): "None",
    Sequence: "a list of texts",
    Mapping: "a dict with texts as names",
    Callable: "a function",
}
_PLAIN = (str, int, float, Decimal, os.PathLike, date)
"""What has one text, the one that a person would type."""


def checked(verb: Callable[P, T]) -> Callable[P, T]:
    """The verb, which raises Mistakes for an argument of another type than it is annotated with."""
    known, hints = signature(verb), cache(lambda: get_type_hints(verb))

    @wraps(verb)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for name, value in known.bind(*args, **kwargs).arguments.items():
            if name in hints():
                _check(name, value, _kinds(hints()[name]))
        return verb(*args, **kwargs)

    return call


def worded(name: str, value: object) -> str:
    """A runbook's parameter as one types it: `name=value`, or `name=["a", "b"]`. Raises
    Mistakes."""
    if not name.strip() or "=" in name:
        raise Mistakes(f"params: {name!r} is no name of a parameter")
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return f"{name}={_plain(name, value)}"
    return f"{name}={json.dumps([_plain(name, each) for each in value])}"


def _plain(name: str, value: object) -> str:
    if isinstance(value, _PLAIN):
        return str(value)
    raise Mistakes(
        f"params[{name!r}]: a text, a number, True or False, or a list of them is expected,"
        f" not {type(value).__name__}",
        next=f'params={{{name!r}: "…"}}',
    )


def _check(name: str, value: object, kinds: Sequence[Any]) -> None:
    if not any(_is(value, kind) for kind in kinds):
        expected = " or ".join(_EXPECTED[kind] for kind in kinds)
        raise Mistakes(
            f"{name}: {expected} is expected, not {type(value).__name__}",
            next=_instead(name, value, kinds),
        )


def _kinds(hint: Any) -> Sequence[Any]:
    """Of `Sequence[str] | None`: Sequence and NoneType."""
    members = [hint] if get_origin(hint) in _EXPECTED else get_args(hint) or [hint]
    return [get_origin(each) or each for each in members]


def _is(value: object, kind: Any) -> bool:
    if kind is Sequence:
        bare = isinstance(value, str | bytes | bytearray)
        return isinstance(value, Sequence) and not bare and _texts(value)
    if kind is Mapping:
        return isinstance(value, Mapping) and _texts(value)
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _texts(values: Iterable[object]) -> bool:
    return all(isinstance(each, str) for each in values)


def _instead(name: str, value: object, kinds: Sequence[Any]) -> str:
    """What to write, as near to what was meant as can be known."""
    text = repr(str(value)) if isinstance(value, _PLAIN) else '"…"'
    if bool in kinds:
        return f"{name}=True, when it is meant"
    if Sequence in kinds:
        return f"{name}=[{text}]"
    if Mapping in kinds:
        return f'{name}={{"NAME": "VALUE"}}'
    return f"{name}=lambda it: …" if Callable in kinds else f"{name}={text}"
