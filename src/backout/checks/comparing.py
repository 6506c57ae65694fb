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

    @property
    def looks(self) -> int:
        return len(self.took) + self.failed

    def plus(self, took: Sequence[float], failed: int) -> Side:
        return Side((*self.took, *took), self.failed + failed)


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison came to."""

    worse: str = ""
    """In what the new release is worse, in words."""
    enough: bool = False
    """Whether there were looks enough to tell."""


def compared(new: Side, old: Side) -> Compared:
    """Whether the new side is worse than the old one. Too few looks prove nothing."""
    if min(new.looks, old.looks) < FEWEST:
        return Compared()
    words = "; ".join(filter(None, (_more_failures(new, old), _slower(new, old))))
    return Compared(words, enough=True)


def _more_failures(new: Side, old: Side) -> str:
    if new.failed * old.looks <= old.failed * new.looks:
        return ""
    table = [[new.failed, new.looks - new.failed], [old.failed, old.looks - old.failed]]
    chance = float(_tests().fisher_exact(table, alternative="greater")[1])
    if chance >= ALPHA:
        return ""
    return (
        f"{new.failed} of {new.looks} looks failed, of {old.failed} in {old.looks} on the old"
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
