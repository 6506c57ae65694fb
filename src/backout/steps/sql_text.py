r"""The texts of a `sql` step: what the server is given is what stands there, all of it.

Whatever the server could not take as it stands is refused before the first change: a way back that
only psql understands is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from backout.errors import Refused
from backout.model.files import refuse_endless

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


_TAKES_BACK = re.compile(r"(?:ROLLBACK|ABORT)(?!(?: WORK| TRANSACTION)? TO\b)(?! PREPARED)")
_ALONE = re.compile(
    r"VACUUM|(?:CREATE|DROP) (?:DATABASE|TABLESPACE|SUBSCRIPTION)|ALTER SYSTEM|DISCARD ALL"
    r"|(?:CREATE|CREATE UNIQUE|DROP) INDEX CONCURRENTLY|REINDEX (?:.* )?CONCURRENTLY"
    r"|REINDEX (?:DATABASE|SYSTEM)|ALTER TABLE .* DETACH PARTITION .*CONCURRENTLY"
    r"|(?:COMMIT|ROLLBACK) PREPARED|PREPARE TRANSACTION"
)
"""What the server takes in no transaction, or what ends one without making it."""


def included(text: str) -> str:
    r"""The file of a text that is `\i FILE`, as in psql; empty for any other."""
    return text.removeprefix(INCLUDE).strip() if text.startswith(INCLUDE) else ""


def of_file(name: str, *, reads: bool = False) -> str:
    """What a file says, without the mark that some editors put before UTF-8; `reads` as for
    `checked`. Raises Refused."""
    try:
        refuse_endless(Path(name))
        text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{name} cannot be read: {error}") from error
    if not text.strip():
        raise Refused(f"{name} is empty: there is nothing in it to run")
    return checked(text, name, reads=reads)


def checked(text: str, what: str, *, reads: bool = False) -> str:
    """The same text. Raises Refused when the server would read only a part of it, or none, or
    when it cannot be one transaction that stays; one that only `reads` need not stay."""
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
    for line, statement in _statements(text):
        if _ALONE.match(statement):
            raise Refused(
                f"{what}, line {line}: {_short(statement)} cannot be part of a transaction, and a"
                " sql step is one",
                next="write it as `run: psql … -c …`, with an undo of its own",
            )
        if _TAKES_BACK.match(statement) and not reads:
            raise Refused(
                f"{what}, line {line}: its own {_short(statement)} takes back what the step does",
                next="leave it out: the step commits, or all of it is taken back",
            )
    return text


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The line and the bare words of each statement, in capitals."""
    line, words = 0, list[str]()
    for each in _LEXEME.finditer(f"{text};"):
        if each[0] == ";":
            yield line, " ".join(words)
            words = []
        elif each[0].isidentifier():
            line = line if words else _line(text, each.start())
            words.append(each[0].upper())


def _short(statement: str) -> str:
    return " ".join(statement.split()[:3])


def _psql(text: str) -> re.Match[str] | None:
    if not _BEGINS.search(text):
        return None
    return next((each for each in _LEXEME.finditer(text) if each["psql"]), None)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
