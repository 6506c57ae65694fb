"""What a finding may show: what came, short, and without what looks like a credential.

The vault knows the secrets that Backout was given. An answer can hold others, such as the
session token that a login returns; they are known by the name they stand under.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from backout.language import expressions
from backout.model import Finding, Verdict
from backout.model.values import Unavailable, cut, stored, writable

EXCERPT = 1000
VALUE = 80
FACT = 64 * 1024
HIDDEN = "[redacted]"

_WORDS = r"token|passw|secret|api[_-]?key|master[_-]?key|private[_-]?key|authorization|cookie"
_CREDENTIAL = re.compile(_WORDS, re.IGNORECASE)
_IN_JSON = re.compile(
    rf'("[^"]{{0,64}}(?:{_WORDS})[^"]{{0,64}}"\s*:\s*)("(?:\\.|[^"\\])*"?|[\w.+-]+)', re.IGNORECASE
)
_IN_QUERY = re.compile(rf"\b([\w-]*(?:{_WORDS})[\w-]*=)([^\s&;,\"'=]+)", re.IGNORECASE)
_TERM = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|"""
    r"""(?P<path>\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*(?!\w*\()|\[(?:'[^']*'|"[^"]*"|\d+)\])*)"""
)


def shown(finding: Finding, redact: Callable[[str], str]) -> Finding:
    """The finding as it may be kept and told: redacted, then cut to size. What does not pass
    says first where it was sent, and with which SQLSTATE it was refused. What cannot be made fit
    to be shown is left out: the verdict stands without it."""
    try:
        return _fit(finding, redact)
    except Exception as error:  # noqa: BLE001 - evidence is a help; a run does not end for it
        reason = f"what came cannot be shown: {type(error).__name__}"
        return replace(finding, reason=reason, excerpt="", saved={}, facts={})


def _fit(finding: Finding, redact: Callable[[str], str]) -> Finding:
    hide = _hider(finding, redact)
    text = "\n".join((*_clues(finding), finding.excerpt)).strip()
    return replace(
        finding,
        reason=hide(finding.reason),
        excerpt=cut(hide(text), EXCERPT),
        saved=_masked(finding.saved, hide),
        facts={
            name: _masked(value, hide, name)
            for name, value in finding.facts.items()
            if _size(value) <= FACT
        },
    )


def _size(value: Any) -> int:
    """How long it is when it is written down, or a little less."""
    if isinstance(value, str):
        return len(value)
    return 0 if isinstance(value, int | float) else len(repr(value))


def cleared(text: str, redact: Callable[[str], str]) -> str:
    """Text from elsewhere, such as a log, without what looks like a credential."""
    text = writable(text)
    if not _CREDENTIAL.search(text):  # most texts, and each look has many
        return redact(text)
    text = _IN_JSON.sub(rf'\1"{HIDDEN}"', text)
    return redact(_IN_QUERY.sub(rf"\1{HIDDEN}", text))


def told(expectation: str, scope: Mapping[str, Any]) -> str:
    """The expectation with what came: `body.status == 'ok' (body.status is 'degraded')`."""
    values = [
        f"{path} is {_value(path, scope)}" for path in _paths(expectation) if _root(path) in scope
    ]
    return f"{expectation} ({', '.join(values[:3])})" if values else expectation


def absent(expectation: str, scope: Mapping[str, Any], offered: Mapping[str, str]) -> str:
    """Which of the names that a kind of check offers did not come this time, and what it is."""
    roots = dict.fromkeys(map(_root, _paths(expectation)))
    return "; ".join(
        f"no {root} came ({offered[root]})" for root in roots if root in offered.keys() - scope
    )


def _paths(expectation: str) -> tuple[str, ...]:
    found = (match["path"] for match in _TERM.finditer(expectation))
    return tuple(dict.fromkeys(path for path in found if path))


def _root(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _value(path: str, scope: Mapping[str, Any]) -> str:
    try:
        value = expressions.evaluate(path, scope)
    except expressions.CannotTell:
        return "missing"
    if _CREDENTIAL.search(path.rpartition(".")[2]):
        return HIDDEN
    if isinstance(value, str):
        return f"'{cut(value, VALUE)}'"
    return cut(json.dumps(value, default=str, ensure_ascii=False), VALUE)


def _clues(finding: Finding) -> Iterator[str]:
    if finding.verdict is Verdict.PASS:
        return
    if redirect := finding.facts.get("redirect"):
        yield f"redirects to {redirect}"
    state = finding.facts.get("sqlstate")
    if state and str(state) not in f"{finding.reason} {finding.excerpt}":
        yield f"SQLSTATE {state}"


def _hider(finding: Finding, redact: Callable[[str], str]) -> Callable[[str], str]:
    found = sorted(_credentials(finding.facts), key=len, reverse=True)

    def hide(text: str) -> str:
        for value in found:
            text = text.replace(value, HIDDEN)
        return cleared(text, redact)

    return hide


def _credentials(value: Any, name: str = "") -> set[str]:
    """The texts that stand under a credential's name, long enough to be one."""
    if isinstance(value, str):
        return {value} if len(value) > 5 and _named(name) else set()
    if isinstance(value, Mapping):
        return {text for key, each in value.items() for text in _credentials(each, f"{name} {key}")}
    if isinstance(value, list | tuple):
        return {text for each in value for text in _credentials(each, name)}
    return set()


@lru_cache(maxsize=4096)
def _named(name: str) -> bool:
    """Whether what stands under this name is a credential: names come again with every look."""
    return bool(_CREDENTIAL.search(name))


def _masked(value: Any, hide: Callable[[str], str], name: str = "") -> Any:
    if isinstance(value, str):
        return HIDDEN if _named(name) else hide(value)
    if isinstance(value, Mapping):
        return {key: _masked(each, hide, f"{name} {key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each, hide, name) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if _CREDENTIAL.search(name):
        return HIDDEN
    return (
        stored(value)
        if isinstance(value, int | float | Decimal | Unavailable)
        else hide(str(value))
    )
