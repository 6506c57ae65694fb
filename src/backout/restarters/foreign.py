"""JSON that another program wrote: it is never trusted to have a key, nor a value of its kind."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from backout.errors import Refused


class Unreadable(Refused):
    """A program answered what cannot be understood."""


class Foreign(BaseModel):
    """What a program says of one thing: every field has a default, for it may not be said."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _said(cls, data: Any) -> Any:
        """A null says nothing."""
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data


F = TypeVar("F", bound=Foreign)


def parsed(kind: type[F], text: str) -> F:
    """One JSON object. Raises Unreadable."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise Unreadable(_words(kind, error)) from error


def checked(kind: type[F], data: object) -> F:
    """The same, of data that a library has parsed. Raises Unreadable."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise Unreadable(_words(kind, error)) from error


def _words(kind: type[Foreign], error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"what it says is not understood: {kind.__name__.lower()} {where}: {first['msg']}"
