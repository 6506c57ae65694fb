"""Text -> nodes, by the grammar of https://github.com/google/cel-spec."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

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
    inner,
)
from backout.language.cel.values import CannotTell
from backout.model.values import Unavailable, integer, number

MACROS = {"all": 1, "exists": 1, "exists_one": 1, "filter": 1, "map": 2}
"""The macros, each with the most expressions that follow its variable."""
LONGEST, DEEPEST = 4000, 200
_NESTED = 32
TOO_DEEP = "the expression is too long or nested too deeply"

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<text>(?:[bB]?[rR]|[rR][bB])(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
    |[bB]?(?:\"{3}(?:\\.|.)*?\"{3}|'{3}(?:\\.|.)*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?a:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?[0-9]+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>\|\||&&|[=!<>]=|.)""",
    re.VERBOSE | re.DOTALL,
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_RESERVED = {
    *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let"),
    *("loop", "package", "namespace", "return", "var", "void", "while", "in"),
}
_LEVELS = (
    ("==", "!=", "<", "<=", ">", ">=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)


@lru_cache(maxsize=2048)
def parsed(expression: str) -> Node:
    """The expression as a tree. Raises CannotTell for what is none."""
    if len(expression) > LONGEST:
        raise CannotTell(TOO_DEEP)
    node = _Parser(expression).whole()
    if _depth(node) > DEEPEST:
        raise CannotTell(TOO_DEEP)
    return node


def _depth(node: Node) -> int:
    """How many nodes stand in one another, counted without going down as deep."""
    depth, level = 0, [node]
    while level:
        depth, level = depth + 1, [below for each in level for below in inner(each)]
    return depth


class _Parser:
    def __init__(self, expression: str) -> None:
        self.tokens = [
            (str(found.lastgroup), found.group(), found.start())
            for found in _TOKEN.finditer(expression)
            if found.lastgroup != "space"
        ]
        self.tokens.append(("end", "", len(expression)))
        self.at = 0
        self.nested = 0

    # --- tokens ----------------------------------------------------------------------------

    @property
    def sign(self) -> str:
        kind, text, _start = self.tokens[self.at]
        return text if kind in ("sign", "name") else ""

    def next(self) -> tuple[str, str]:
        kind, text, _start = self.tokens[self.at]
        self.at += kind != "end"
        return kind, text

    def takes(self, sign: str) -> bool:
        found = self.sign == sign
        self.at += found
        return found

    def needs(self, sign: str) -> None:
        if not self.takes(sign):
            raise self.wrong(f"{sign!r} is missing")

    def wrong(self, why: str) -> CannotTell:
        _kind, text, start = self.tokens[self.at]
        place = f"before {text!r} at character {start + 1}" if text else "at the end"
        return CannotTell(f"Failed to parse: {why} {place}")

    # --- the grammar -----------------------------------------------------------------------

    def whole(self) -> Node:
        node = self.choice()
        if self.tokens[self.at][0] != "end":
            raise self.wrong("something is too much")
        return node

    def choice(self) -> Node:
        self.nested += 1
        if self.nested > _NESTED:
            raise CannotTell(TOO_DEEP)
        node = self.logic("||", lambda: self.logic("&&", self.level))
        if self.takes("?"):
            then = self.logic("||", lambda: self.logic("&&", self.level))
            self.needs(":")
            node = Operation("?:", (node, then, self.choice()))
        self.nested -= 1
        return node

    def logic(self, operator: str, operand: Callable[[], Node]) -> Node:
        operands = [operand()]
        while self.takes(operator):
            operands.append(operand())
        return Operation(operator, tuple(operands)) if len(operands) > 1 else operands[0]

    def level(self, height: int = 0) -> Node:
        """Operators of one precedence, from left to right."""
        if height == len(_LEVELS):
            return self.unary()
        node = self.level(height + 1)
        while self.sign in _LEVELS[height]:
            operator = self.next()[1]
            node = Operation(operator, (node, self.level(height + 1)))
        return node

    def unary(self) -> Node:
        operator, count = self.sign, 0
        while operator in ("!", "-") and self.takes(operator):
            count += 1
        node = self.member()
        if not count:
            return node
        if operator == "-" and isinstance(node, Literal) and _is_number(node.value):
            return Literal(_negative(node.value) if count % 2 else node.value)
        return Operation(operator, (node,) if count % 2 else (Operation(operator, (node,)),))

    def member(self) -> Node:
        node = self.primary()
        while self.sign in (".", "["):
            node = self.dotted(node) if self.takes(".") else self.indexed(node)
        return node

    def indexed(self, node: Node) -> Node:
        self.needs("[")
        key = self.choice()
        self.needs("]")
        return Index(node, key)

    def dotted(self, node: Node) -> Node:
        kind, name = self.next()
        if kind != "name":
            self.at -= kind != "end"
            raise self.wrong("a name is missing")
        if not self.takes("("):
            return Select(node, name)
        arguments = self.several(")")
        if name in MACROS:
            return self.macro(name, node, arguments)
        return Call(name, (node, *arguments), method=True)

    def macro(self, name: str, over: Node, arguments: tuple[Node, ...]) -> Node:
        variable, *bodies = arguments or (Literal(None),)
        if not isinstance(variable, Name) or not 1 <= len(bodies) <= MACROS[name]:
            raise self.wrong(f"{name}(…) wants a variable and an expression")
        return Macro(name, over, variable.name, tuple(bodies))

    def primary(self) -> Node:
        kind, text = self.next()
        match kind, text:
            case "text", _:
                return Literal(self.text(text))
            case "number", _:
                return Literal(self.number(text))
            case "sign", "(":
                node = self.choice()
                self.needs(")")
                return node
            case "sign", "[":
                return Items(self.several("]"))
            case "sign", "{":
                return self.mapping()
            case "sign", "." if self.tokens[self.at][0] == "name":
                return self.primary()
            case "name", _ if text in _CONSTANTS:
                return Literal(_CONSTANTS[text])
            case "name", _ if text not in _RESERVED:
                return self.named(text)
        self.at -= kind != "end"
        raise self.wrong("a value is missing")

    def named(self, name: str) -> Node:
        if not self.takes("("):
            return Name(name)
        arguments = self.several(")")
        if name != "has":
            return Call(name, arguments)
        if len(arguments) != 1 or not isinstance(arguments[0], Select):
            raise self.wrong("has(…) wants one field, such as has(body.code)")
        return Select(arguments[0].of, arguments[0].field, asked=True)

    def several(self, closer: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self.takes(closer):
            found.append(self.choice())
            if self.sign != closer:
                self.needs(",")
        return tuple(found)

    def mapping(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self.takes("}"):
            key = self.choice()
            self.needs(":")
            pairs.append((key, self.choice()))
            if self.sign != "}":
                self.needs(",")
        return Pairs(tuple(pairs))

    # --- literals --------------------------------------------------------------------------

    def number(self, text: str) -> Any:
        bare = text.rstrip("uU")
        value = int(bare, 16) if bare[:2] in ("0x", "0X") else _number(bare)
        if isinstance(value, Unavailable):
            raise self.wrong(value.reason)
        return value

    def text(self, written: str) -> str | bytes:
        quote = re.search(r"[\"']", written)
        prefix = written[: quote.start()].lower() if quote else ""
        body = written[len(prefix) :]
        width = 3 if len(body) >= 6 and body[:3] in ('"""', "'''") else 1
        body = body[width:-width]
        if "b" in prefix:
            return body.encode() if "r" in prefix else _unescaped(body, self.code).encode("latin-1")
        return body if "r" in prefix else _unescaped(body, self.code)

    def code(self, point: int) -> str:
        if point > 0x10FFFF or 0xD800 <= point < 0xE000:
            raise self.wrong("an escape that stands for no character")
        return chr(point)


def _negative(value: Any) -> Any:
    """The number below zero, with all of its digits: `-` rounds a Decimal to 28 of them."""
    return value.copy_negate() if isinstance(value, Decimal) else -value


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool | str | bytes | None)


def _number(text: str) -> Any:
    return integer(text) if text.isdecimal() else number(text)


_ESCAPE = re.compile(
    r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_SINGLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescaped(text: str, code: Callable[[int], str]) -> str:
    def character(found: re.Match[str]) -> str:
        short, four, eight, octal, single = found.groups()
        if single is not None:
            return _SINGLE.get(single, single)
        return code(int(octal, 8) if octal else int(short or four or eight, 16))

    return _ESCAPE.sub(character, text)
