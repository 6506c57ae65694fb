"""`{{ … }}` -> text, quoted where it lands in a shell; secrets by reference.

Only `{{ expressions }}` of Jinja are templates here: `{% … %}` and `{# … #}` are ordinary text in a
runbook, so that `${#name}` stays what it is in a shell. Template *files* may use all of Jinja
(`render_document`).

A secret is never a value here. `secrets.token` yields a reference, the secret's name between two
private-use characters, which `Vault.reveal` replaces at the very end. In a shell text it becomes
`"$BACKOUT_SECRET_token"`, and the environment carries the reference.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from jinja2 import TemplateSyntaxError

from backout.language.jinja import (
    CLOSE,
    FAILURES,
    OPEN,
    REFERENCE,
    SECRET_ENV,
    CannotRender,
    Env,
    Expression,
    O,
    Raw,
    Scope,
    SecretRef,
    jinja,
    pieces_of,
    text_of,
    tree_of,
    value_of,
)
from backout.language.template_names import chains, unquotable
from backout.model import Balancer, Check, Service, Step
from backout.model.validation import validated

B = TypeVar("B", Balancer, Service)

# --- rendering ---------------------------------------------------------------------------


def render(text: str, scope: Scope, *, where: str = "") -> str:
    """`text` with every `{{ … }}` replaced. Raises CannotRender."""
    return "".join(
        piece
        if isinstance(piece, str)
        else text_of(value_of(piece, scope, where), where, piece.source)
        for piece in pieces_of(text, where)
    )


def render_value(value: Any, scope: Scope, *, where: str = "") -> Any:
    """Render every string in JSON-like data. A string that is exactly one `{{ … }}` becomes that
    expression's own value: a number, a list, a mapping. Raises CannotRender."""
    if isinstance(value, str):
        pieces = pieces_of(value, where)
        if len(pieces) == 1 and isinstance(pieces[0], Expression):
            return value_of(pieces[0], scope, where)
        return render(value, scope, where=where)
    if isinstance(value, Mapping):
        return {key: render_value(inner, scope, where=where) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [render_value(inner, scope, where=where) for inner in value]
    return value


def render_shell(text: str, scope: Scope, *, where: str = "") -> tuple[str, Env]:
    """`text` as a script in which every rendered value is one quoted word, a list one word for
    each of its items; and the environment that its secrets need. Raises CannotRender."""
    pieces = pieces_of(text, where)
    for _line, message in unquotable(pieces):
        raise CannotRender(message, where=where)
    needed: set[str] = set()
    script = "".join(
        piece if isinstance(piece, str) else _shell(piece, scope, needed, where) for piece in pieces
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
        elif name in options.shell_fields and isinstance(value, Mapping):
            texts = {key: render_shell(text, scope, where=where) for key, text in value.items()}
            data[name] = {key: text for key, (text, _) in texts.items()}
            env.update(pair for _, pairs in texts.values() for pair in pairs)
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
    prove, _env = render_shell(service.prove, scope, where=where)
    ready = _render_backed(service.model_copy(update={"prove": ""}), "service", scope, where)
    return ready.model_copy(update={"prove": prove})


def render_balancer(balancer: Balancer, scope: Scope, *, where: str = "") -> Balancer:
    """A balancer ready for its backend, as one host is known there. Raises CannotRender."""
    return _render_backed(balancer, f"balancers.{balancer.name}", scope, where)


def _render_backed(noun: B, what: str, scope: Scope, where: str) -> B:
    options, _env = render_options(noun.options, scope, where=where)
    data = render_value(noun.model_dump(exclude={"options"}), scope, where=where)
    again = validated(type(noun), {**data, "options": options})
    if isinstance(again, tuple):
        wrong = "; ".join(f"{'.'.join(map(str, path))} {message}" for path, message in again)
        raise CannotRender(f"{what}: {wrong}", where=where)
    return again


def render_check(check: Check, scope: Scope) -> tuple[Check, Env]:
    """A check ready to look, and the environment that the secrets in its shell texts need. Its
    cleanup is rendered later, when what it saved is known. Raises CannotRender."""
    options, env = render_options(check.options, scope, where=f"check {check.name!r}")
    return check.model_copy(update={"options": options}), env


def render_document(text: str, scope: Scope, *, where: str = "") -> str:
    """A template file, with all of Jinja. Secrets stay references. Raises CannotRender."""
    try:
        return jinja(blocks=True).from_string(text).render(scope)
    except TemplateSyntaxError as error:
        place = f"{where}:{error.lineno}" if where else f"line {error.lineno}"
        raise CannotRender(str(error.message), where=place) from None
    except FAILURES as error:
        raise CannotRender(str(error), where=where) from None


def references(text: str) -> frozenset[str]:
    """The names of the secrets that a rendered text refers to."""
    return frozenset(REFERENCE.findall(text))


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
        for piece in pieces_of(text, ""):
            if isinstance(piece, Expression):
                yield from (attribute for name, attribute in _used(piece) if name == root)


@lru_cache(maxsize=4096)
def _used(piece: Expression) -> tuple[tuple[str, str], ...]:
    """Each name, with its first attribute."""
    return tuple((node.name, path[0]) for node, path in chains(tree_of(piece)) if path)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(inner)


# --- shell texts -------------------------------------------------------------------------


def _shell(piece: Expression, scope: Scope, needed: set[str], where: str) -> str:
    value = value_of(piece, scope, where)
    if isinstance(value, Raw):
        needed |= references(value)
        return REFERENCE.sub(rf"${{{SECRET_ENV}\1}}", value)
    if isinstance(value, list):
        items = (text_of(item, where, piece.source) for item in value)
        return " ".join(_word(item, needed, where) for item in items)
    return _word(text_of(value, where, piece.source), needed, where)


def _word(text: str, needed: set[str], where: str) -> str:
    if "\0" in text:
        raise CannotRender("a shell word cannot hold a NUL character", where=where)
    needed |= references(text)
    parts = REFERENCE.split(text)
    literals, names = parts[::2], parts[1::2]
    quoted = [shlex.quote(part) if part else "" for part in literals]
    secrets = [f'"${SECRET_ENV}{name}"' for name in names]
    word = quoted[0] + "".join(s + q for s, q in zip(secrets, quoted[1:], strict=True))
    return word or "''"


def _env(names: Collection[str]) -> Env:
    return tuple((f"{SECRET_ENV}{name}", str(SecretRef(name))) for name in sorted(names))
