"""Which step of one runbook is which of another, and in which order they stand in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backout.documents.bindings import Data
from backout.documents.rendering import kind_of


def lines_of(item: Any) -> int:
    """The first line of the note that something follows; 0 where it follows none."""
    found = item.get("follows") if isinstance(item, dict) else None
    first = str(found.get("lines", "")).partition("-")[0] if isinstance(found, dict) else ""
    return int(first) if first.isdigit() else 0


def same_step(one: Data, other: Data) -> bool:
    """Whether both follow the same words, in the same kind of step."""
    return bool(_follows(one)) and _follows(one) == _follows(other)


def _follows(step: Data) -> Any:
    found = step.get("follows")
    return (found.get("sha256"), kind_of(step)) if isinstance(found, dict) else None


def step_pairs(one: Sequence[Data], other: Sequence[Data], *, gaps: bool = False) -> dict[int, int]:
    """Places in `one` -> places in `other`: those that follow the same words, those of one name,
    and with `gaps` those of one kind that stand alone between the same neighbours."""
    pairs: dict[int, int] = {}
    for trait in (_follows, lambda step: step.get("name")):
        _pair(one, other, trait, pairs)
    if gaps:
        for at in [n for n in range(len(one)) if n not in pairs]:
            low = max((pairs[n] for n in pairs if n < at), default=-1)
            high = min((pairs[n] for n in pairs if n > at), default=len(other))
            left = [n for n in range(low + 1, high) if n not in pairs.values()]
            like = [n for n in left if kind_of(other[n]) == kind_of(one[at])]
            if like:
                pairs[at] = like[0]
    return dict(sorted(pairs.items()))


def _pair(
    one: Sequence[Data],
    other: Sequence[Data],
    trait: Callable[[Data], Any],
    pairs: dict[int, int],
) -> None:
    for at, step in enumerate(one):
        free = (n for n in range(len(other)) if n not in pairs.values())
        mark = trait(step)
        if at not in pairs and mark:
            found = next((n for n in free if trait(other[n]) == mark), None)
            if found is not None:
                pairs[at] = found


def arranged(
    count: int,
    mine: Mapping[int, int],
    merged: Mapping[int, Data],
    came: Mapping[int, int],
    new: Sequence[Data],
) -> list[Data]:
    """The merged steps in people's order, each new one behind what it stands behind in the note;
    where people left the order alone, in the note's. `mine`: places then -> places now by hand;
    `came`: places in the note now -> places by hand, -1 where it was taken out there."""
    untouched = [mine[at] for at in range(count) if at in mine]
    order = sorted(merged)
    if untouched == sorted(untouched):
        order = _spine(order, [o for o in came.values() if o in merged])
    made: list[Data] = [merged[o] for o in order]
    before: Data | None = None
    for n, step in enumerate(new):
        if n in came:
            before = merged.get(came[n], before)
            continue
        at = next((i for i, each in enumerate(made) if each is before), -1)
        made.insert(at + 1, step)
        before = step
    return made


def _spine(order: Sequence[int], noted: Sequence[int]) -> list[int]:
    """`order` with the noted ones in their own order, each with what people put behind it."""
    after: dict[int, list[int]] = {}
    head: list[int] = []
    last: int | None = None
    for o in order:
        if o in noted:
            last = o
        else:
            (head if last is None else after.setdefault(last, [])).append(o)
    return [*head, *(each for o in noted for each in (o, *after.get(o, ())))]
