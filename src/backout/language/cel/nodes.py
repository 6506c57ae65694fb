"""What an expression is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written out."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A name at the top, or the variable of a macro."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`of.field`; with `asked`, `has(of.field)`."""

    of: Node
    field: str
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """`of[key]`."""

    of: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Items:
    """`[…]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """`{…: …}`."""

    pairs: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with its operands; `||` and `&&` may have more than two."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of its arguments; a method has what stands before its dot first."""

    function: str
    arguments: tuple[Node, ...]
    method: bool = False


@dataclass(frozen=True, slots=True)
class Macro:
    """`over.all(variable, …)` and its like."""

    macro: str
    over: Node
    variable: str
    bodies: tuple[Node, ...]


Node = Literal | Name | Select | Index | Items | Pairs | Operation | Call | Macro


def inner(node: Node) -> tuple[Node, ...]:
    """The nodes right below one."""
    match node:
        case Select(of=of):
            return (of,)
        case Index(of, key):
            return (of, key)
        case Items(items):
            return items
        case Pairs(pairs):
            return tuple(each for pair in pairs for each in pair)
        case Operation(operands=operands):
            return operands
        case Call(arguments=arguments):
            return arguments
        case Macro(over=over, bodies=bodies):
            return (over, *bodies)
    return ()


def everything(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    for each in inner(node):
        yield from everything(each)
