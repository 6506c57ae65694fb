r"""The texts of a `sql` step: what the server is given is what stands there, all of it.

Whatever the server could not take as it stands is refused before the first change: a way back that
only psql understands is none.
"""

from __future__ import annotations

import re
from pathlib import Path

from backout.errors import Refused

INCLUDE = "\\i "

_BEGINS = re.compile(r"^[ \t]*\\", re.MULTILINE)
_LEXEME = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
    | [eE]'(?:[^'\\]|\\.|'')*' | '[^']*' | "[^"]*"
    | (?:(?<=\n)|\A)[ \t]*(?P<psql>\\\S*) | \w+ | .""",
    re.DOTALL | re.VERBOSE,
)
"""A quoted text, a comment, a command of psql's own at the beginning of a line, or something else:
outside of quotes no SQL has a backslash."""


def included(text: str) -> str:
    r"""The file of a text that is `\i FILE`, as in psql; empty for any other."""
    return text.removeprefix(INCLUDE).strip() if text.startswith(INCLUDE) else ""


def of_file(name: str) -> str:
    """What a file says, without the mark that some editors put before UTF-8. Raises Refused."""
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{name} cannot be read: {error}") from error
    if not text.strip():
        raise Refused(f"{name} is empty: there is nothing in it to run")
    return checked(text, name)


def checked(text: str, what: str) -> str:
    """The same text. Raises Refused when the server would read only a part of it, or none."""
    if "\0" in text:
        line = _line(text, text.index("\0"))
        raise Refused(
            f"{what}, line {line}: a zero byte, at which the server would stop reading",
            next="it is damaged, or in UTF-16: write it as UTF-8",
        )
    if (found := _psql(text)) is not None:
        raise Refused(
            f"{what}, line {_line(text, found.start('psql'))}: {found['psql']} is psql's own, and"
            " the server does not know it",
            next="write it as SQL, or as `run: psql …`",
        )
    return text


def _psql(text: str) -> re.Match[str] | None:
    if not _BEGINS.search(text):
        return None
    return next((each for each in _LEXEME.finditer(text) if each["psql"]), None)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
