"""No secret leaves: a text without the values in force, however they are written there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backout.adapters.escapes import ESCAPES, Escape
from backout.adapters.spellings import SHORT, Form

OPEN, CLOSE = "\ue000", "\ue001"
PART = "\ue002"
"""In a reference, between the name and which part of the value is meant."""
CUT = "…"
"""What stands where a text was cut: before it there may be the first part of a value."""

REFERENCE = re.compile(rf"{OPEN}([^{OPEN}{CLOSE}\s]{{1,140}}){CLOSE}")
_UNFINISHED = re.compile(rf"{OPEN}[^{OPEN}{CLOSE}\s]{{0,140}}\Z")


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


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    form: Form


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
        return OPEN not in text and not any(self._found(text, ""))

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
        for span in sorted(self._found(text, before), key=lambda span: (span.start, -span.end)):
            if merged and span.start < merged[-1].end:
                last = merged.pop()
                span = _Span(last.start, max(last.end, span.end), last.form)
            merged.append(span)
        return merged

    def _found(self, text: str, before: str) -> Iterator[_Span]:
        """Where forms stand: as they are, in what the escapes of a text mean, and cut short."""
        for form in self._forms:
            if form.text in text:
                yield from _find(form, text, before)
        for escape in ESCAPES if self._forms else ():
            if escape.mark not in text or (meant := escape.read(text)) == text:
                continue
            held = [form for form in self._forms if form.text in meant]
            begins, ends = escape.places(text) if held else ((), ())
            for form in held:
                for span in _find(form, meant, before):
                    yield _Span(begins[span.start], ends[span.end - 1], form)
        yield from self._shortened(text)

    def _shortened(self, text: str) -> Iterator[_Span]:
        """The first parts of forms, where the text was cut in them."""
        holding: dict[str, list[Form]] = {}
        at = text.find(CUT)
        while at >= 0:
            last = text[max(0, at - SHORT) : at]
            if last not in holding:
                holding[last] = [form for form in self._forms if last in form.text]
            yield from (span for form in holding[last] for span in _shortened(form, text, at))
            at = text.find(CUT, at + 1)

    def undecided(self, text: str, before: str) -> int:
        """From where on `text` may turn out to be a form when more of it arrives."""
        reference = _UNFINISHED.search(text)
        cut = reference.start() if reference else len(text)
        if not self._forms:
            return cut
        cut = min((cut, *(_opening(form, text) for form in self._forms)))
        for escape in (escape for escape in ESCAPES if escape.mark in text):
            cut = min(cut, self._begun(escape, text))
        spans = self.spans(text, before)
        while True:
            lower = min((span.start for span in spans if span.start < cut < span.end), default=cut)
            lower = min(escape.around(text, lower) for escape in ESCAPES)
            if lower == cut:
                return cut
            cut = lower

    def _begun(self, escape: Escape, text: str) -> int:
        """From where on what `text` means may turn out to be a form; the end of it when nowhere."""
        end = escape.unfinished(text)
        meant, (begins, _) = escape.read(text[:end]), escape.places(text[:end])
        at = min(_opening(form, meant) for form in self._forms)
        return begins[at] if at < len(meant) else end


def _find(form: Form, text: str, before: str) -> Iterator[_Span]:
    at = text.find(form.text)
    while at >= 0:
        end = at + len(form.text)
        if not (form.whole and _inside_a_word(text, at, end, before)):
            yield _Span(at, end, form)
        at = text.find(form.text, at + 1)


def _shortened(form: Form, text: str, end: int) -> Iterator[_Span]:
    """The first part of a value, at `end`, where the text was cut."""
    first = max(0, end - len(form.text))
    at = first + _opening(form, text[first:end])
    if end - at >= SHORT and not form.whole:
        yield _Span(at, end, form)


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


def reference_in(name: str, value: str, part: str) -> str:
    """A reference to a part of a value, by where it stands in it; empty for what is no part."""
    at = value.find(part)
    place = f"{at}:{at + len(part)}:{len(value)}"
    return reference_to(f"{name}{PART}{place}") if at >= 0 else ""


def name_in(reference: str) -> str:
    """The secret that what stands in a reference is of."""
    return reference.partition(PART)[0]


def part_in(reference: str, value: str) -> str:
    """What is meant of a value by what stands in a reference. Raises ValueError when that was of
    another value."""
    place = reference.partition(PART)[2]
    if not place:
        return value
    start, end, size = map(int, place.split(":"))
    if size != len(value):
        raise ValueError(place)
    return value[start:end]


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
