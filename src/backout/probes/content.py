"""What an HTTP answer's bytes say: opened, read in their charset, parsed.

Compression is opened here and not by curl, which takes a gzip that was cut short for whole.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backout.model.values import Partial, Unavailable, integer, number, unique

LIMIT = 1024 * 1024
CODINGS = "gzip, deflate"
"""What is asked for. What comes in another coding cannot be had."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_CHARSETS = {"undefined", "idna", "punycode", "unicode_escape", "raw_unicode_escape"}


@dataclass(frozen=True, slots=True)
class Content:
    """The body of an answer, as bytes and as text, or why it cannot be had."""

    octets: bytes
    text: str | Unavailable
    charset: str
    truncated: bool

    def facts(self) -> dict[str, Any]:
        """`text`, `truncated`, and `body` when it is JSON."""
        facts: dict[str, Any] = {"text": self.text, "truncated": self.truncated}
        if isinstance(self.text, Unavailable):
            return {**facts, "body": self.text}
        return facts if self.truncated else facts | self._parsed()

    def _parsed(self) -> dict[str, Any]:
        """The body under its name, or nothing: what is not JSON cannot be judged as such."""
        try:
            written = self.octets.decode(self.charset or json.detect_encoding(self.octets))
            return {"body": _READER.decode(written)}
        except (ValueError, RecursionError):
            return {}


def read(octets: bytes, headers: Mapping[str, str], *, truncated: bool = False) -> Content:
    """What came, by the headers that came with it; cut at LIMIT."""
    opened = _opened(octets, headers.get("content-encoding", ""), truncated)
    if isinstance(opened, Unavailable):
        return Content(b"", opened, "", truncated)
    truncated, whole = truncated or len(opened) > LIMIT, opened[:LIMIT]
    charset = _charset(whole, headers.get("content-type", ""))
    text = whole.decode(charset or "utf-8", "replace")
    return Content(whole, Partial(text) if truncated else text, charset, truncated)


# --- codings -----------------------------------------------------------------------------


def _opened(octets: bytes, codings: str, truncated: bool) -> bytes | Unavailable:
    """The octets without their codings; at most one more than LIMIT."""
    for coding in reversed([each.strip().lower() for each in codings.split(",")]):
        if coding in ("", "identity", "none") or not octets:
            continue
        if coding not in ("gzip", "x-gzip", "deflate"):
            return Unavailable(f"its Content-Encoding is {coding!r}, which was not asked for")
        inflated = _inflated(octets, coding, truncated)
        if inflated is None:
            return Unavailable(f"it is no whole {coding}")
        octets, truncated = inflated, truncated or len(inflated) > LIMIT
    return octets


def _inflated(octets: bytes, coding: str, truncated: bool) -> bytes | None:
    """None when it is damaged, or ends too early. A deflate may come without its wrapping, and
    several gzips may follow one another."""
    raw = coding == "deflate" and (octets[0] & 0x0F != 8 or int.from_bytes(octets[:2]) % 31)
    found = b""
    while octets and len(found) <= LIMIT:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS | 32)
        try:
            found += inflater.decompress(octets, LIMIT + 1 - len(found))
        except zlib.error:
            return None
        if not inflater.eof:
            return found if truncated or len(found) > LIMIT else None
        octets = inflater.unused_data
    return found


# --- charsets ----------------------------------------------------------------------------


def _charset(octets: bytes, content_type: str) -> str:
    """A byte-order mark's, else the one that the header names and that exists; else none."""
    for mark, charset in _BOMS:
        if octets.startswith(mark):
            return charset
    named = re.search(r"charset=\s*[\"']?([\w.:-]+)", content_type, re.IGNORECASE)
    try:
        found = codecs.lookup(named[1]).name if named else ""
        "".encode(found or "utf-8")
    except (LookupError, UnicodeError):
        return ""
    return "" if found in _NO_CHARSETS else found


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


_READER = json.JSONDecoder(
    parse_int=integer, parse_float=number, parse_constant=_not_json, object_pairs_hook=unique
)
