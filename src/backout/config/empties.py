"""Keys behind which nothing is written.

A section of which nothing is written (`vars:`, everything below it commented out) is as if it were
not there. A value is not: `on:` without a word would have the step run on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from backout.config.yaml_tree import Node, Trail

NOTHING = 'nothing stands here: write its value ("" for an empty text), or leave the line out'


def with_sections(model: type[BaseModel], node: Node) -> Node:
    """A mapping without its sections of which nothing is written; an empty one if it is one."""
    if node.unwritten:
        return replace(node, value={})
    fields = _fields(model)
    return node.without(*(k for k, v in node.items() if v.unwritten and _is_section(fields.get(k))))


def unwritten(model: type[BaseModel], node: Node) -> Iterator[Trail]:
    """The keys of a mapping that want a value and have none."""
    fields = _fields(model)
    yield from ((k,) for k, v in node.items() if v.unwritten and fields.get(k, Any) is not Any)


def _fields(model: type[BaseModel]) -> Mapping[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _is_section(annotation: Any) -> bool:
    """Whether it holds names with values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel | Mapping):
        return True
    if isinstance(origin := get_origin(annotation), type) and issubclass(origin, Mapping):
        return True
    listed = isinstance(origin, type) and issubclass(origin, tuple | list)
    return not listed and any(map(_is_section, get_args(annotation)))
