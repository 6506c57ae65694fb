"""What a note sets for the commands that follow: each step of a runbook is a shell of its own,
and would not have it.

A value that stands there is put in where it is used. One that a command gives is had by a step
that runs it and saves what it says. Loops over words are read round by round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_BRACKETS = r"\$\([^()]*(?:\([^()]*\)[^()]*)*\)"
_DOUBLE = rf'"(?:[^"\\$]|\\.|{_BRACKETS}|\$)*"'
_VALUE = rf"(?:{_DOUBLE}|'[^']*'|`[^`]*`|{_BRACKETS}|\\.|[^\s;&|<>()'\"`\\])*"
_ONE = re.compile(rf"(?P<name>[A-Za-z_]\w*)=(?P<value>{_VALUE})(?:\s+|$)", re.DOTALL)
_COMMANDS = re.compile(rf"{_BRACKETS}|`[^`]*`")
_DECLARES = re.compile(r"(?:(?:export|readonly|local|declare(?:\s+-\w+)*)\s+)?")
_QUOTED = re.compile(r"""(['"])(?P<inner>[^'"$`\\]*)\1""")
_PLAIN = re.compile(r"[\w./:@%+,=~ -]*")
"""What means the same inside quotes and outside."""
_USED = re.compile(
    r"(?<!\\)(?P<pairs>(?:\\\\)*)\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<name>[A-Za-z_]\w*))"
)
_LITERAL_DOCUMENT = re.compile(
    r"<<-?[ \t]*['\"\\](?P<word>\w+)[^\n]*\n(?P<body>(?:.*\n)*?)[ \t]*(?P=word)(?=\n|$)"
)
_OPENS_LITERAL = re.compile(r"<<-?\s*['\"\\]")
"""One that never closes may be all that follows."""
_LOOP = re.compile(
    r"for\s+(?P<name>[A-Za-z_]\w*)\s+in\s+(?P<words>[^;\n()`$]+?)\s*[;\n]\s*do\b(?P<body>.*)\bdone",
    re.DOTALL,
)
_BRACES = re.compile(
    r"\{(?:(?P<low>\d{1,4})\.\.(?P<high>\d{1,4})|(?P<words>[\w.-]+(?:,[\w.-]+)+))\}"
)
MOST = 100
"""Words of a loop that are read one by one."""


def assignments(text: str) -> Mapping[str, str]:
    """The variables that a statement sets, as written; none where it does anything else."""
    head = _DECLARES.match(text)
    at = head.end() if head else 0
    made: dict[str, str] = {}
    while at < len(text):
        one = _ONE.match(text, at)
        if one is None:
            return {}
        made[one["name"]] = one["value"]
        at = one.end()
    return made


def literal(value: str) -> str | None:
    """What a written value is, where that can be read; None where only a shell can tell."""
    quoted = _QUOTED.fullmatch(value)
    inner = quoted["inner"] if quoted else value
    return inner if _PLAIN.fullmatch(inner) and (quoted or " " not in inner) else None


def commands_in(value: str) -> tuple[str, ...]:
    """The commands whose output a written value is made of, each alone."""
    made = (found.group() for found in _COMMANDS.finditer(value))
    inner = (text[2:-1] if text.startswith("$(") else text[1:-1] for text in made)
    return tuple(part.strip() for text in inner for part in re.split(r"[|;&]+", text))


def put_in(text: str, values: Mapping[str, str]) -> str:
    """A shell text with the values of variables in their places; not between single quotes, and
    not in a here-document that is taken literally."""
    if not values or "$" not in text:
        return text
    literal = _LITERAL_DOCUMENT.search(text)
    if literal:
        body = literal.span("body")
        before, after = text[: body[0]], text[body[1] :]
        return _put_in(before, values) + text[slice(*body)] + put_in(after, values)
    return text if _OPENS_LITERAL.search(text) else _put_in(text, values)


def _put_in(text: str, values: Mapping[str, str]) -> str:
    pieces, at, quote = list[str](), 0, ""
    for used in _USED.finditer(text):
        between = text[at : used.start()]
        quote = _open(between, quote)
        name, at = used["name"] or used["braced"], used.end()
        apart = (
            text[at : at + 1] == "$" and quote != "'"
        )  # what is put in behind it is not its name
        stays = f"${{{name}}}" if apart else used.group().removeprefix(used["pairs"])
        value = stays if quote == "'" else values.get(name, stays)
        pieces += [between, used["pairs"], value]
    return "".join((*pieces, text[at:]))


def uses(text: str, name: str) -> bool:
    """Whether a shell text asks for a variable."""
    return put_in(text, {name: "\0"}) != text or bool(re.search(rf"\$\{{{name}[^\w}}]", text))


def asked_for(text: str) -> frozenset[str]:
    """The variables that are used somewhere in a text."""
    return frozenset(re.findall(r"\$\{?([A-Za-z_]\w*)", text))


def rounds(text: str) -> tuple[str, ...]:
    """The body of a loop over written words, once for each; any other text as it stands."""
    loop = _LOOP.fullmatch(text.strip())
    words = tuple(_spelled(loop["words"].split())) if loop else ()
    if loop is None or not words or len(words) > MOST:
        return (text,)
    body = loop["body"].strip().rstrip(";").strip()
    return tuple(put_in(body, {loop["name"]: word.strip("'\"")}) for word in words)


def spelled(text: str) -> str:
    """A loop over `web{1..3}` as one over three words, which every shell reads alike."""
    loop = _LOOP.match(text)
    if loop is None or not _BRACES.search(loop["words"]):
        return text
    words = " ".join(_spelled(loop["words"].split()))
    return f"{text[: loop.start('words')]}{words}{text[loop.end('words') :]}"


def _spelled(words: list[str]) -> Iterator[str]:
    for word in words:
        brace = _BRACES.search(word)
        if brace is None:
            yield word
            continue
        low, high = int(brace["low"] or 0), int(brace["high"] or 0)
        inner = (brace["words"] or "").split(",") if brace["words"] else range(low, high + 1)
        for each in list(inner)[: MOST + 1]:
            yield f"{word[: brace.start()]}{each}{word[brace.end() :]}"


def _open(text: str, quote: str) -> str:
    """The quote that is open behind a piece, where `quote` was open before it."""
    at = 0
    while at < len(text):
        if text[at] == "\\" and quote != "'":
            at += 2
            continue
        if text[at] in "'\"":
            quote = "" if text[at] == quote else quote or text[at]
        at += 1
    return quote
