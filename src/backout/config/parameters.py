"""A runbook's parameters, from the words of a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from backout.config.reader import sound
from backout.errors import Mistake
from backout.model import (
    Param,
    Runbook,
)
from backout.model.operands import unsayable
from backout.model.validation import as_text, did_you_mean


def load_params(runbook: Runbook, words: Sequence[str]) -> dict[str, Any]:
    """The runbook's parameters from `k=v` words and their defaults. Lists are given as
    `k=a,b`, as `k=["a","b"]` or word by word. Raises Mistakes."""
    mistakes: list[Mistake] = []
    given: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            mistakes.append(Mistake("--param", 0, word, "write NAME=VALUE"))
        elif name not in runbook.params:
            hint = did_you_mean(name, runbook.params)
            mistakes.append(
                Mistake("--param", 0, name, f"the runbook {runbook.name} has no such param{hint}")
            )
        else:
            given.setdefault(name, []).append(value)
    params = {}
    for name, param in runbook.params.items():
        try:
            params[name] = _param(param, given.get(name))
        except ValueError as error:
            mistakes.append(Mistake("--param", 0, name, str(error)))
    return sound(params, mistakes)


_EMPTY: Mapping[str, Any] = {"str": "", "int": None, "bool": False, "list": []}
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def _param(param: Param, given: Sequence[str] | None) -> Any:
    if given is None:
        empty = _EMPTY[param.type]
        if param.required or (param.default is None and param.wrong(empty)):
            raise ValueError(f"must be given{f': {param.help}' if param.help else ''}")
        return empty if param.default is None else param.default
    value = _given(param.type, given)
    said = map(unsayable, value if isinstance(value, list) else [str(value)])
    if odd := next(filter(None, said), ""):
        raise ValueError(odd)
    if words := param.wrong(value):
        raise ValueError(words)
    return value


def _given(kind: str, given: Sequence[str]) -> Any:
    if kind == "list":
        return [item for value in given for item in _listed(value)]
    if len(given) > 1:
        raise ValueError("is given twice")
    return _typed(kind, given[0])


def _typed(kind: str, value: str) -> Any:
    if kind == "int":
        if not re.fullmatch(r"[-+]?[0-9]{1,18}", value):
            raise ValueError(f"must be a whole number, not {value!r}")
        return int(value)
    if kind == "bool":
        if value.lower() not in _YES | _NO:
            raise ValueError(f"must be true or false, not {value!r}")
        return value.lower() in _YES
    return value


def _listed(value: str) -> list[str]:
    if not value.startswith("["):
        return [item for item in value.split(",") if item]
    try:
        items = json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError(f"is no JSON list: {value[:80]!r}") from None
    for item in items:
        if not isinstance(item, str | int | float):
            raise ValueError(f"is a list of words, and {json.dumps(item)[:80]} is none")
    return [as_text(item) for item in items]
