"""Objects that verbs answer: told as JSON, and read back from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

Data = Mapping[str, Any]


def sometimes(default: Any = None, *, key: str = "") -> Any:
    """A field that stands in the JSON only when it says something else than its default."""
    return field(default=default, metadata={"sometimes": True, "key": key})


def named(key: str, **how: Any) -> Any:
    """A field whose name in the JSON is no name in Python, or another one."""
    return field(metadata={"key": key}, **how)


class Told:
    """An object that can be told as JSON: its fields by name, and those of what it holds."""

    __slots__ = ()

    def to_data(self) -> dict[str, Any]:
        """As `--json` prints it."""
        kind: Any = type(self)
        return {
            key_of(each): plain(value)
            for each in _fields(kind)
            for value in (getattr(self, each.name),)
            if not (is_left_out(each) and value == each.default)
        }

    @classmethod
    def read(cls, data: Data) -> Self:
        """From what `to_data` told, or an older Backout: what it did not say yet has its default.
        Raises TypeError when something is missing that was always said."""
        kind: Any = cls
        return cls(**{
            each.name: convert(data[key_of(each)])
            for each, convert in _readers(kind)
            if key_of(each) in data
        })  # fmt: skip


def key_of(each: Field[Any]) -> str:
    """A field's name in the JSON."""
    return str(each.metadata.get("key") or each.name)


def is_left_out(each: Field[Any]) -> bool:
    """Whether a field may be missing in the JSON."""
    return bool(each.metadata.get("sometimes"))


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Told):
        return value.to_data()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in _fields(type(value))}
    return value


@cache
def _fields(kind: Any) -> tuple[Field[Any], ...]:
    return fields(kind)


@cache
def _readers(kind: Any) -> tuple[tuple[Field[Any], Callable[[Any], Any]], ...]:
    hints = get_type_hints(kind)
    return tuple((each, _reader(hints[each.name])) for each in _fields(kind))


def _reader(hint: Any) -> Callable[[Any], Any]:
    """What turns a value of the JSON into one of this type; what does not fit stays as it is."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return _reader_of_one([_reader(each) for each in inner if each is not NoneType])
    if kind is tuple:
        one = _reader(inner[0])
        return lambda value: tuple(map(one, value)) if isinstance(value, tuple | list) else value
    if isinstance(kind, type) and issubclass(kind, Mapping):
        one = _reader(inner[1])
        return lambda value: (
            {k: one(v) for k, v in value.items()} if isinstance(value, Mapping) else value
        )
    if isinstance(hint, type) and issubclass(hint, Told):
        return lambda value: hint.read(value) if isinstance(value, Mapping) else value
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda value: hint(**value) if isinstance(value, Mapping) else value
    if isinstance(hint, type) and issubclass(hint, Enum):
        known: dict[Any, Any] = {each.value: each for each in hint}
        return lambda value: known.get(value, value) if value is not None else None
    return lambda value: value


def _reader_of_one(readers: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        return next((made for each in readers if (made := each(value)) is not value), value)

    return read
