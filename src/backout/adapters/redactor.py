"""No secret leaves: what a value looks like in the wild, and a text without it."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

OPEN, CLOSE = "\ue000", "\ue001"
SHORT = 4
"""A value or a line shorter than this is redacted as a whole word only, or not at all."""

REFERENCE = re.compile(rf"{OPEN}([^{OPEN}{CLOSE}\s]{{1,100}}){CLOSE}")
_UNFINISHED = re.compile(rf"{OPEN}[^{OPEN}{CLOSE}\s]{{0,100}}\Z")
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_UNICODE = re.compile(r"\\u[0-9a-f]{4}")


def redact_data(value: Any, redact: Callable[[str], str]) -> Any:
    """JSON-like data with `redact` applied to every string in it, keys included. Mappings
    become dicts and sequences lists."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): redact_data(item, redact) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [redact_data(item, redact) for item in value]
    return value


# --- what one value looks like in the wild -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a secret's value may stand in a text."""

    name: str
    text: str
    whole: bool
    """Only as a word of its own: the value is too short to be told from other text."""
    raw: bool
    """The value itself: a reference may stand in for it."""


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    form: Form


def _base64(value: bytes) -> Iterator[str]:
    """The characters that depend on `value` alone, wherever it stands in an encoded text."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value).decode().rstrip("=")
        shared = (before + len(value)) % 3 != 0
        core = encoded[(0, 2, 3)[before] : len(encoded) - shared]
        yield core
        yield core.replace("+", "-").replace("/", "_")


def _escapes(value: str) -> Iterator[str]:
    """URL, JSON, shell, Python and HTML spellings of a value."""
    data = value.encode(errors="surrogateescape")
    for quoted in (quote(data), quote(data, safe=""), quote_plus(data)):
        yield quoted
        yield _PERCENT.sub(lambda match: match[0].lower(), quoted)
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")
        yield _UNICODE.sub(lambda match: "\\u" + match[0][2:].upper(), escaped)
        yield json.dumps(escaped, ensure_ascii=ascii_only)[1:-1]
    yield shlex.quote(value)
    yield value.replace("'", "'\"'\"'")
    yield value.replace("'", "'\\''")
    yield re.sub(r'(["$`\\])', r"\\\1", value)
    yield repr(value)[1:-1]
    yield repr(data)[2:-1]
    yield html.escape(value)


def _password(value: str) -> Iterator[str]:
    """The password inside a URL; programs like to print it alone."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return
    if parts.password and value.count(parts.password) == 1:
        yield parts.password
        yield unquote(parts.password)


def _spellings(value: str) -> Iterator[str]:
    data = value.encode(errors="surrogateescape")
    yield from _escapes(value)
    yield data.hex()
    yield data.hex().upper()
    if len(value) < SHORT:
        yield from (padded := base64.b64encode(data).decode(), padded.rstrip("="))
        return
    yield from _base64(data)
    yield from (line.strip() for line in value.splitlines() if len(line.strip()) >= SHORT)
    yield from (password for password in _password(value) if len(password) >= SHORT)


def forms_of(name: str, value: str) -> tuple[Form, ...]:
    """Every form of one value, itself first; a spelling around the bare value adds nothing."""
    whole = len(value) < SHORT
    others = (text for text in dict.fromkeys(_spellings(value)) if text and value not in text)
    return (
        Form(name, value, whole, raw=True),
        *(Form(name, text, whole, raw=False) for text in others),
    )


def _touches(form: str, label: str) -> bool:
    """Whether `form` could be read in `label`, or across one of its edges."""
    return form in label or any(
        form.startswith(label[-size:]) or form.endswith(label[:size])
        for size in range(1, min(len(form), len(label) + 1))
    )


# --- the redactor --------------------------------------------------------------------------


class Redactor:
    """Immutable: the forms in force at one moment, and what they are replaced with."""

    def __init__(self, forms: Iterable[Form] = ()) -> None:
        self._forms = tuple(sorted(forms, key=lambda form: -len(form.text)))
        self._labels: dict[str, str] = {}

    def silent(self, text: str) -> bool:
        """Whether `text` certainly holds neither a reference nor a value: the usual case."""
        return OPEN not in text and not any(form.text in text for form in self._forms)

    def adding(self, forms: Iterable[Form]) -> Redactor:
        return Redactor((*self._forms, *forms))

    def label(self, name: str) -> str:
        """`[secret NAME]`, or one character when some value could be read in that."""
        if name not in self._labels:
            self._labels[name] = self._safe_label(f"[secret {name}]")
        return self._labels[name]

    def _safe_label(self, wanted: str) -> str:
        if not any(_touches(form.text, wanted) for form in self._forms):
            return wanted
        used = {character for form in self._forms for character in form.text}
        return next(blot for blot in map(chr, range(0x2588, 0xD800)) if blot not in used)

    def replace(self, text: str, by: Callable[[Form, str], str], before: str = "") -> str:
        """`text` with `by(form, what stood there)` for every form in it; `before` is the
        character that went before it."""
        parts: list[str] = []
        done = 0
        for span in self.spans(text, before):
            parts += text[done : span.start], by(span.form, text[span.start : span.end])
            done = span.end
        return "".join((*parts, text[done:]))

    def spans(self, text: str, before: str = "") -> list[_Span]:
        """Where forms stand; those that overlap are one span, under the first one's name."""
        merged: list[_Span] = []
        found = (span for form in self._forms for span in _find(form, text, before))
        for span in sorted(found, key=lambda span: (span.start, -span.end)):
            if merged and span.start < merged[-1].end:
                last = merged.pop()
                span = _Span(last.start, max(last.end, span.end), last.form)
            merged.append(span)
        return merged

    def undecided(self, text: str, before: str) -> int:
        """From where on `text` may turn out to be a form when more of it arrives."""
        reference = _UNFINISHED.search(text)
        cut = reference.start() if reference else len(text)
        cut = min((cut, *(_opening(form, text) for form in self._forms)))
        spans = self.spans(text, before)
        return min((span.start for span in spans if span.start < cut < span.end), default=cut)


def _find(form: Form, text: str, before: str) -> Iterator[_Span]:
    at = text.find(form.text)
    while at >= 0:
        end = at + len(form.text)
        if not (form.whole and _inside_a_word(text, at, end, before)):
            yield _Span(at, end, form)
        at = text.find(form.text, at + 1)


def _inside_a_word(text: str, start: int, end: int, before: str) -> bool:
    left = text[start - 1] if start else before
    return left.isalnum() or text[end : end + 1].isalnum()


def _opening(form: Form, text: str) -> int:
    """Where an unfinished `form` begins at the end of `text`; its length when nowhere."""
    unfinished = len(form.text) if form.whole else len(form.text) - 1
    at = text.find(form.text[0], max(0, len(text) - unfinished))
    while at >= 0 and not form.text.startswith(text[at:]):
        at = text.find(form.text[0], at + 1)
    return at if at >= 0 else len(text)


def reference_to(name: str) -> str:
    return f"{OPEN}{name}{CLOSE}"


def around_references(
    text: str,
    redactor: Redactor,
    by: Callable[[Form, str], str],
    named: Callable[[str], str],
    before: str = "",
) -> str:
    """Replace the forms between references, and the references themselves by `named`."""
    parts = REFERENCE.split(text)
    parts[::2] = [
        redactor.replace(part, by, CLOSE if place else before)
        for place, part in enumerate(parts[::2])
    ]
    parts[1::2] = [named(name) for name in parts[1::2]]
    return "".join(parts)
