"""What was well right before a rollback and is not well after it: the release that it goes back to
does not come up, and the one that it leaves did."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from backout.checks import judging
from backout.errors import Unreachable
from backout.model import Command, Finding, Verdict, alike
from backout.ports import PAUSES
from backout.runs.backward import Backward
from backout.runs.baseline import Baseline
from backout.runs.decisions import Decisions
from backout.runs.parts import Parts, side_by_side
from backout.runs.roll_forward import one_way
from backout.runs.serving import stopped, who_serves
from backout.runs.worker import Worker

BEFORE = "baseline"
THERE = Command("true", timeout=60.0, brief=True)
"""What whoever can be asked does."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is seen of hosts that went back."""

    hosts: Collection[str]
    stuck: Mapping[str, str]
    """Host -> why."""
    down: Sequence[Finding] = ()
    """What does not run of what ran before the runs that are undone."""
    red: Sequence[Finding] = ()
    """What does not pass of what passed before them."""

    def without(self, away: Collection[str]) -> Seen:
        """Hosts that are away say nothing of a release, nor does what is looked at without them."""
        hosts = [host for host in self.hosts if host not in away]
        down, red = (
            [found for found in each if found.host and found.host not in away]
            for each in (self.down, self.red)
        )
        return Seen(hosts, self.stuck, down, red)


@dataclass(frozen=True, slots=True)
class Setback:
    """Why a rollback goes no further back."""

    why: str
    red: tuple[Finding, ...]


class Found:
    """What a rollback found, and what became of it."""

    def __init__(
        self, parts: Parts, decisions: Decisions, ways: Sequence[Backward], hosts: Sequence[str]
    ) -> None:
        self.parts = parts
        self.decisions = decisions
        self.ways = ways
        self.hosts = hosts

    # --- before the first undo -----------------------------------------------------------

    def look(self) -> None:
        """Put on record what holds now, and why there would be no way forward again."""
        newest = self.ways[0].worker
        newest.phase("what is there now", self.hosts)
        findings = self._checked()
        served = side_by_side(lambda host: who_serves(self._knows(host), host), self.hosts)
        seen = dict(zip(self.hosts, served, strict=True))
        up = {host: identity.runs for host, identity in seen.items() if identity}
        well = {host: identity.up for host, identity in seen.items() if identity}
        why = one_way(self.ways)
        if why:
            newest.say("warning", f"should it not come up, there is no way forward again: {why}")
        record = Baseline(findings, up=up, well=well).record()
        self.decisions.note(BEFORE, {**record, "one_way": why})

    def _checked(self) -> tuple[Finding, ...]:
        """What all checks say. What could not tell is asked once more, what could not be asked
        after each pause."""
        findings = self._examined((), patient=False)
        unclear = {Verdict.ERROR, Verdict.INCONCLUSIVE}
        for pause in PAUSES:
            names = sorted({f.check for f in findings if f.verdict in unclear})
            if not names:
                break
            self.parts.clock.sleep(pause)
            findings = judging.latest((*findings, *self._examined(names, patient=True)))
            unclear = {Verdict.ERROR}
        return findings

    def _knows(self, host: str) -> Worker:
        """The newest run that knows the host."""
        return next(way.worker for way in self.ways if host in way.plan.hosts)

    # --- afterwards ----------------------------------------------------------------------

    @property
    def one_way(self) -> str:
        """Why there is no way forward again; empty where there is one."""
        noted = self.decisions.noted(BEFORE)
        if noted is None:
            return "what was there before is not on record"
        return one_way(self.ways) if noted["one_way"] else ""

    @cached_property
    def before(self) -> Baseline:
        """What was there before the first undo; not asked for before it is on record."""
        noted = self.decisions.noted(BEFORE)
        return Baseline() if noted is None else Baseline.of(noted)

    def failed(self) -> list[str]:
        """The hosts that were well, and did not settle on the earlier release."""
        ill = {host for way in self.ways for host in way.ill}
        return [host for host in self.hosts if host in ill and self._was_well(host)]

    def setback(self, seen: Seen) -> Setback | None:
        """What was well right before on hosts that can be asked, and is not."""
        worse = self._worse(seen)
        away = self._away() if worse else ()
        return self._worse(seen.without(away)) if away else worse

    def _away(self) -> Sequence[str]:
        """The hosts that cannot be asked, after each pause."""

        def away(host: str) -> bool:
            try:
                return not self.parts.reach(host).run(THERE).ok
            except Unreachable:
                return True

        gone = self.hosts
        for pause in PAUSES:
            self.parts.clock.sleep(pause)
            asked = zip(gone, side_by_side(away, gone), strict=True)
            gone = [host for host, unheard in asked if unheard]
            if not gone:
                break
        return gone

    def _worse(self, seen: Seen) -> Setback | None:
        stuck = {host: why for host, why in seen.stuck.items() if host in seen.hosts}
        failed = {host: stuck[host] for host in self.failed() if host in stuck}
        up, passed = self.before.up, self._passed
        worse = (
            *(found for found in seen.down if found.host and up.get(found.host)),
            *(found for found in seen.red if found.key in passed),
        )
        why = "; ".join((*alike.told(failed), *alike.red(worse)))
        return Setback(why, worse) if why else None

    def proved(self) -> tuple[tuple[Finding, ...], list[Finding]]:
        """What is found where the release that was left is there again, and what of it is not as
        it was: every check that passed right before, every service that ran, and all traffic. A
        check that could not tell before must not fail."""
        passed, unclear = self._passed, self._unclear
        names = sorted({f.check for f in self.before.findings if f.key in passed | unclear})
        found = self._examined(names, patient=True) if names else ()
        red = [f for f in found if f.key in passed and f.verdict is not Verdict.PASS]
        red += [f for f in found if f.key in unclear and f.verdict is Verdict.FAIL]
        ran = [host for host in self.hosts if self.before.up.get(host)]
        down = [
            found
            for way in self.ways
            for found in stopped(way.worker, [h for h in ran if self._knows(h) is way.worker])
        ]
        out = [f for way in self.ways for f in way.out(self.hosts)]
        return found, list(judging.latest((*red, *down, *out)))

    def _examined(self, names: Sequence[str], *, patient: bool) -> tuple[Finding, ...]:
        newest = self.ways[0].worker
        baseline, release = newest.baseline.findings, newest.release
        return self.parts.examine(names, self.hosts, baseline, release, patient=patient)

    def words(self, red: Sequence[Finding]) -> list[str]:
        """What `proved` found not to be as it was, each with how it was."""
        unclear = [f for f in red if f.key in self._unclear]
        passed = alike.red([f for f in red if f not in unclear], "it passed before")
        return [*passed, *alike.red(unclear, "nobody could tell before")]

    @property
    def _passed(self) -> frozenset[str]:
        return judging.after_backing_out(self.before.findings)

    @property
    def _unclear(self) -> frozenset[str]:
        known = (Verdict.PASS, Verdict.FAIL)
        return frozenset(f.key for f in self.before.findings if f.verdict not in known)

    def _was_well(self, host: str) -> bool:
        """Whether its service was up, where it has one, and none of its own checks was red."""
        before = self.before
        up = host not in before.up or bool(before.up[host] and before.well.get(host, True))
        red = (f for f in before.findings if f.verdict is not Verdict.PASS)
        return up and all(finding.host != host for finding in red)
