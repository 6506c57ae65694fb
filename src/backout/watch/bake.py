"""After a deploy: whether what the checks say now is a reason to revert it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backout.checks.streaks import FLAPS_WITHIN
from backout.model import Bake, CheckKey, Incident, Release, Streak


@dataclass(frozen=True, slots=True)
class Deployed:
    """The deploy that a target is on."""

    run: str
    release: Release
    started: float
    ended: float
    green: frozenset[str] = frozenset()
    """The checks (`alive`, `alive@web1`) that passed before it."""
    by: str = ""
    known_good: bool = True
    restored: bool = False
    """A rollback came back to it: it baked before."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be done."""

    red: tuple[CheckKey, ...] = ()
    """Green before, red now: the reason to revert."""
    held: tuple[CheckKey, ...] = ()
    """Green before, and now nobody can tell: a reason to wait for a person."""


def window(bake: Bake | None, deployed: Deployed | None, now: float) -> bool:
    """Whether the bake window is open."""
    if bake is None or deployed is None or deployed.restored:
        return False
    return now < deployed.ended + bake.for_


def judge(
    deployed: Deployed, streaks: Mapping[CheckKey, Streak], incidents: Iterable[Incident]
) -> Judgement:
    """`streaks` are those of the target; `incidents` all of its recent ones. Only an alert that
    opened after the deploy counts, of a check that passed before it and did not come and go."""
    shaky = {
        each.check_key
        for each in incidents
        if each.opened < deployed.ended
        and (each.resolved is None or each.resolved > deployed.started - FLAPS_WITHIN)
    }
    red: list[CheckKey] = []
    held: list[CheckKey] = []
    for check_key, streak in streaks.items():
        opened = streak.opened[-1] if streak.opened else 0.0
        if not streak.ill or opened < deployed.ended or check_key in shaky:
            continue
        if check_key.key in deployed.green:
            (held if "i" in streak.last else red).append(check_key)
    return Judgement(tuple(red), tuple(held))
