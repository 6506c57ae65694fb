"""`rollout: {watch: 2m}`: between two batches the checks are looked at again and again, by the
rules of the bake window, with the hosts that still have the old release as a control.

Green is only what was looked at often enough. What nobody can tell yet is watched on, up to the
limit, and then it is no success.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from backout.checks import comparing
from backout.checks.comparing import Compared, Side
from backout.checks.streaks import Policy, weigh
from backout.model import Finding, Rollout, Streak, Verdict, duration
from backout.model.canary import canary_checks
from backout.runs.counting import counters
from backout.runs.worker import Worker

USUAL = 5.0
"""Seconds between two looks at every check."""
LOOKS = 900
"""So many looks a comparison wants within its window, at each host."""
FASTEST = 0.05
TIMES = 10
"""So often both sides are compared within a window: each time more may be an alarm by chance."""
LIMIT = 3.0
"""So many windows are waited for what nobody can tell."""


class Watching:
    """One window, after one batch."""

    def __init__(self, worker: Worker, new: Sequence[str], old: Sequence[str]) -> None:
        """`new` hosts have the new release, `old` ones still the old one."""
        self.worker = worker
        self.plan: Rollout = worker.plan.target.rollout
        self.new, self.old = tuple(new), tuple(old)
        self.green = frozenset(
            each.key
            for each in (*worker.baseline.findings, *worker.findings)
            if each.verdict is Verdict.PASS
        )
        checks = worker.plan.target.checks
        self.canary = canary_checks(checks) if self.plan.compare else ()
        self.counters = counters(worker)
        self.streaks: dict[str, Streak] = {}
        self.last: dict[str, Finding] = {}
        self.sides: dict[tuple[str, bool], Side] = {}
        self.compared: dict[str, Compared] = {}

    def red(self) -> tuple[Finding, ...]:
        """What went red, or cannot be told at the limit; nothing when all of it stayed green."""
        clock = self.worker.parts.clock
        began = clock.monotonic()
        for counter in self.counters:
            counter.begin()
        limit = self.plan.watch_limit or LIMIT * self.plan.watch
        whole, compare = began, began + self.plan.watch / TIMES
        while not self.worker.stopped:
            started = clock.monotonic()
            full = started >= whole
            if full or self.canary:
                self._look(() if full else self.canary)
            whole += self._pause(fast=False) if full else 0.0
            over = clock.monotonic() - began >= self.plan.watch
            if clock.monotonic() >= compare:
                compare += self.plan.watch / TIMES
                self._compare()
            if red := tuple(self._red()):
                return red
            if over and not (doubt := tuple(self._doubtful())):
                return ()
            if clock.monotonic() - began >= limit:
                return doubt
            clock.sleep(max(0.0, started + self._pause(fast=True) - clock.monotonic()))
        return tuple(self._doubtful()) or (self._said("", self.worker.stopped),)

    def _pause(self, *, fast: bool) -> float:
        usual = self.plan.watch_every or USUAL
        if not fast or not self.plan.compare:
            return usual
        return min(usual, max(FASTEST, self.plan.watch / (LOOKS if self.canary else TIMES)))

    # --- looking ---------------------------------------------------------------------------

    def _look(self, names: Sequence[str]) -> None:
        at = self.worker.parts.clock.now().timestamp()
        for finding in self.worker.look(names, (*self.new, *self.old)):
            self._weigh(finding, at)
            if finding.check in self.canary and finding.host:
                self._sample(finding)

    def _weigh(self, finding: Finding, at: float) -> None:
        policy = Policy.of_check(self.worker.plan.target.checks[finding.check])
        policy = replace(policy, quiet=False)
        streak = self.streaks.get(finding.key, Streak())
        self.streaks[finding.key], _ = weigh(streak, finding.verdict, at, policy)
        self.last[finding.key] = finding

    def _sample(self, finding: Finding) -> None:
        """A look that could not be made at all says nothing of either release."""
        if finding.verdict is Verdict.INCONCLUSIVE or finding.key not in self.green:
            return
        passed = finding.verdict is Verdict.PASS
        key = (finding.check, finding.host in self.new)
        took = (finding.elapsed_ms,) if passed else ()
        self.sides[key] = self.sides.get(key, Side()).plus(took, 0 if passed else 1)

    def _compare(self) -> None:
        for name in self.canary:
            new, old = (self.sides.get((name, side), Side()) for side in (True, False))
            self.compared[name] = comparing.compared(new, old)
        for counter in self.counters:
            self.compared |= counter.compared(self.new, self.old)

    # --- judging ---------------------------------------------------------------------------

    def _judged(self) -> Iterator[Finding]:
        """What counts: on the new hosts or on none, and green before."""
        for key, finding in self.last.items():
            if key in self.green and finding.host not in self.old:
                yield finding

    def _red(self) -> Iterator[Finding]:
        for finding in self._judged():
            if self.streaks[finding.key].ill == "fail" and not self._ill_on_old(finding.check):
                yield replace(finding, verdict=Verdict.FAIL)
        for name, found in self.compared.items():
            if found.worse:
                yield self._said(name, found.worse, Verdict.FAIL)

    def _ill_on_old(self, check: str) -> bool:
        """Whether the old release has the same trouble, which the new one did not bring then."""
        there = (self.streaks.get(f"{check}@{host}", Streak()) for host in self.old)
        return any(each.ill or each.bad for each in there)

    def _doubtful(self) -> Iterator[Finding]:
        """What is neither red nor proved."""
        spent = f"nobody can tell after {duration(self.plan.watch)} and more"
        for finding in self._judged():
            if self.streaks[finding.key].bad or self.streaks[finding.key].ill:
                also = "; old hosts have it too" if self._ill_on_old(finding.check) else ""
                reason = f"{spent}{also}: {finding.reason}"
                yield replace(finding, verdict=Verdict.INCONCLUSIVE, reason=reason)
        nothing = dict.fromkeys(self.canary, Compared())
        for name, found in (nothing | self.compared).items():
            if self.old and found.unknown:
                yield self._said(name, f"{spent}: {found.unknown}")

    def _said(self, check: str, words: str, verdict: Verdict = Verdict.INCONCLUSIVE) -> Finding:
        return Finding(check or "watch", None, verdict, reason=words)
