"""Which tests are quick: those that start no real part.

Nobody marks them. A test's own code and that of its fixtures is read for what it names; whoever
reaches a module that starts processes needs real parts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

STARTS = {"subprocess", "pty", "multiprocessing"}
"""Who imports one of these starts processes."""
LIMIT = 1.0
"""Seconds of processor time that a quick test may take."""


def quick(item: pytest.Item) -> bool:
    """Whether neither the test nor any fixture of it reaches a real part, and none says that it
    takes its time."""
    if "unhurried" in getattr(item, "fixturenames", ()):
        return False
    return not any(_reaches(function) for function in _functions(item))


def _functions(item: pytest.Item) -> Iterator[Callable[..., Any]]:
    yield getattr(item, "function", len)
    for definitions in item._fixtureinfo.name2fixturedefs.values() if _has(item) else ():  # type: ignore[attr-defined] # pytest offers no public way to a test's fixtures
        yield from (definition.func for definition in definitions)
    for value in getattr(getattr(item, "callspec", None), "params", {}).values():
        # a parameter that names a fixture asks for it
        if isinstance(value, str) and value.isidentifier():
            asked = item.session._fixturemanager.getfixturedefs(value, item)
            yield from (definition.func for definition in asked or ())


def _has(item: pytest.Item) -> bool:
    return hasattr(item, "_fixtureinfo")


def _reaches(function: Callable[..., Any], seen: frozenset[str] = frozenset()) -> bool:
    function = getattr(function, "__wrapped__", function)
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    if not isinstance(inner, FunctionType) or inner.__qualname__ in seen:
        return False
    seen |= {inner.__qualname__}
    named = (inner.__globals__.get(name) for name in _names(inner.__code__))
    return any(_is_real(value, inner.__module__, seen) for value in named)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_real(value: object, module: str, seen: frozenset[str]) -> bool:
    if isinstance(value, ModuleType):
        return value.__name__ in STARTS or _starts(value.__name__)
    home = getattr(value, "__module__", "") or ""
    if home == module and isinstance(value, FunctionType):
        return _reaches(value, seen)
    if home == module and isinstance(value, type):
        return any(_reaches(each, seen) for each in vars(value).values() if callable(each))
    return _starts(home)


@cache
def _starts(module: str) -> bool:
    """Whether a module of these tests, or one that it takes something from, starts processes."""
    if not module.startswith("support") or module not in sys.modules:
        return False
    homes = set()
    for value in list(vars(sys.modules[module]).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "")
        homes.add(name)
    return bool(homes & STARTS) or any(_starts(str(home)) for home in homes - {module})
