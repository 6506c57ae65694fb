"""A twin of the product that lacks one guard, and the worlds in which that is noticed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from proof.worlds import faults
from proof.worlds.story import Told, Worlds

from backout.adapters import programs
from backout.adapters.transports import shell_text

BUDGET = 400
"""So many worlds at most until a twin is noticed."""
GUIDED = 60
"""The same, of worlds of its kind."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The product without one guard."""

    guard: str
    texts: tuple[tuple[str, str, str], ...] = ()
    """Programs of the hosts, each with what is taken out of it and what stands there instead."""
    parts: tuple[tuple[Any, str, Any], ...] = ()
    """Functions of the product, and what is done instead."""
    shape: Mapping[str, Any] = field(default_factory=dict)
    among: tuple[faults.Fault, ...] = faults.FAULTS
    """The worlds of its kind."""
    soon: bool = True
    """Whether a few of those are enough."""
    held: str = ""
    """What notices it where worlds do not."""


@contextmanager
def without(twin: Twin) -> Iterator[None]:
    """Meanwhile the product lacks that guard."""
    changed = [(place, name, getattr(place, name)) for place, name, _ in twin.parts]
    changed += list(_texts(twin)) if twin.texts else []
    try:
        for place, name, other in twin.parts:
            setattr(place, name, other)
        yield
    finally:
        for place, name, value in changed:
            setattr(place, name, value)


def _texts(twin: Twin) -> Iterator[tuple[Any, str, Any]]:
    """Wherever the product has one of these programs at hand it is another; gives what it was."""
    known = programs.program
    others = {name: known(name) for name, _, _ in twin.texts}
    for name, old, new in twin.texts:
        if others[name].count(old) != 1:
            raise ValueError(f"{name} has not {old!r} once")
        others[name] = others[name].replace(old, new)
    library, quote = known("note"), shell_text.quote
    other_library = others.get("note", library)

    def program(name: str) -> str:
        return others.get(name) or known(name)

    for module in _ours():
        for name, value in list(vars(module).items()):
            if value is known and module is not programs:
                setattr(module, name, program)
            elif isinstance(value, str) and other_library != library and library in value:
                setattr(module, name, value.replace(library, other_library))
            elif isinstance(value, str) and other_library != library and quote(library) in value:
                setattr(module, name, value.replace(quote(library), quote(other_library)))
            else:
                continue
            yield module, name, value


def _ours() -> Iterator[ModuleType]:
    yield from (m for name, m in list(sys.modules.items()) if name.startswith("backout."))


def nothing(*_: Any, **__: Any) -> dict[str, str]:
    """What is done instead: nothing, and nothing is told."""
    return {}


def no_words(*_: Any, **__: Any) -> str:
    """What is said instead."""
    return ""


def noticed(
    worlds: Worlds, twin: Twin, *, seed: int = 1, guided: bool = False
) -> tuple[int, Told | None]:
    """After how many worlds that guard is missed, and in which one; none within the budget."""
    kind: dict[str, Any] = {"shape": twin.shape, "among": twin.among} if guided else {}
    budget = GUIDED if guided else BUDGET
    with without(twin):
        for number in range(budget):
            told = worlds.play(seed + number, **kind)
            if told.violations:
                return number + 1, told
    return budget, None
