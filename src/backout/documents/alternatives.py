"""Which commands of a note stand for each other, and which belong to what follows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from backout.documents import phases, vocabulary
from backout.documents.nouns import Found

_OR = re.compile(
    r"(?:^|[\s(])(?:or|oder|ou|o|alternativ\w*|option|variante?|if you(?:'re|"
    r" are)? (?:us\w+|run\w+|on|deploy\w*|have)|via|using|with|for|falls|si (?:usas|vous|"
    r"tu)|se (?:usa|usar)|method|either)\b",
    re.IGNORECASE,
)


def followed(found: Sequence[Found]) -> tuple[Found, ...]:
    """`cd` and `ssh` belong to what is done behind them."""
    made = list(found)
    for at in range(len(made) - 2, -1, -1):
        each, after = made[at], made[at + 1]
        neutral = {"cwd", "setting"} & {*each.flags} or (
            "interactive" in each.flags
            and each.commands
            and each.commands[-1].head in ("ssh", "su")
        )
        if neutral and after.trail == each.trail and each.phase not in ("rollback", "diagnose"):
            made[at] = replace(each, phase=after.phase)
    return tuple(made)


def alternatives(found: Sequence[Found]) -> tuple[Found, ...]:
    """Which commands stand for each other: restarts by backend, and what an `or` joins."""
    made = list(found)
    for group in _sections(made):
        _restarts(made, group)
    _titled(made)
    _joined(made)
    return tuple(made)


def _sections(found: Sequence[Found]) -> Iterator[list[int]]:
    """Restarts that stand under one heading, or under sibling headings."""
    seen: dict[tuple[str, ...], list[int]] = {}
    for at, each in enumerate(found):
        if each.backend and each.phase in ("restart", "rollback", "update", "push"):
            seen.setdefault(each.trail, []).append(at)
    parents: dict[tuple[str, ...], list[int]] = {}
    for trail, places in seen.items():
        yield places
        if trail and len({found[at].backend for at in places}) == 1:
            parents.setdefault(trail[:-1], []).extend(places)
    for trail, places in parents.items():
        if trail and all(
            _OR.search(found[at].trail[-1]) or _names_backend(found[at]) for at in places
        ):
            yield places


def _names_backend(found: Found) -> bool:
    said = phases.folded(
        " ".join((found.trail[-1] if found.trail else "", found.label, found.comment, found.lead))
    )
    names = {
        "docker-compose": "compose|docker",
        "docker": "docker",
        "kubernetes": "kubernetes|k8s|kubectl",
    }
    return bool(re.search(names.get(found.backend, re.escape(found.backend)), said))


def _restarts(found: list[Found], places: Sequence[int]) -> None:
    restarts = [
        at
        for at in places
        if found[at].phase in ("restart", "rollback")
        and re.search(r"restart|reload|\bup\b|start|rollout|rollback", found[at].text)
    ]
    backends = {found[at].backend for at in restarts}
    joined = any(
        _OR.search(found[at].comment)
        or _OR.search(found[at].lead)
        or found[at].label
        or _names_backend(found[at])
        for at in restarts
    )
    if len(backends) < 2 or not joined:
        return
    for at in restarts:
        name = found[at].phase
        found[at] = replace(found[at], alternative=f"{name}:{found[at].backend}")


def _titled(found: list[Found]) -> None:
    """`### Option A: …`, `### Option B: …`."""
    forms = vocabulary.forms("headings")
    for at, each in enumerate(found):
        if each.alternative or not each.trail:
            continue
        for depth in range(len(each.trail) - 1, -1, -1):
            title = each.trail[depth]
            said = phases.folded(title)
            if forms["option"].search(said) or forms["or"].search(said):
                group = _slug(each.trail[depth - 1]) if depth else each.phase
                found[at] = replace(each, alternative=f"{group}:{_slug(title)}")
                break


def _joined(found: list[Found]) -> None:
    """A command under `# or`: it and the one before stand for each other."""
    for at, (before, each) in enumerate(pairwise(list(found)), 1):
        said = phases.folded(each.comment)
        near = each.line - before.last <= 4 and each.trail == before.trail
        if found[at].alternative or not near or not vocabulary.forms("headings")["or"].search(said):
            continue
        group = f"{each.phase}-{found[at - 1].line}"
        if not found[at - 1].alternative:
            found[at - 1] = replace(found[at - 1], alternative=f"{group}:1")
        group, _, number = str(found[at - 1].alternative).partition(":")
        following = int(number) + 1 if number.isdigit() else 2
        found[at] = replace(found[at], alternative=f"{group}:{following}")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", phases.folded(text)).strip("-")[:40] or "choice"
