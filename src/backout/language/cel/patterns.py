"""Regular expressions in bounded time.

The engine's time is that of the text times the size of the pattern, and nothing can stop it on
its way. So what it may take is told beforehand.
"""

from __future__ import annotations

import re

from backout.language.cel.limits import limit
from backout.language.cel.values import CannotTell

LARGEST = 20_000
"""A pattern of more steps is refused by lint."""
PACE = 100_000_000
"""So many steps are made in a second, at least."""
_CLASS = 5
"""A class of characters is as many alternatives in UTF-8."""
_TOKEN = re.compile(
    r"""(?P<class>\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]|\\[pP](?:\{[^}]*\}|.)|\\[dDwWsSbB]|\.)
    |(?P<times>\{(?P<least>\d+)(?P<more>,(?P<most>\d*))?\})
    |(?P<open>\((?:\?(?:P?<\w+>|[a-zA-Z-]*:))?)|(?P<close>\))|(?P<none>[*+?|^$])
    |(?P<one>\\.|.)""",
    re.VERBOSE | re.DOTALL,
)


def steps(pattern: str) -> int:
    """The size of a pattern when what is to come several times is written out."""
    outer: list[int] = []
    whole = last = 0
    for token in _TOKEN.finditer(pattern):
        match token.lastgroup:
            case "open":
                outer.append(whole)
                whole = last = 0
            case "close" if outer:
                last = whole
                whole += outer.pop()
            case "times":
                whole += last * (_times(token) - 1)
                last *= _times(token)
            case "class" | "one" | "close":
                last = _CLASS if token["class"] else 1
                whole += last
    return (whole + sum(outer)) * (_CLASS if "(?i" in pattern else 1)


def _times(token: re.Match[str]) -> int:
    return max(1, *(min(LARGEST, int(each)) for each in (token["least"], token["most"]) if each), 1)


def bounded(value: str, pattern: str) -> None:
    """Raises CannotTell where a search may take longer than there is time."""
    size, now = steps(pattern), limit()
    now.goes_on()
    if size > LARGEST:
        raise CannotTell(f"{pattern[:80]!r} is too large a regular expression")
    if size * len(value) > PACE * now.left:
        raise CannotTell(
            f"{pattern[:80]!r} may take longer than {now.seconds:g} s in {len(value)} characters"
        )
