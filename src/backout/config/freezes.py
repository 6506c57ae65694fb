"""What is wrong with freezes: of an inventory, and of the whole project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import combinations

from backout.config.cron import no_cron
from backout.config.yaml_tree import Node, Trail, shown_path
from backout.errors import Mistake
from backout.model import Freeze
from backout.model.freezing import Window, thaws

KEY = "freeze"


def mistakes(tree: Node, freezes: Sequence[Freeze], zone: str) -> Iterator[Mistake]:
    """Whatever would leave open when it holds. `zone` is the file's own; empty where it has none:
    nobody may have to guess in which zone a freeze is meant."""
    for number, freeze in enumerate(freezes):
        for key, words in _wrong(freeze, zone):
            trail: Trail = (KEY, number, key) if key else (KEY, number)
            yield _at(tree, trail, words)


def _wrong(freeze: Freeze, zone: str) -> Iterator[tuple[str, str]]:
    given = bool(freeze.cron), bool(freeze.from_ or freeze.until)
    if given not in ((True, False), (False, True)):
        yield "", "write one of the two: {cron, for, why} or {from, until, why}"
    elif freeze.cron:
        yield from _wrong_cron(freeze, zone)
    else:
        yield from _wrong_times(freeze, zone)
    if not freeze.why.strip():
        yield "why", "say why: it is what whoever is refused reads"


def _wrong_cron(freeze: Freeze, zone: str) -> Iterator[tuple[str, str]]:
    named = freeze.timezone or zone
    if not named:
        yield "cron", "in which zone? add timezone: Europe/Berlin, or UTC"
    if not freeze.for_:
        yield "cron", "how long? add for: 12h"
    if reason := no_cron(freeze.cron):
        yield "cron", reason
    elif freeze.for_ and not thaws(freeze.cron, freeze.for_, named or "UTC", datetime.now(UTC)):
        yield "for", "each window leads into the next: it never thaws"


def _wrong_times(freeze: Freeze, zone: str) -> Iterator[tuple[str, str]]:
    if freeze.for_:
        yield "for", "a length belongs to a cron; from and until say it all"
    texts = {"from": freeze.from_, "until": freeze.until}
    for key, text in texts.items():
        if not text:
            yield "", f"add {key}: a freeze has a beginning and an end"
        elif not (freeze.timezone or zone) and not _has_offset(text):
            yield key, "in which zone? add timezone: Europe/Berlin, or an offset: 18:00+01:00"
    if all(texts.values()):
        start, end = Window(freeze, freeze.timezone or zone or "UTC", "").times
        if start >= end:
            yield "until", "must be after from"


def _has_offset(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


def stale(tree: Node, freezes: Sequence[Freeze], zone: str, now: datetime) -> Iterator[Mistake]:
    """What holds, and should be looked at: a freeze that is over, and two that say the same time
    twice. Only `lint` says it: nothing is kept from being deployed by it."""
    spans = {
        number: Window(freeze, freeze.timezone or zone or "UTC", "").times
        for number, freeze in enumerate(freezes)
        if freeze.from_ and freeze.until
    }
    for number, (_, end) in spans.items():
        if end <= now:
            yield _at(tree, (KEY, number, "until"), "it is over: take it out")
    for (one, a), (other, b) in combinations(spans.items(), 2):
        if max(a[0], b[0]) < min(a[1], b[1]):
            words = f"overlaps {KEY}[{one}], line {tree.find((KEY, one)).line}: make them one"
            yield _at(tree, (KEY, other), words)


def _at(tree: Node, trail: Trail, words: str) -> Mistake:
    node = tree.find(trail)
    return Mistake(node.file, node.line, shown_path(trail), words)
