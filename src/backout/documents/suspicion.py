"""What would make a reviewer read one thing where another runs: why such a line is refused."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 4000
"""Characters of a line: longer ones nobody reads before they run."""
TOO_LONG = f"a line of more than {LONGEST} characters: nobody reads that before it runs"
_HIDING = frozenset(("Cc", "Cf", "Co", "Cs", "Zl", "Zp"))
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0e\uffa0\U000e0100-\U000e01ef]"
)
"""What has no shape of its own, though it is no control character."""
_JOINED = re.compile(
    "(?<=[\u2600-\u27bf\U0001f000-\U0001faff\ufe0f])\u200d(?=[\u2600-\u27bf\U0001f000-\U0001faff])"
)
"""What joins two emoji into one."""
_WORD = re.compile(r"[^\W\d_]+")
_ALIKE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "FULLWIDTH", "MATHEMATICAL")


def suspicious(text: str) -> str:
    """Why a command is refused, whatever it does; nothing where what is shown is what would run."""
    if text.isascii() and text.isprintable():
        return ""
    told = _JOINED.sub("", text)
    if any(_hidden(sign) for sign in told) or _BLANK.search(told):
        return "it hides characters from whoever reads it"
    if any(sign != " " and unicodedata.category(sign) == "Zs" for sign in told):
        return "a blank in it is none to a shell"
    return _alike(told)


def _hidden(sign: str) -> bool:
    return sign not in "\n\t" and unicodedata.category(sign) in _HIDING


def _alike(text: str) -> str:
    """Letters of other scripts amid Latin ones, or at the front, where a program's name stands."""
    for found in _WORD.finditer(text):
        word = found.group()
        strange = next((sign for sign in word if _stranger(sign)), "")
        if strange and (not found.start() or any(map(str.isascii, word))):
            name = unicodedata.name(strange).title()
            return f"{word!r} has a letter that only looks like another: {name}"
    return ""


def _stranger(sign: str) -> bool:
    return not sign.isascii() and unicodedata.name(sign, "").startswith(_ALIKE)
