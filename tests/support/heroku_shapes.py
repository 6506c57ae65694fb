"""What Heroku's Platform API answers, in our words: every name that an answer has, and what is
under it. An answer has all of these names and no other."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import heroku_schema

Shape = Callable[[Any], str]
"""What is wrong with a value, or nothing."""
Body = Mapping[str, Any]
"""By name: a shape, another body, or a list that holds one of either."""


def complaints(kind: str, answer: object) -> list[str]:
    """What is wrong with an answer that should be of a kind, or a list of that kind; by these
    shapes, and by the published schema where a copy of it is at hand."""
    answers = answer if isinstance(answer, list) else [answer]
    own = [words for each in answers for words in _against(KINDS[kind], each, kind)]
    return own + heroku_schema.complaints(kind, answer)


def _against(shape: Any, value: Any, where: str) -> Iterator[str]:
    if callable(shape):
        words = shape(value)
        if words:
            yield f"{where}: {words}"
    elif isinstance(shape, list):
        for number, each in enumerate(value if isinstance(value, list) else ()):
            yield from _against(shape[0], each, f"{where}[{number}]")
        if not isinstance(value, list):
            yield f"{where}: {value!r} is no list"
    elif not isinstance(value, dict):
        yield f"{where}: {value!r} is no object"
    else:
        yield from (f"{where}: {name!r} is missing" for name in shape.keys() - value.keys())
        yield from (f"{where}: {name!r} is invented" for name in value.keys() - shape.keys())
        for name in shape.keys() & value.keys():
            yield from _against(shape[name], value[name], f"{where}.{name}")


def _of(kind: type, what: str) -> Shape:
    return lambda value: "" if type(value) is kind else f"{value!r} is no {what}"


def _read_by(read: Callable[[str], object], what: str) -> Shape:
    """A text that `read` can make sense of."""

    def shape(value: Any) -> str:
        try:
            read(value)
        except (ValueError, TypeError, AttributeError):
            return f"{value!r} is no {what}"
        return ""

    return shape


def _one_of(*words: str) -> Shape:
    return lambda value: "" if value in words else f"{value!r} is none of {', '.join(words)}"


def _or_null(shape: Any) -> Shape:
    return lambda value: "" if value is None else "; ".join(_against(shape, value, ""))


text = _of(str, "text")
flag = _of(bool, "boolean")
number = _of(int, "whole number")
identifier = _read_by(uuid.UUID, "UUID")
moment = _read_by(datetime.datetime.fromisoformat, "point in time")
address = _read_by(lambda value: value.index("@"), "e-mail address")

_REFERENCE: Body = {"id": identifier}
_NAMED: Body = {"id": identifier, "name": text}
_PERSON: Body = {"id": identifier, "email": address}

RELEASE: Body = {
    "addon_plan_names": [text],
    "app": _NAMED,
    "artifacts": [{"type": text, "id": identifier}],
    "created_at": moment,
    "current": flag,
    "description": text,
    "eligible_for_rollback": flag,
    "id": identifier,
    "output_stream_url": _or_null(text),
    "slug": _or_null(_REFERENCE),
    "status": _one_of("failed", "pending", "succeeded", "expired"),
    "updated_at": moment,
    "user": _PERSON,
    "version": number,
}
DYNO: Body = {
    "app": _NAMED,
    "attach_url": _or_null(text),
    "command": text,
    "created_at": moment,
    "id": identifier,
    "name": text,
    "release": {"id": identifier, "version": number},
    "size": text,
    "state": text,
    "type": text,
    "updated_at": moment,
}
BUILD: Body = {
    "app": _REFERENCE,
    "buildpacks": [{"url": text, "name": text}],
    "created_at": moment,
    "generation": text,
    "id": identifier,
    "output_stream_url": text,
    "release": _or_null(_REFERENCE),
    "slug": _or_null(_REFERENCE),
    "source_blob": {
        "checksum": _or_null(text),
        "url": text,
        "version": _or_null(text),
        "version_description": _or_null(text),
    },
    "stack": text,
    "status": _one_of("failed", "pending", "succeeded"),
    "updated_at": moment,
    "user": _PERSON,
}
APP: Body = {
    "acm": flag,
    "archived_at": _or_null(moment),
    "build_stack": _NAMED,
    "buildpack_provided_description": _or_null(text),
    "created_at": moment,
    "generation": _NAMED,
    "git_url": text,
    "id": identifier,
    "internal_routing": _or_null(flag),
    "maintenance": flag,
    "name": text,
    "organization": _or_null(_NAMED),
    "owner": _PERSON,
    "region": _NAMED,
    "released_at": _or_null(moment),
    "repo_size": _or_null(number),
    "slug_size": _or_null(number),
    "space": _or_null({**_NAMED, "shield": flag}),
    "stack": _NAMED,
    "team": _or_null(_NAMED),
    "updated_at": moment,
    "web_url": _or_null(text),
}
ACCOUNT: Body = {
    "allow_tracking": flag,
    "beta": flag,
    "country_of_residence": _or_null(text),
    "created_at": moment,
    "default_organization": _or_null(_NAMED),
    "default_team": _or_null(_NAMED),
    "delinquent_at": _or_null(moment),
    "email": address,
    "federated": flag,
    "id": identifier,
    "identity_provider": _or_null(_NAMED),
    "last_login": _or_null(moment),
    "name": _or_null(text),
    "sms_number": _or_null(text),
    "suspended_at": _or_null(moment),
    "two_factor_authentication": flag,
    "updated_at": moment,
    "verified": flag,
}
KINDS: Mapping[str, Body] = {
    "account": ACCOUNT,
    "app": APP,
    "build": BUILD,
    "dyno": DYNO,
    "log-session": {
        "created_at": moment,
        "id": identifier,
        "logplex_url": text,
        "updated_at": moment,
    },
    "rate-limit": {"remaining": number},
    "release": RELEASE,
}
