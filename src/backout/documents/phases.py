"""Which part of a deploy a command belongs to: from the command, its headings and what is said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from backout.documents import vocabulary
from backout.documents.words import Simple

Phase = Literal[
    "setup",
    "build",
    "commit",
    "push",
    "update",
    "restart",
    "verify",
    "rollback",
    "diagnose",
    "notify",
]
PHASES: tuple[Phase, ...] = (
    *("setup", "build", "commit", "push", "update"),
    *("restart", "verify", "rollback", "diagnose", "notify"),
)
_SPOKEN: tuple[Phase, ...] = (
    *("rollback", "diagnose", "notify", "verify", "setup"),
    *("build", "commit", "push", "restart", "update"),
)
"""The phases as sentences are asked for them: the first counts most."""
_ASKED: tuple[Phase, ...] = (
    *("rollback", "notify", "commit", "push", "restart"),
    *("verify", "diagnose", "build", "update", "setup"),
)
"""The phases as commands are asked for them: the first that fits counts."""
_WEIGHT: tuple[Phase, ...] = (
    *("rollback", "notify", "restart", "push", "commit"),
    *("update", "build", "verify", "diagnose", "setup"),
)
"""Of the parts of a chain the weightiest speaks for it."""
LONGEST = 400
"""Characters of a sentence that are looked at."""
SHORT = 80
"""Characters of a sentence that says what is done, and does not tell a story."""
_STRONG: frozenset[Phase] = frozenset(("commit", "push", "restart", "update"))


def folded(text: str) -> str:
    """Lower case, without accents."""
    return vocabulary.unaccented(text.casefold().replace("ß", "ss"))


def said(text: str) -> tuple[Phase, ...]:
    """The phases that a heading or a sentence speaks of; `rollback` alone where it does."""
    plain = folded(text[:LONGEST])
    forms = vocabulary.forms("headings")
    hits = tuple(phase for phase in _SPOKEN if forms[phase].search(plain))
    if "rollback" in hits:
        if not forms["not-back"].search(plain):
            return ("rollback",)
        hits = tuple(phase for phase in hits if phase != "rollback")
    return hits


def of_command(commands: Sequence[Simple], text: str) -> Phase | None:
    """What a command does by itself: the phase of the weightiest part of a chain."""
    if _FETCHES.search(text) and "-O-" not in text and "-qO" not in text:
        return "setup"
    own = [phase for each in commands if (phase := _of(each))]
    if not own:
        return None
    if {*own} <= _LOOKS and _beside_a_look(commands):
        return None
    acts = own[0] in _LOOKS and not {*own} <= _LOOKS | {"setup", "notify"}
    if len(set(own)) > 1 and "|" in text.replace("||", "") and "&&" not in text and not acts:
        return own[0]
    return min(own, key=_WEIGHT.index)


def _beside_a_look(commands: Sequence[Simple]) -> bool:
    """Whether all that is known of a chain is that it looks, and something else is in it: then
    it may do anything, and is no look."""
    return any(_of(each) is None for each in commands if each.head not in IDLE | _FILTERS)


_LOOKS: frozenset[Phase] = frozenset(("verify", "diagnose"))
IDLE = frozenset(
    ("", "cd", "pushd", "popd", "echo", "printf", "cat", "sleep", "true", "false", ":", "exit")
)
"""What does nothing by itself that a step would have to do."""
_FILTERS = frozenset(
    """
    grep egrep fgrep rg jq yq head tail wc awk sed sort uniq cut tr column less more tee diff
    python python3 json_pp xmllint base64 xargs test [ done fi
    """.split()  # noqa: SIM905 - programs, as a list of words
)
"""What shows, or judges, what a look has said."""
_ACTS = re.compile(
    r"^curl\b.*(?:purge|invalidat|/deploy|/trigger|/restart|/reload|/dispatches)", re.I
)
"""Requests that do something, and prove nothing."""
_PIPED = re.compile(r"\b(?:curl|wget)\b.*\|\s*(?:sudo\s+(?:-\S+\s+)*)?(?:ba|z|da)?sh\b")
_FETCHES = re.compile(
    rf"{_PIPED.pattern}|\b(?:curl|wget)\b.*(?:\s-\w*o\s+(?!/dev/null|-\s)|\s-\w*O\b)"
)


def _of(command: Simple) -> Phase | None:
    """What runs in a container counts, where it says something."""
    inner = command.inner
    return (inner and _one(inner.bare)) or _one(command.bare)


def prepares(commands: Sequence[Simple]) -> bool:
    """Whether a command prepares a machine or an account, whatever is spoken of around it."""
    return _all_are("prepare", commands)


def installs(text: str) -> bool:
    """Whether it runs a script that it fetches: `curl … | sh`."""
    return bool(_PIPED.search(text))


def makes(commands: Sequence[Simple]) -> bool:
    """Whether a command makes something: then it is no check, whatever a sentence says of it."""
    return _all_are("makes", commands)


def guards(commands: Sequence[Simple]) -> bool:
    """Whether a command looks if a configuration is good, before something reads it."""
    return _all_are("guards", commands)


def _all_are(kind: str, commands: Sequence[Simple]) -> bool:
    form = vocabulary.forms("commands", re.IGNORECASE)[kind]
    told = [each.inner or each for each in commands]
    return bool(told) and all(form.search(each.bare) or each.head in ("cd", "") for each in told)


def _one(command: str) -> Phase | None:
    if _ACTS.search(command):
        return "update"
    forms = vocabulary.forms("commands", re.IGNORECASE)
    return next((phase for phase in _ASKED if forms[phase].search(command)), None)


def decide(
    own: Phase | None,
    trail: Sequence[str],
    lead: str,
    comment: str,
    before: Phase | None,
    *,
    firm: bool = False,
    makes: bool = False,
) -> Phase:
    """The phase of a command: `own` is what it says by itself, `before` that of the last one.
    `firm`: it prepares the machine, whatever the note speaks of; `makes`: it is no look."""
    if back(trail, lead, comment):
        return "rollback"
    own = "setup" if makes and own in (None, *_LOOKS) else own
    context = "diagnose" if _in_trouble(trail) else _context(trail, lead, comment)
    if firm and context not in ("verify", "diagnose", "notify"):
        return "setup"
    if makes and own == "setup" and context not in ("diagnose", "notify"):
        return "setup"
    if own in (None, "setup") and "setup" in said(trail[-1] if trail else ""):
        context = "setup"
    if own in ("rollback", "notify"):
        return own
    if context in ("diagnose", "notify"):
        return _amid(context, own)
    if context == "verify":
        return own if own in _STRONG or own == "build" else "verify"
    if context == "setup":
        return own if own in ("commit", "push", "restart", "verify") else "setup"
    if own and own != "setup":
        return own
    return context or own or (before not in _LOOKS and before) or "setup"


def _form(name: str) -> re.Pattern[str]:
    return vocabulary.forms("headings")[name]


def back(trail: Sequence[str], lead: str, comment: str) -> bool:
    """Whether the note is on its way back here."""
    inner = trail[1:] if len(trail) > 1 else trail
    if any("rollback" in said(each) for each in (*inner, lead, comment)):
        return True
    aside = any({*said(title)} & {*_ASIDE} for title in trail[1:])
    if not trail or not _all_back(trail[0]) or aside or {*said(trail[-1])} & {*_ASIDE}:
        return False
    return not re.match(r"[\W\d]*(?:deploy|despl|deploi|implant|bereit)", folded(trail[-1]))


def warned(trail: Sequence[str], lead: str, comment: str) -> bool:
    """Whether the note says that this is never to be done."""
    if any(_form("warned").search(folded(each)) for each in (*trail[-1:], comment)):
        return True
    return _warns(lead) and bool(_form("pointing").search(folded(lead)))


def warns_of_something(lead: str) -> bool:
    """Whether the sentence before warns of what it names itself: of these lines, or of others."""
    return _warns(lead) and not _form("pointing").search(folded(lead))


def _warns(lead: str) -> bool:
    return len(lead) < SHORT and bool(_form("warned").search(folded(lead)))


def _in_trouble(trail: Sequence[str]) -> bool:
    """Whether this stands, however deep, under what is done about trouble, or some other day."""
    below = any(_form("reference").search(folded(title)) for title in trail[1:])
    return below or any(_form("trouble").search(folded(title)) for title in (trail[1:] or trail))


_ASIDE: tuple[Phase, ...] = ("verify", "diagnose", "setup", "notify")
"""What a note that is all about the way back tells besides."""


def _all_back(title: str) -> bool:
    return "rollback" in said(title) and bool(_form("all-back").search(folded(title)))


def _amid(context: Phase, own: Phase | None) -> Phase:
    if context == "notify":
        return "notify" if own in (None, "setup", "update") else own
    return "diagnose"


def _context(trail: Sequence[str], lead: str, comment: str) -> Phase | None:
    """What is spoken of, the nearest first; where it is several things at once, none."""
    near = lead if len(lead) < SHORT else ""
    for each in (comment, near, *reversed(trail[1:] or trail)):
        hits = tuple(phase for phase in said(each) if phase != "rollback")
        if each == comment and any(hit in ("setup", "diagnose") for hit in hits):
            continue
        specific: list[Phase] = [hit for hit in hits if hit != "update"] or [*hits]
        if len(specific) == 1:
            return specific[0]
        if specific:
            return next((hit for hit in specific if hit in ("diagnose", "verify")), None)
    spoken = said(lead)
    return spoken[0] if len(spoken) == 1 and spoken[0] in ("verify", "notify", "setup") else None
