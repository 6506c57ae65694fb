"""A rendered note -> the runbook that it was rendered from."""

from __future__ import annotations

import json
from dataclasses import replace

from backout.documents.bindings import Data
from backout.documents.draft import Built
from backout.documents.markdown import Block, blocks
from backout.documents.nouns import Reading
from backout.documents.rendering import ASIDE, PHASES, TEXTS, by_hand, kind_of


def taken(text: str, reading: Reading) -> Built | None:
    """The runbook of a note that `render` wrote; None for any other note. Shell texts are taken
    from the fences, never from what stands beside them."""
    marked = [(block, words) for block in blocks(text) if (words := _words(block))]
    if not any("runbook" in words for _, words in marked):
        return None
    runbook: Data = {}
    places: dict[int, str] = {}
    last: Data | None = None
    for block, words in marked:
        if "runbook" in words:
            runbook |= _mapping("\n".join(block.lines))
        elif isinstance(words.get("step"), dict) and words.get("phase") in PHASES:
            last = _step(block, words)
            if not _shown(block, last):
                return None
            steps = runbook.setdefault(words["phase"], [])
            steps.append(last)
            place = f"{words['phase']}[{len(steps) - 1}]"
            places |= dict.fromkeys(range(block.first, block.first + len(block.lines)), place)
        elif last is not None and (key := next((k for k in ASIDE if k in words), "")):
            last[key] = _text(block, words)
    found = tuple(replace(each, into=places.get(each.line)) for each in reading.found)
    return Built(replace(reading, found=found), _ordered(runbook), {})


def _words(block: Block) -> Data:
    return _mapping(block.attributes) if block.kind == "code" else {}


def _mapping(text: str) -> Data:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _step(block: Block, words: Data) -> Data:
    step = dict(words["step"])
    kind = kind_of(step)
    step = {key: value for key, value in step.items() if key not in ASIDE}
    if kind in TEXTS and kind in step:
        step[kind] = _text(block, words)
    return step


def _shown(block: Block, step: Data) -> bool:
    """Whether the fence says what stands beside it, so that nobody reads one and gets another."""
    kind = kind_of(step)
    if kind in TEXTS or kind in ("push", "update", "restart", "verify"):
        return True
    return "\n".join(block.lines) == "\n".join(by_hand(kind, step, None))


def _text(block: Block, words: Data) -> str:
    return "\n".join(block.lines) + ("\n" if "newline" in words else "")


def _ordered(runbook: Data) -> Data:
    """Rules last, as they are read."""
    return {key: runbook[key] for key in sorted(runbook, key=_RANK.index) if key in _RANK}


_RANK = (
    *("summary", "document", "targets", "baseline", "params"),
    *("preflight", "steps", "settle", "finally", "diagnose"),
)
