"""`{{ … }}` -> text, quoted where it lands in a shell; secrets by reference.

Only `{{ expressions }}` of Jinja are templates here: `{% … %}` and `{# … #}` are ordinary text in a
runbook, so that `${#name}` stays what it is in a shell. Template *files* may use all of Jinja
(`render_document`).

A secret is never a value here. `secrets.token` yields a reference, the secret's name between two
private-use characters, which `Vault.reveal` replaces at the very end. In a shell text it becomes
`"$BACKOUT_SECRET_token"`, and the environment carries the reference.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined, nodes
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from backout.errors import Mistakes
from backout.language.quoting import HOLE, places
from backout.model import Check, Options, Service, Step
from backout.model.validation import as_text, did_you_mean, validated

OPEN, CLOSE = "\ue000", "\ue001"
SECRET_ENV = "BACKOUT_SECRET_"  # noqa: S105 - the prefix of a variable's name
_REFERENCE = re.compile(f"{OPEN}([A-Za-z_][A-Za-z0-9_]*){CLOSE}")

Scope = Mapping[str, Any]
Known = Mapping[str, Collection[str] | None]
"""Top-level names, each with the attributes it has, or None when any may be there."""
Env = tuple[tuple[str, str], ...]
O = TypeVar("O", bound=Options)  # noqa: E741 - the options' own type


class CannotRender(Mistakes):
    """A template that the scope at hand does not satisfy."""

    def __init__(self, what: str, *, where: str = "") -> None:
        super().__init__(what, where=where, state="", next="")


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


# --- rendering ---------------------------------------------------------------------------


def render(text: str, scope: Scope, *, where: str = "") -> str:
    """`text` with every `{{ … }}` replaced. Raises CannotRender."""
    return "".join(
        piece if isinstance(piece, str) else _text(_value(piece, scope, where), where)
        for piece in _pieces(text, where)
    )


def render_value(value: Any, scope: Scope, *, where: str = "") -> Any:
    """Render every string in JSON-like data. A string that is exactly one `{{ … }}` becomes that
    expression's own value: a number, a list, a mapping. Raises CannotRender."""
    if isinstance(value, str):
        pieces = _pieces(value, where)
        if len(pieces) == 1 and isinstance(pieces[0], Expression):
            return _value(pieces[0], scope, where)
        return render(value, scope, where=where)
    if isinstance(value, Mapping):
        return {key: render_value(inner, scope, where=where) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [render_value(inner, scope, where=where) for inner in value]
    return value


def render_shell(text: str, scope: Scope, *, where: str = "") -> tuple[str, Env]:
    """`text` as a script in which every rendered value is one quoted word, a list one word for
    each of its items; and the environment that its secrets need. Raises CannotRender."""
    pieces = _pieces(text, where)
    for _line, message in _unquotable(pieces):
        raise CannotRender(message, where=where)
    needed: set[str] = set()
    script = "".join(
        piece if isinstance(piece, str) else _shell(_value(piece, scope, where), needed, where)
        for piece in pieces
    )
    return script, _env(needed)


def render_options(options: O, scope: Scope, *, where: str = "") -> tuple[O, Env]:
    """The options rendered and validated again by their own model, and the environment that the
    secrets in their shell texts need. Raises CannotRender."""
    data = options.model_dump(exclude_unset=True)
    env: dict[str, str] = {}
    for name, value in data.items():
        if name in options.shell_fields and isinstance(value, str):
            data[name], pairs = render_shell(value, scope, where=where)
            env.update(pairs)
        else:
            data[name] = render_value(value, scope, where=where)
    again = validated(type(options), data)
    if isinstance(again, tuple):
        wrong = "; ".join(f"{'.'.join(map(str, path))} {message}" for path, message in again)
        raise CannotRender(wrong, where=where)
    return again, tuple(sorted(env.items()))


def render_step(step: Step, scope: Scope, *, shell: bool = True) -> Step:
    """A step ready to act: its options, directory, environment, undo and check are rendered, and
    its environment holds the secrets that its shell texts need. `shell` says whether the texts of
    its undo and check are shell. Raises CannotRender."""
    where = f"step {step.name!r}"
    options, env = render_options(step.options, scope, where=where)
    changes: dict[str, Any] = {"options": options, "cwd": render(step.cwd, scope, where=where)}
    for name in ("undo", "check"):
        text = getattr(step, name)
        if text is not None and shell:
            changes[name], pairs = render_shell(text, scope, where=where)
            env += pairs
        elif text is not None:
            changes[name] = render(text, scope, where=where)
    own = {key: render(value, scope, where=where) for key, value in step.env.items()}
    return step.model_copy(update={**changes, "env": {**own, **dict(env)}})


def render_service(service: Service, scope: Scope, *, where: str = "") -> Service:
    """A service ready for its backend, whose secrets stay references. Raises CannotRender."""
    options, _env = render_options(service.options, scope, where=where)
    data = render_value(service.model_dump(exclude={"options"}), scope, where=where)
    again = validated(Service, {**data, "options": options})
    if isinstance(again, tuple):
        wrong = "; ".join(f"{'.'.join(map(str, path))} {message}" for path, message in again)
        raise CannotRender(f"service: {wrong}", where=where)
    return again


def render_check(check: Check, scope: Scope) -> tuple[Check, Env]:
    """A check ready to look, and the environment that the secrets in its shell texts need. Its
    cleanup is rendered later, when what it saved is known. Raises CannotRender."""
    options, env = render_options(check.options, scope, where=f"check {check.name!r}")
    return check.model_copy(update={"options": options}), env


def render_document(text: str, scope: Scope, *, where: str = "") -> str:
    """A template file, with all of Jinja. Secrets stay references. Raises CannotRender."""
    try:
        return _jinja(blocks=True).from_string(text).render(scope)
    except TemplateSyntaxError as error:
        place = f"{where}:{error.lineno}" if where else f"line {error.lineno}"
        raise CannotRender(str(error.message), where=place) from None
    except _FAILURES as error:
        raise CannotRender(str(error), where=where) from None


def references(text: str) -> frozenset[str]:
    """The names of the secrets that a rendered text refers to."""
    return frozenset(_REFERENCE.findall(text))


# --- the scope ---------------------------------------------------------------------------


def without_references(value: Any) -> Any:
    """Data from outside, in which nothing can pass for a secret's reference."""
    if isinstance(value, str):
        return value.replace(OPEN, "\ufffd").replace(CLOSE, "\ufffd")
    if isinstance(value, Mapping):
        return {without_references(k): without_references(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_references(inner) for inner in value]
    return value


def resolve_vars(variables: Mapping[str, Any], scope: Scope, *, where: str = "") -> dict[str, Any]:
    """The variables rendered; each may use the others, in any order but not in a circle.
    Raises CannotRender."""
    done: dict[str, Any] = {}
    opened: list[str] = []

    def settle(name: str) -> None:
        if name in done:
            return
        if name in opened:
            circle = " -> ".join([*opened[opened.index(name) :], name])
            raise CannotRender(f"vars refer to each other in a circle: {circle}", where=where)
        opened.append(name)
        for other in uses(variables[name], "vars"):
            if other in variables:
                settle(other)
        done[name] = render_value(variables[name], {**scope, "vars": done}, where=where)
        opened.pop()

    for name in variables:
        settle(name)
    return {name: done[name] for name in variables}


def uses(value: Any, root: str) -> Iterator[str]:
    """The attributes of `root` that the templates within JSON-like data use."""
    for text in _strings(value):
        for piece in _pieces(text, ""):
            if isinstance(piece, Expression):
                for node, path in _chains(_tree(piece)):
                    if node.name == root and path:
                        yield path[0]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(inner)


# --- what can be known before anything runs ------------------------------------------------


def mistakes(text: str, known: Known, *, in_shell: bool = False) -> tuple[tuple[int, str], ...]:
    """What is wrong with a template, as (line within the text, message): its syntax, names that
    nobody defines, and in a shell text a value that stands where quoting cannot save it."""
    try:
        pieces = _pieces(text, "")
        found = [(1, _NO_BLOCKS)] if _BLOCK.search(text) else []
        for piece in pieces:
            if isinstance(piece, Expression):
                found += [(piece.line, message) for message in _names(piece, known)]
        return tuple([*found, *_unquotable(pieces)] if in_shell else found)
    except _BadTemplate as error:
        return ((error.line, str(error)),)


_BLOCK = re.compile(r"\{%-?\s*(?:if|for|raw|set|macro|include|import|block|endif|endfor|endraw)\b")
_NO_BLOCKS = "only {{ expressions }} are templates here; {% blocks %} belong into template files"


class _BadTemplate(CannotRender):
    def __init__(self, what: str, line: int, where: str = "") -> None:
        super().__init__(what, where=where)
        self.line = line


def _names(piece: Expression, known: Known) -> Iterator[str]:
    tree = _tree(piece)
    lenient = {id(chain) for chain in _defaulted(tree)}
    for node, path in _chains(tree):
        if node.name not in known:
            yield f"{node.name!r} is not defined here{did_you_mean(node.name, known)}"
            continue
        attributes = known[node.name]
        judged = path and attributes is not None and id(node) not in lenient
        if judged and path[0] not in (attributes or ()):
            near = did_you_mean(path[0], attributes or ()).replace("'", f"'{node.name}.", 1)
            yield f"'{node.name}.{path[0]}' is not defined{near}"
        if node.name == "secrets" and len(path) != 1:
            yield "name one secret: secrets.NAME"
    yield from _misused_secrets(tree)


def _chains(tree: nodes.Node) -> Iterator[tuple[nodes.Name, tuple[str, ...]]]:
    """Every name with the constant attributes that follow it: `vars.a["b"]` is vars, (a, b)."""
    parents = {id(child): node for node in _all(tree) for child in node.iter_child_nodes()}
    for name in tree.find_all(nodes.Name):
        path: list[str] = []
        node: nodes.Node = name
        while (parent := parents.get(id(node))) is not None:
            step = _attribute(parent, node)
            if step is None:
                break
            path.append(step)
            node = parent
        yield name, tuple(path)


def _roots(tree: nodes.Node) -> set[str]:
    return {name.name for name in tree.find_all(nodes.Name)}


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    for child in tree.iter_child_nodes():
        yield from _all(child)


def _attribute(parent: nodes.Node, node: nodes.Node) -> str | None:
    if isinstance(parent, nodes.Getattr):
        return parent.attr
    if isinstance(parent, nodes.Getitem) and parent.node is node:
        constant = parent.arg.value if isinstance(parent.arg, nodes.Const) else None
        return constant if isinstance(constant, str) else None
    return None


def _defaulted(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Names that may be missing: `vars.x | default(1)`, `vars.x is defined`."""
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        if node.name in ("default", "d", "defined", "undefined") and node.node is not None:
            yield from node.node.find_all(nodes.Name)
            if isinstance(node.node, nodes.Name):
                yield node.node


_HARMLESS = {"raw", "default", "d"}


def _misused_secrets(tree: nodes.Node) -> Iterator[str]:
    """A secret's value is not there yet: it can be placed, not looked at."""
    for node in tree.find_all((nodes.Filter, nodes.Test, nodes.Compare, nodes.Call, nodes.Mod)):
        if isinstance(node, nodes.Filter) and node.name in _HARMLESS:
            continue
        if "secrets" in _roots(node):
            yield "a secret is fetched later: it can be placed or joined with ~, nothing else"


# --- shell texts -------------------------------------------------------------------------

_UNSAFE = {
    "single": "it is quoted already: remove the quotes around {{ … }}, or write | raw",
    "double": "it is quoted already: remove the quotes around {{ … }}, or write | raw",
    "escape": "a backslash before {{ … }} would undo its quoting; remove it, or write | raw",
    "comment": "{{ … }} in a shell comment cannot be quoted; remove it, or write | raw",
    "document": "{{ … }} in a here-document cannot be quoted; pass it by env:, or write | raw",
    "backtick": "{{ … }} in `…` cannot be quoted; write $(…), or | raw",
    "arithmetic": "{{ … }} in $(( )) cannot be quoted; pass it by env:, or write | raw",
}
_LOST = "in single quotes the shell does not see a secret; use double quotes around {{ … | raw }}"


def _unquotable(pieces: Collection[Piece]) -> Iterator[tuple[int, str]]:
    text = "".join(piece.replace(HOLE, "") if isinstance(piece, str) else HOLE for piece in pieces)
    expressions = [piece for piece in pieces if isinstance(piece, Expression)]
    for piece, place in zip(expressions, places(text), strict=True):
        tree = _tree(piece)
        last = tree.nodes[0]
        if not isinstance(last, nodes.Filter) or last.name != "raw":
            if place in _UNSAFE:
                yield piece.line, _UNSAFE[place]
        elif place == "single" and "secrets" in _roots(tree):
            yield piece.line, _LOST


def _shell(value: Any, needed: set[str], where: str) -> str:
    if isinstance(value, Raw):
        needed |= references(value)
        return _REFERENCE.sub(rf"${{{SECRET_ENV}\1}}", value)
    if isinstance(value, list):
        return " ".join(_word(_text(item, where), needed, where) for item in value)
    return _word(_text(value, where), needed, where)


def _word(text: str, needed: set[str], where: str) -> str:
    if "\0" in text:
        raise CannotRender("a shell word cannot hold a NUL character", where=where)
    needed |= references(text)
    parts = _REFERENCE.split(text)
    literals, names = parts[::2], parts[1::2]
    quoted = [shlex.quote(part) if part else "" for part in literals]
    secrets = [f'"${SECRET_ENV}{name}"' for name in names]
    word = quoted[0] + "".join(s + q for s, q in zip(secrets, quoted[1:], strict=True))
    return word or "''"


def _env(names: Collection[str]) -> Env:
    return tuple((f"{SECRET_ENV}{name}", str(SecretRef(name))) for name in sorted(names))


# --- Jinja -------------------------------------------------------------------------------

_FAILURES = (
    TemplateError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    MemoryError,
)


class _Environment(ImmutableSandboxedEnvironment):
    """Mappings are data: `vars.items` is the variable of that name, never a method."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


@lru_cache(maxsize=2)
def _jinja(*, blocks: bool = False) -> _Environment:
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
    env.filters["tojson"] = json.dumps
    return env


def _finalized(value: Any) -> Any:
    return value if isinstance(value, Undefined) else _text(_data(value), "")


def _raw(value: Any) -> Any:
    if isinstance(value, Undefined):
        return value
    return Raw(" ".join(map(as_text, value)) if isinstance(value, list | tuple) else as_text(value))


@lru_cache(maxsize=4096)
def _pieces(text: str, where: str) -> tuple[Piece, ...]:
    if "{{" not in text:
        return (text,)
    pieces: list[Piece] = []
    inside: list[str] | None = None
    line = 1
    try:
        for number, kind, value in _jinja().lex(text):
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
        raise _BadTemplate(f"{error.message}; {_LITERAL}", error.lineno, where) from None
    if inside is not None:
        raise _BadTemplate(f"{{{{ is never closed; {_LITERAL}", line, where)
    return tuple(pieces)


_LITERAL = 'for braces as they are, write {{ "{{…}}" }}'


def _checked(piece: Expression, where: str) -> Expression:
    try:
        _tree(piece)
        _compiled(piece.source)
    except TemplateSyntaxError as error:
        what = f"{{{{ {piece.source} }}}} is no expression: {error.message}; {_LITERAL}"
        raise _BadTemplate(what, piece.line, where) from None
    except (RecursionError, MemoryError, SyntaxError, ValueError):
        raise _BadTemplate("{{ … }} is nested too deeply", piece.line, where) from None
    return piece


def _tree(piece: Expression) -> nodes.Output:
    template = _jinja().parse(f"{{{{ {piece.source} }}}}")
    output = template.body[0] if template.body else None
    if not isinstance(output, nodes.Output) or len(output.nodes) != 1:
        raise TemplateSyntaxError("it must be one expression", piece.line)
    return output


@lru_cache(maxsize=4096)
def _compiled(source: str) -> TemplateExpression:
    return _jinja().compile_expression(source, undefined_to_none=False)


def _value(piece: Expression, scope: Scope, where: str) -> Any:
    try:
        return _data(_compiled(piece.source)(scope))
    except _FAILURES as error:
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


def _text(value: Any, where: str) -> str:
    if value is None:
        raise CannotRender("a template's value is null", where=where)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=float)
    return f"{value:f}" if isinstance(value, Decimal) else as_text(value)
