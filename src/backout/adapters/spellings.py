"""What one secret's value looks like in the wild, beside the escapes that can be read back."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

SHORT = 4
"""A value or a line shorter than this is redacted as a whole word only, or not at all."""
_LINES = (76, 64)
"""The columns at which programs break what they write in base64."""
_AUTHORITY = re.compile(r"[a-z][\w+.-]*://[^:/?#\s]*:(?!\d*[/?#])(.+)@", re.IGNORECASE)
"""A URL with its password, also with one that ought to have been escaped."""
_BREAKS = re.compile(r"[@:/?#\s]+")
"""Where programs take such a password for other parts of its URL."""
_NAMED = re.compile(
    r"(?:passw\w*|pwd|secret\w*|token|\w*key)[\"']?\s*[=:]\s*"
    r"(\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|[^&;,\s]+(?:[ \t]+(?![\w-]+[ \t]*=)[^&;,\s]+)*)",
    re.IGNORECASE,
)
"""What stands under a credential's name, as in `host=db password=…`."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a secret's value may stand in a text."""

    name: str
    text: str
    whole: bool
    """Only as a word of its own: the value is too short to be told from other text."""
    raw: bool
    """The value itself: a reference may stand in for it."""


def _base64(value: bytes) -> Iterator[str]:
    """The characters that depend on `value` alone, wherever it stands in an encoded text."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value).decode().rstrip("=")
        shared = (before + len(value)) % 3 != 0
        core = encoded[(0, 2, 3)[before] : len(encoded) - shared]
        yield core
        yield core.replace("+", "-").replace("/", "_")


def _escapes(value: str) -> Iterator[str]:
    """Spellings in forms, JSON, shells and Python."""
    yield value.replace(" ", "+")
    for ascii_only in (True, False):
        yield (escaped := json.dumps(value, ensure_ascii=ascii_only)[1:-1])
        yield json.dumps(escaped, ensure_ascii=ascii_only)[1:-1]
    yield shlex.quote(value)
    yield value.replace("'", "'\"'\"'")
    yield value.replace("'", "'\\''")
    yield repr(value.encode(errors="surrogateescape"))[2:-1]


def _parts(value: str) -> Iterator[str]:
    """What programs like to print of a value alone: its lines, and the credentials in it."""
    yield from (line.strip() for line in value.splitlines())
    for secret in _credentials(value):
        if value.count(secret) == 1:
            yield secret
            yield unquote(secret)
            yield from _BREAKS.split(secret)


def _credentials(value: str) -> Iterator[str]:
    try:
        whole = urlsplit(value).password or ""
    except ValueError:
        whole = ""
    if not whole and (found := _AUTHORITY.match(value)):
        whole = found[1]
    if whole:
        yield whole
    for found in _NAMED.finditer(value):
        yield found[1].strip("\"'")


def _spellings(value: str) -> Iterator[str]:
    data = value.encode(errors="surrogateescape")
    yield from _escapes(value)
    yield data.hex()
    yield data.hex().upper()
    encoded = base64.b64encode(data).decode()
    if len(value) < SHORT:
        yield from (encoded, encoded.rstrip("="))
        return
    yield from _base64(data)
    lines = (encoded[at : at + size] for size in _LINES for at in range(0, len(encoded), size))
    yield from (line for line in lines if len(line.rstrip("=")) >= SHORT)
    yield from (part for part in _parts(value) if len(part) >= SHORT)


def forms_of(name: str, value: str) -> tuple[Form, ...]:
    """Every form of one value, itself first; a spelling around the bare value adds nothing."""
    whole = len(value) < SHORT
    others = (text for text in dict.fromkeys(_spellings(value)) if text and value not in text)
    return (
        Form(name, value, whole, raw=True),
        *(Form(name, text, whole, raw=False) for text in others),
    )
