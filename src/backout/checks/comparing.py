"""Hosts that have the new release against hosts that still have the old one. Pure.

Medians say how much slower it is, Mann and Whitney's test whether that is more than chance: it asks
nothing of how latencies are spread, which are never normal. For failed looks it is Fisher's exact
test, because there are few of them. Both are SciPy's, which is read when it is first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import median
from typing import Any

ALPHA = 0.001
"""How likely an alarm about equal releases may be, of one test on one check."""
SLOWER = 1.1
"""A median that has grown by less is nobody's trouble, however certain it is."""
FEWEST = 150
"""Looks at either side without which nothing is said at all."""


@dataclass(frozen=True, slots=True)
class Side:
    """What the looks at one check said, on the hosts of one side."""

    took: tuple[float, ...] = ()
    """Milliseconds of each look that passed."""
    failed: int = 0
    untimed: int = 0
    """What passed, too, and nobody knows how long it took."""

    @property
    def looks(self) -> int:
        return len(self.took) + self.failed + self.untimed

    def plus(self, took: Sequence[float], failed: int) -> Side:
        return Side((*self.took, *took), self.failed + failed)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison came to."""

    worse: str = ""
    """In what the new release is worse, in words."""
    unknown: str = "nothing was seen"
    """Why nobody can tell; empty where there was enough to tell."""


def compared(new: Side, old: Side, *, noun: str = "looks") -> Compared:
    """Whether the new side is worse than the old one. Too few looks prove nothing."""
    if min(new.looks, old.looks) < FEWEST:
        few = f"{new.looks} {noun}, and {old.looks} on the old release, are too few to compare"
        return Compared(unknown=few)
    words = "; ".join(filter(None, (_more_failures(new, old, noun), _slower(new, old))))
    return Compared(words, unknown="")


def _more_failures(new: Side, old: Side, noun: str) -> str:
    if new.failed * old.looks <= old.failed * new.looks:
        return ""
    table = [[new.failed, new.looks - new.failed], [old.failed, old.looks - old.failed]]
    chance = float(_tests().fisher_exact(table, alternative="greater")[1])
    if chance >= ALPHA:
        return ""
    return (
        f"{new.failed} of {new.looks} {noun} failed, of {old.failed} in {old.looks} on the old"
        f" release (p = {chance:.1g})"
    )


def _slower(new: Side, old: Side) -> str:
    if not new.took or not old.took or median(new.took) < SLOWER * median(old.took):
        return ""
    chance = float(_tests().mannwhitneyu(new.took, old.took, alternative="greater")[1])
    if chance >= ALPHA:
        return ""
    return (
        f"its median is {median(new.took):.0f} ms, of {median(old.took):.0f} ms on the old release"
        f" (p = {chance:.1g})"
    )


def _tests() -> Any:
    return import_module("scipy.stats")
