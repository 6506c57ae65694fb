"""Look after look: when a check is ill, and when it is well again. Pure.

What is not a pass is never healthy. Each time that it falls ill again within the hour, it takes
twice as many good looks to be well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backout.model import Alert, Check, Streak, Verdict

FLAPS_WITHIN = 3600.0
"""How long an opened alert counts as recent."""
PATIENCE = 32
"""A flapping check needs at most so many times its usual number of good looks."""
_LETTER = {Verdict.PASS: "p", Verdict.FAIL: "f", Verdict.ERROR: "e", Verdict.INCONCLUSIVE: "i"}


@dataclass(frozen=True, slots=True)
class Policy:
    """When an alert opens and resolves."""

    after: int = 3
    of: int = 0
    """Zero: `after` in a row. Else `after` out of the last `of`."""
    recover: int = 2
    remind: float | None = None
    quiet: bool = False
    """It may be red until it has been green once: a deploy is there to turn it green."""

    @classmethod
    def of_check(cls, check: Check) -> Policy:
        alert: Alert = check.alert
        quiet = check.baseline != "passes"
        return cls(alert.after, alert.of or 0, alert.recover, alert.remind, quiet)


@dataclass(frozen=True, slots=True)
class Transition:
    """The state has changed."""

    kind: str
    """`open`, `worse` or `resolve`."""
    ill: str = ""
    since: float = 0.0


def weigh(
    streak: Streak, verdict: Verdict, at: float, policy: Policy
) -> tuple[Streak, Transition | None]:
    """One more look."""
    streak = _counted(streak, verdict, at, policy)
    if streak.ill:
        return _weigh_ill(streak, policy)
    if not _alarming(streak, policy):
        return streak, None
    ill = "fail" if "f" in streak.last[-max(policy.after, policy.of) :] else "unknown"
    opened = (*(t for t in streak.opened if at - FLAPS_WITHIN < t <= at), at)
    return replace(streak, ill=ill, opened=opened), Transition("open", ill, streak.since)


def in_doubt(streak: Streak, policy: Policy) -> bool:
    """Between the first bad look and the alert, or between the first good one and its end."""
    if streak.ill:
        return 0 < streak.good < policy.recover
    return (
        streak.bad > 0 and not _alarming(streak, policy) and not (policy.quiet and not streak.green)
    )


def needed(streak: Streak, policy: Policy) -> int:
    """How many good looks in a row resolve the alert."""
    return policy.recover * int(min(2**streak.flaps, PATIENCE))


def _counted(streak: Streak, verdict: Verdict, at: float, policy: Policy) -> Streak:
    last = (streak.last + _LETTER[verdict])[-max(policy.of, policy.after, 1) :]
    if verdict is Verdict.PASS:
        over = not streak.ill and not (policy.of and set(last) - {"p"})
        since = 0.0 if over else streak.since
        return replace(
            streak, bad=0, fails=0, good=streak.good + 1, last=last, since=since, green=True
        )
    fails = streak.fails + 1 if verdict is Verdict.FAIL else 0
    return replace(
        streak, bad=streak.bad + 1, fails=fails, good=0, last=last, since=streak.since or at
    )


def _alarming(streak: Streak, policy: Policy) -> bool:
    if policy.quiet and not streak.green:
        return False
    if policy.of:
        return sum(each != "p" for each in streak.last[-policy.of :]) >= policy.after
    return streak.bad >= policy.after


def _weigh_ill(streak: Streak, policy: Policy) -> tuple[Streak, Transition | None]:
    if streak.good >= needed(streak, policy):
        well = replace(streak, ill="", since=0.0, last="")
        return well, Transition("resolve", streak.ill, streak.since)
    if streak.ill == "unknown" and streak.fails >= policy.after:
        return replace(streak, ill="fail"), Transition("worse", "fail", streak.since)
    return streak, None
