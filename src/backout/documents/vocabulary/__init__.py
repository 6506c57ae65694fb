"""The words by which a note's lines are known, one file a question: tune these, not the code."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_SECTION = re.compile(r"^\[([a-z0-9-]+)\]$")


@cache
def lines(name: str) -> Mapping[str, tuple[str, ...]]:
    """The sections of a file, each with its lines; comments and empty lines are left out."""
    text = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8")
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if section := _SECTION.match(line):
            sections[section[1]] = []
        elif line and not line.startswith("# ") and sections:
            sections[next(reversed(sections))].append(line)
    return {section: tuple(found) for section, found in sections.items()}


@cache
def forms(name: str, flags: re.RegexFlag = re.NOFLAG) -> Mapping[str, re.Pattern[str]]:
    """The sections of a file, each as one pattern, in the file's order."""
    return {
        key: re.compile(unaccented("|".join(found)), flags) for key, found in lines(name).items()
    }


def unaccented(text: str) -> str:
    """Letters without their accents, as forms and what they are held against both have them."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in apart if not unicodedata.combining(sign))
