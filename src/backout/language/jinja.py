"""Jinja, as far as a template here may use it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from backout.errors import Mistakes
from backout.model import Options
from backout.model.validation import as_text

OPEN, CLOSE = "\ue000", "\ue001"
SECRET_ENV = "BACKOUT_SECRET_"  # noqa: S105 - the prefix of a variable's name
REFERENCE = re.compile(f"{OPEN}([A-Za-z_][A-Za-z0-9_]*){CLOSE}")

Scope = Mapping[str, Any]
Known = Mapping[str, Collection[str] | None]
"""Top-level names, each with the attributes it has, or None when any may be there."""
Env = tuple[tuple[str, str], ...]
O = TypeVar("O", bound=Options)  # noqa: E741 - the options' own type


class CannotRender(Mistakes):
    """A template that the scope at hand does not satisfy."""

    def __init__(self, what: str, *, where: str = "") -> None:
        super().__init__(what, where=where, state="", next="")


class BadTemplate(CannotRender):
    """A template that cannot be read, with its line."""

    def __init__(self, what: str, line: int, where: str = "") -> None:
        super().__init__(what, where=where)
        self.line = line


class SecretRef(str):
    """A secret's reference; as text it is the marker that `Vault.reveal` knows."""

    __slots__ = ()

    def __new__(cls, name: str) -> SecretRef:
        return super().__new__(cls, f"{OPEN}{name}{CLOSE}")


class Raw(str):
    """Text that its author asked not to quote: `{{ params.flags | raw }}`."""

    __slots__ = ()


class Expression(NamedTuple):
    """One `{{ … }}`: what stands inside, and its line within the text."""

    source: str
    line: int


Piece = str | Expression


FAILURES = (
    TemplateError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    MemoryError,
)


_A_VALUE = "a template's value"
_JOINED = "~"
"""The name of a filter that no template can write."""


def _joined(value: Any) -> Any:
    """A value that becomes part of a text. Raises TypeError for null, which has none."""
    if value is None:
        raise TypeError(f"{_A_VALUE} is null")
    return value


class _Generator(CodeGenerator):
    """What `~` joins is there."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        for joint in list(node.find_all(nodes.Concat)):
            joint.nodes = [
                nodes.Filter(each, _JOINED, [], [], None, None, lineno=each.lineno)
                for each in joint.nodes
            ]
        super().visit_Template(node, frame)


class _Environment(ImmutableSandboxedEnvironment):
    """Mappings are data: `vars.items` is the variable of that name, never a method."""

    code_generator_class = _Generator

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


@lru_cache(maxsize=2)
def jinja(*, blocks: bool = False) -> _Environment:
    never = {
        "block_start_string": "\0%",
        "block_end_string": "%\0",
        "comment_start_string": "\0#",
        "comment_end_string": "#\0",
    }
    env = _Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        optimized=False,
        finalize=_finalized if blocks else None,
        **({} if blocks else never),
    )
    if not blocks:
        env.globals.clear()
    env.filters["raw"] = _raw
    env.filters[_JOINED] = _joined
    env.filters["tojson"] = json.dumps
    return env


def _finalized(value: Any) -> Any:
    return value if isinstance(value, Undefined) else text_of(_data(value), "")


def _raw(value: Any) -> Any:
    if isinstance(value, Undefined):
        return value
    if isinstance(value, list | tuple):
        return Raw(" ".join(as_text(_joined(item)) for item in value))
    return Raw(as_text(_joined(value)))


@lru_cache(maxsize=4096)
def pieces_of(text: str, where: str) -> tuple[Piece, ...]:
    if "{{" not in text:
        return (text,)
    pieces: list[Piece] = []
    inside: list[str] | None = None
    line = 1
    try:
        for number, kind, value in jinja().lex(text):
            if kind == "variable_begin":
                inside, line = [], number
            elif kind == "variable_end" and inside is not None:
                pieces.append(_checked(Expression("".join(inside).strip(), line), where))
                inside = None
            elif inside is not None:
                inside.append(value)
            else:
                pieces.append(value)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"{error.message}; {_LITERAL}", error.lineno, where) from None
    if inside is not None:
        raise BadTemplate(f"{{{{ is never closed; {_LITERAL}", line, where)
    return tuple(pieces)


_LITERAL = 'for braces as they are, write {{ "{{…}}" }}'


def _checked(piece: Expression, where: str) -> Expression:
    try:
        tree_of(piece)
        _compiled(piece.source)
    except TemplateSyntaxError as error:
        what = f"{{{{ {piece.source} }}}} is no expression: {error.message}; {_LITERAL}"
        raise BadTemplate(what, piece.line, where) from None
    except (RecursionError, MemoryError, SyntaxError, ValueError):
        raise BadTemplate("{{ … }} is nested too deeply", piece.line, where) from None
    return piece


@lru_cache(maxsize=4096)
def tree_of(piece: Expression) -> nodes.Output:
    """To be read only: whoever asks for the same expression gets the same tree."""
    tree = _tree(piece.source)
    if tree is None:
        raise TemplateSyntaxError("it must be one expression", piece.line)
    return tree


@lru_cache(maxsize=4096)
def _tree(source: str) -> nodes.Output | None:
    template = jinja().parse(f"{{{{ {source} }}}}")
    output = template.body[0] if template.body else None
    return output if isinstance(output, nodes.Output) and len(output.nodes) == 1 else None


@lru_cache(maxsize=4096)
def _compiled(source: str) -> TemplateExpression:
    return jinja().compile_expression(source, undefined_to_none=False)


def value_of(piece: Expression, scope: Scope, where: str) -> Any:
    try:
        return _data(_compiled(piece.source)(scope))
    except FAILURES as error:
        what = f"{{{{ {piece.source} }}}}: {_reason(error)}"
        raise CannotRender(what, where=where) from None


def _reason(error: BaseException) -> str:
    missing = re.search(r"has no attribute '(.*)'$", str(error))
    return f"{missing[1]!r} is not defined" if missing else str(error) or type(error).__name__


def _data(value: Any) -> Any:
    """An expression's value as JSON-like data; anything else is no value."""
    if isinstance(value, Undefined):
        str(value)  # a StrictUndefined says what is missing
    if value is None or isinstance(value, str | bool | int | float | Decimal):
        return value
    if isinstance(value, Mapping):
        return {str(key): _data(inner) for key, inner in value.items()}
    if callable(value) or not hasattr(value, "__iter__"):
        raise TypeError(f"a {type(value).__name__} is not data")
    return [_data(inner) for inner in value]


def text_of(value: Any, where: str, source: str = "") -> str:
    """As text; null has none, and least of all the word None. Raises CannotRender."""
    if value is None:
        raise CannotRender(f"{f'{{{{ {source} }}}}' if source else _A_VALUE} is null", where=where)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=float)
    return f"{value:f}" if isinstance(value, Decimal) else as_text(value)
