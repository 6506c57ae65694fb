"""What a person meant who wrote an expression that is none, with the place marked."""

from __future__ import annotations

import re

from backout.language.cel.functions import cel

_TEXTS = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\"""")
_OTHER_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[=!]==|(?<![=!<>])=(?![=~])"), "write == to compare"),
    (re.compile(r"<>"), "write != for <>"),
    (re.compile(r"\band\b|(?<!&)&(?!&)"), "write && for `and`"),
    (re.compile(r"\bor\b|(?<!\|)\|(?!\|)"), "write || for `or`"),
    (re.compile(r"\bnot\s+in\b"), "write !(x in y) for `x not in y`"),
    (re.compile(r"\bis\b"), "write == for `is`"),
    (re.compile(r"\bnot\b(?!\s+in\b)"), "write ! for `not`"),
    (re.compile(r"[=!]~"), "write text.matches('…') for =~"),
    (re.compile(r"\bif\b|\belse\b"), "write condition ? this : that for `if`"),
    (re.compile(r"""['"][^'"\n]*\n"""),
     "a text ends on its line: for a line break in it write \\n (\\\\n in YAML's double quotes)"),
    (re.compile(r"[“”‘’]"), "write plain quotation marks, ' or \""),
    (re.compile(r"\{\{|\}\}"), "leave the braces out: it is an expression already"),
    (re.compile(r"\b(?:contains|matches|startsWith|endsWith)\b(?!\s*\()"),
     "write text.contains('…'), with parentheses"),
)  # fmt: skip
"""What people bring along from other languages, and what it is here."""
_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+):? (?:Syntax error: )?([^\n]*)")
_STRANGE = re.compile(r"(?:token recognition error at:|(?:extraneous|mismatched) input) (.+)")
INSTEAD = {
    "True": "write true",
    "False": "write false",
    **dict.fromkeys(("None", "nil", "undefined"), "write null"),
    **dict.fromkeys(("len", "length", "count"), "write size(…)"),
    **dict.fromkeys(("json", "data", "response"), "write body"),
    **dict.fromkeys(("code", "rc", "returncode"), "write status, or exit_code of a command"),
    **dict.fromkeys(("str", "toString"), "write string(…)"),
}
"""Names that other languages know, and what is written here."""


def explained(expression: str) -> str:
    """What is wrong, and the expression with a caret under the place when it is one line."""
    at, said = _meant(expression) or _syntax(expression) or (None, "")
    if not said or at is None or "\n" in expression:
        return said
    return f"{said}\n  {expression}\n  {' ' * at}^"


def _meant(expression: str) -> tuple[int, str] | None:
    """What another language would have understood: the first such place, and all the cures."""
    bare = _TEXTS.sub(lambda found: "_" * len(found[0]), expression)
    slips = [(found.start(), cure) for words, cure in _OTHER_WORDS if (found := words.search(bare))]
    return (min(slips)[0], ", ".join(cure for _at, cure in slips)) if slips else None


def _syntax(expression: str) -> tuple[int | None, str] | None:
    """What the library says of an expression; nothing when it sees no fault."""
    try:
        cel().compile(expression)
    except (ValueError, RuntimeError, RecursionError) as error:
        if not (found := _PLACE.search(str(error))):
            return None, str(error).partition("\n")[0]
        return int(found[2]) - 1, _told(found[3])
    return None


def _told(problem: str) -> str:
    """The library's words for a fault in ours, as far as they are its usual ones."""
    if missing := re.match(r"missing ('.+?') at", problem):
        return f"{missing[1]} is missing"
    if "'<EOF>'" in problem or problem.startswith("Incomplete"):
        return "it ends too early"
    strange = _STRANGE.match(problem)
    if strange and strange[1][1:2] in "'\"" and strange[1][2:3].isalnum():
        return "this quotation mark is never closed"
    word = strange[1].partition(" expecting ")[0].strip("'").strip() if strange else ""
    return f"{word} cannot stand here" if word else problem
