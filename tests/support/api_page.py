"""docs/api.md, made from the docstrings of what `backout.__all__` names.

python -m support.api_page     (in tests/) writes it
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import backout
import backout.api

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def page() -> str:
    """The whole page."""
    head = "# The API\n\n<!-- made from the docstrings -->\n\n"
    intro = inspect.getdoc(backout.api) or ""
    names = [name for name in backout.__all__ if not name.startswith("_")]
    return head + "\n\n".join([_text(intro), *map(_section, names)]) + "\n"


def _section(name: str) -> str:
    value = getattr(backout, name)
    parts = [f"## {name}", _text(inspect.getdoc(value) or "")]
    if isinstance(value, enum.EnumMeta):
        members: list[enum.Enum] = list(value)
        parts.append("\n".join(f"- `{each.name}` = `{each.value!r}`" for each in members))
    else:
        parts += _methods(value)
    return "\n\n".join(part for part in parts if part)


def _methods(kind: type) -> Iterator[str]:
    for name, value in vars(kind).items():
        if name.startswith("_") or name == "from_data":
            continue
        function = value.fget if isinstance(value, property) else value
        if inspect.isfunction(function) and (text := inspect.getdoc(function)):
            words = name if isinstance(value, property) else f"{name}{_words(function)}"
            yield f"### `{words}`\n\n{_text(text)}"


def _words(function: object) -> str:
    signature = inspect.signature(function)  # type: ignore[arg-type] # a function, by its caller
    kept = [each for each in signature.parameters.values() if each.name != "self"]
    return str(signature.replace(parameters=kept)).replace("'", "")


def _text(doc: str) -> str:
    """A docstring as Markdown: its examples are Python."""
    blocks = []
    for block in doc.split("\n\n"):
        lines = inspect.cleandoc(block)
        blocks.append(f"```python\n{lines}\n```" if lines.startswith(">>>") else block)
    return re.sub(r" *# doctest: \+SKIP", "", "\n\n".join(blocks))


if __name__ == "__main__":
    PAGE.write_text(page())
