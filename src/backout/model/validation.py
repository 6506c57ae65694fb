"""Data -> a noun, or what is wrong with it in words for the person who wrote it.

What is unmistakable is taken as meant: a bare number where text is wanted is that text, and one
word where a list is wanted is a list of one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from backout.model import NO_TEMPLATE

LEFT_OUT = "must be ''"
"""What is said of the arm of a union that stands for nothing at all."""
M = TypeVar("M", bound=BaseModel)
Path = tuple[str | int, ...]
Wrong = tuple[tuple[Path, str], ...]
Written = Callable[[Path, Any], str]

_WORDS = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping (name: value)",
    "mapping_type": "must be a mapping (name: value)",
    "model_type": "must be a mapping (name: value)",
    "model_attributes_type": "must be a mapping (name: value)",
    "missing": "is missing",
    "too_short": "names nothing",
    "string_too_short": "names nothing",
}


def validated(model: type[M], data: Any, written: Written | None = None) -> M | Wrong:
    """`data` as a `model`, or what is wrong: (path, message) pairs.

    `written` gives the text of a scalar as its author wrote it (`1.10`, not `1.1`).
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        data = _repaired(data, error, written or (lambda _path, value: as_text(value)))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        return tuple(_wrong(model, data, error))


def as_text(value: Any) -> str:
    """A scalar as text; booleans as YAML writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


FOREIGN = {
    "shell": "write run: …",
    "command": "write run: …",
    "script": "write run: …",
    "copy": "write upload: {from: …, to: …}",
    "service": "write restart: {}",
    "git": "write update: {}",
    "defaults": "write vars: …; an anchor may stand there",
    "true": "an on: that another program has written so; write on: …",
    "become": "name the user in ssh.user, or write sudo in the command",
    "become_user": "name the user in ssh.user, or write sudo in the command",
    "register": "write save: {name: expression}",
    "changed_when": "write check: …",
    "delegate_to": "write on: …; without it a step runs on this machine",
    "hosts": "each step says on: …; the hosts stand in an inventory",
    "tasks": "write steps: …",
    "handlers": "write settle: …",
    "notify": "a restart stands in settle: …; messages are the inventory's notify: …",
    **dict.fromkeys(("args", "chdir", "working-directory", "working_dir"), "write cwd: …"),
    **dict.fromkeys(("creates", "unless", "only_if"), "write check: …, 0 when it is done already"),
    **dict.fromkeys(("until", "retries", "delay"), "write retry: {for: 30s, every: 2s}"),
    **dict.fromkeys(("with_items", "loop"), "write a step for each"),
    **dict.fromkeys(
        ("ignore_errors", "failed_when", "continue-on-error"),
        "a step that fails is taken back: let the command itself end with 0",
    ),
    **dict.fromkeys(("rescue", "rollback", "revert"), "write undo: … for each step"),
    "always": "write finally: …",
    "block": "write its steps one by one",
    "run_once": "a step without on: runs once, on this machine",
    "if": "write when: …",
    "environment": "write env: …",
    "uri": "a check of the inventory asks by http: …; the step is verify: all",
    **dict.fromkeys(("systemd", "supervisorctl", "restarted"), "write restart: {}"),
    "serial": "batches stand in the inventory: rollout: {batches: [1, 100%]}",
    "remote_user": "write user: … at the host, or ssh: {user: …}",
    **{f"ansible_{word}": f"write {word}: …" for word in ("user", "port", "connection")},
    **dict.fromkeys(("ansible_host", "hostname", "ip"), "write address: …"),
}
"""Words of other tools, and what is written here instead."""


def instead_of(key: str, words: Iterable[str]) -> str:
    """What to write instead of an unknown key: what another tool's word is here, or a near one."""
    if ":" in key:
        return "; is a space missing behind its colon?"
    if key.startswith(("x-", ".")):
        key = "defaults"  # Compose's, and GitLab's, for what is only there to be referred to
    return f"; {FOREIGN[key]}" if key in FOREIGN else did_you_mean(key, words)


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing when no word is near."""
    near = difflib.get_close_matches(word, sorted(words), n=1, cutoff=0.65)
    return f"; did you mean {near[0]!r}?" if near else ""


def _repaired(data: Any, error: ValidationError, written: Written) -> Any:
    for detail in error.errors(include_url=False, include_context=False):
        path = _within(data, detail["loc"])
        value = _at(data, path)
        if not path or isinstance(value, dict | list | tuple | BaseModel) or value is None:
            continue
        if detail["type"] == "string_type":
            data = _put(data, path, written(path, value))
        elif detail["type"] in ("tuple_type", "list_type"):
            data = _put(data, path, [value if isinstance(value, str) else written(path, value)])
    return data


def _within(data: Any, loc: Sequence[str | int]) -> Path:
    """The part of pydantic's `loc` that names a place in the data; it also names union arms."""
    path: list[str | int] = []
    for step in loc:
        if _holds(data, step):
            data = data[step]
            path.append(step)
    return tuple(path)


def _holds(data: Any, step: str | int) -> bool:
    if isinstance(data, list | tuple):
        return isinstance(step, int) and step < len(data)
    return isinstance(data, dict) and step in data


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _put(data: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    changed: Any = list(data) if isinstance(data, tuple) else copy(data)
    changed[path[0]] = _put(data[path[0]], path[1:], value)
    return changed


def _wrong(model: type[BaseModel], data: Any, error: ValidationError) -> Iterator[tuple[Path, str]]:
    messages: dict[Path, list[str]] = {}
    for detail in error.errors(include_url=False):
        path = _within(data, detail["loc"])
        if detail["type"] == "missing":
            path = (*path, detail["loc"][-1])
        message = _message(model, detail)
        said = messages.setdefault(path, [])
        if message not in said:
            said.append(message)
    for path, said in messages.items():
        own = [message for message in said if message not in (NO_TEMPLATE, LEFT_OUT)]
        yield path, " or ".join(own or said)


def _message(model: type[BaseModel], detail: Any) -> str:
    kind: str = detail["type"]
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        return f"unknown key {key!r}{instead_of(key, _fields(model, detail['loc'][:-1]))}"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "literal_error":
        given = detail["input"]
        allowed = str(detail["ctx"]["expected"])
        hint = did_you_mean(given, allowed.replace("'", " ").split()) if _word(given) else ""
        return f"must be {allowed}{hint}"
    if kind == "string_pattern_mismatch":
        return "must begin with a letter or a digit and hold only letters, digits, '.', '_', '-'"
    return _WORDS.get(kind) or str(detail["msg"]).replace("Input should be", "must be")


def _word(value: Any) -> bool:
    return isinstance(value, str)


def _fields(model: type[BaseModel], loc: Sequence[str | int]) -> Iterator[str]:
    """The keys that the model at `loc` knows."""
    for step in loc:
        field = next((f for name, f in model.model_fields.items() if step in (name, f.alias)), None)
        inner = _model_in(field.annotation) if field else None
        if inner is not None:
            model = inner
    for name, field in model.model_fields.items():
        yield field.alias or name


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None
