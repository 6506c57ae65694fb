"""One target as it is watched, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backout.model import SEVERITIES, CheckKey, Finding, Severity, Target, Verdict
from backout.watch import schedule
from backout.watch.bake import Deployed
from backout.watch.schedule import Rhythm


@dataclass(frozen=True, slots=True)
class TargetState:
    """What the journal says of a target."""

    held: str = ""
    """Which run holds it, in words; empty while it is free."""
    deployed: Deployed | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """A look that came back."""

    watched: WatchedTarget
    check_key: CheckKey
    due: float
    at: float
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class WatchedTarget:
    """One target as it is watched, until its inventory changes."""

    target: Target
    roots: tuple[CheckKey, ...]
    look: Callable[[CheckKey, Deployed | None], tuple[Finding, ...]]
    """Look at a check key, from any thread. Raises nothing."""
    destinations: tuple[str, ...] = ()
    severities: Mapping[str, Severity] = field(default_factory=dict)
    """From which severity on a destination hears; of all, when it is not said."""
    asks: Callable[[CheckKey], str] = lambda _: ""
    """What a check asks, in words."""
    memory: Callable[[str], Mapping[str, Any]] = lambda _: {}
    """What the probe of a finding's key wants to find again."""
    close: Callable[[], None] = lambda: None
    news: TargetState = field(default_factory=TargetState)
    baking: bool = False
    skipped: int = 0
    running: int = 0
    retired: bool = False

    @property
    def name(self) -> str:
        return self.target.name

    def look_at(self, check_key: CheckKey, deployed: Deployed | None) -> tuple[Finding, ...]:
        """What a look finds; also when it breaks, for else it would never come back."""
        try:
            return self.look(check_key, deployed) or (_broken(check_key, "it found nothing"),)
        except Exception as error:  # noqa: BLE001 - one broken check must not end the watcher
            return (_broken(check_key, f"{type(error).__name__}: {error}"),)

    def asks_zones(self, check_key: CheckKey) -> bool:
        """Whether others look at it."""
        return bool(self.target.checks[check_key.check].from_)

    def to(self, severity: Severity) -> frozenset[str]:
        """The destinations that hear of this severity."""
        least = self.severities
        matters = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return frozenset(each for each in self.destinations if least.get(each, "info") in matters)

    def maintained(self, check_key: CheckKey, now: float) -> bool:
        """Whether a maintenance window is open for it."""
        return any(
            schedule.within(window.cron, self.target.timezone, window.for_, now)
            for window in self.target.maintenance
            if not window.checks or check_key.check in window.checks
        )

    def has(self, check_key: CheckKey) -> bool:
        """Whether this is still one of its checks, on one of its hosts."""
        check = self.target.checks.get(check_key.check)
        if check is None or check_key.target != self.name:
            return False
        if not check_key.host:
            return check.on is None
        on = self.target.select(check.on or "all")
        return any(host.name == check_key.host for host in on)

    def rhythms(self) -> dict[CheckKey, Rhythm]:
        """When each check key is due; more often while baking."""
        checks, zone = self.target.checks, self.target.timezone
        rhythms = {s: Rhythm.of(str(s), checks[s.check], zone) for s in self.roots}
        if self.baking and self.target.bake:
            every = self.target.bake.every
            for check_key, rhythm in rhythms.items():
                if rhythm.cron or rhythm.every > every:
                    rhythms[check_key] = Rhythm(str(check_key), every)
        return rhythms

    def blocked(self, findings: Sequence[Finding]) -> frozenset[str]:
        """The checks that were not looked at, because one that leads to them did not pass."""
        return blocked(self.target, findings)


def blocked(target: Target, findings: Sequence[Finding]) -> frozenset[str]:
    """The checks that were not looked at, because one that leads to them did not pass."""
    found: set[str] = set()
    ahead = [f.check for f in findings if f.verdict is not Verdict.PASS]
    while ahead:
        check = target.checks.get(ahead.pop())
        new = set(check.then) - found if check else set()
        found |= new
        ahead += new
    return frozenset(found)


def _broken(check_key: CheckKey, why: str) -> Finding:
    return Finding(
        check_key.check,
        check_key.host or None,
        Verdict.ERROR,
        reason=f"the check itself broke: {why}",
    )
