"""Where in a shell text a value may stand, so that quoting it makes it one harmless word.

Not a shell parser: it follows quotes, substitutions, comments and here-documents, and nothing
else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

HOLE = "\0"
"""Stands for a value in the text that `places` reads; no shell text can hold one."""

_WORD = (
    r"""\\.|'|"|\$\(\(|\$\(|`|(?<![^\s;&|()])\#|<<<|\n|\0"""
    r"""|<<-?[ \t]*['"\\]?(?P<end>[\w.-]+)['"]?"""
)
_TOKENS = {
    mode: re.compile(pattern, re.DOTALL)
    for mode, pattern in {
        "word": _WORD,
        "substitution": rf"[()]|{_WORD}",
        "backtick": _WORD,
        "double": r"""\\.|"|\$\(\(|\$\(|`|\0""",
        "single": r"'|\0",
        "arithmetic": r"[()]|\0",
    }.items()
}
_OPENS = {
    "'": ["single"],
    '"': ["double"],
    "`": ["backtick"],
    "$(": ["substitution"],
    "$((": ["arithmetic", "arithmetic"],
}
_CLOSES = {
    "single": "'",
    "double": '"',
    "backtick": "`",
    "substitution": ")",
    "arithmetic": ")",
}
_UNSAFE = {"single", "double", "backtick", "arithmetic"}


def places(text: str) -> Iterator[str]:
    """For each hole: `word`, or what it stands in where quoting cannot save it: `single`,
    `double`, `backtick`, `arithmetic`, `comment`, `document` (a here-document) or `escape`."""
    modes, documents, position = ["word"], list[str](), 0
    while (match := _TOKENS[modes[-1]].search(text, position)) is not None:
        token, mode, position = match.group(), modes[-1], match.end()
        if token == HOLE:
            yield mode if mode in _UNSAFE else "word"
        elif token == _CLOSES.get(mode):
            modes.pop()
        elif token == "(":  # noqa: S105 - a shell token
            modes.append(mode)
        elif token in _OPENS:
            modes += _OPENS[token]
        elif token == f"\\{HOLE}":
            yield "escape"
        elif token == "#":  # noqa: S105 - a shell token
            end = _end(text, position, r"$")
            yield from ["comment"] * text.count(HOLE, position, end)
            position = end
        elif token.startswith("<<") and match["end"]:
            documents.append(match["end"])
        elif token == "\n":  # noqa: S105 - a shell token
            while documents:
                end = _end(text, position, rf"^\t*{re.escape(documents.pop(0))}$")
                yield from ["document"] * text.count(HOLE, position, end)
                position = end


def _end(text: str, start: int, pattern: str) -> int:
    match = re.compile(pattern, re.MULTILINE).search(text, start)
    return match.end() if match else len(text)
