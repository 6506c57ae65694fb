"""What a turn of the watcher makes of the looks that came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from backout.checks import drift, streaks
from backout.checks.streaks import Policy, Transition
from backout.model import CheckKey, Finding, Incident, Sample, Streak, Verdict
from backout.ports import HealthChange
from backout.watch import alerts
from backout.watch.messages import told
from backout.watch.schedule import Rhythm
from backout.watch.watched import Looked, WatchedTarget

if TYPE_CHECKING:
    from backout.watch.watcher import Watcher


@dataclass(slots=True)
class Turn:
    """What a turn makes of the looks that came back: nothing of it counts until it is written."""

    watcher: Watcher
    streaks: dict[CheckKey, Streak] = field(default_factory=dict)
    memory: dict[CheckKey, Mapping[str, Any]] = field(default_factory=dict)
    latest: dict[CheckKey, Finding] = field(default_factory=dict)
    certificates: dict[CheckKey, float] = field(default_factory=dict)
    said: list[tuple[str, bool]] = field(default_factory=list)
    doubtful: list[tuple[CheckKey, Policy, Rhythm]] = field(default_factory=list)
    posted: bool = False
    taken: list[Looked] = field(default_factory=list)

    def take(self, change: HealthChange, looked: Looked) -> None:
        self.taken.append(looked)
        blocked = looked.watched.blocked(looked.findings)
        for finding in looked.findings:
            if finding.check in looked.watched.target.checks:
                self._one(change, looked, finding, counts=finding.check not in blocked)

    def without(self, looks: Sequence[Looked]) -> list[Looked]:
        """Those that are not part of this turn."""
        taken = {id(each) for each in self.taken}
        return [each for each in looks if id(each) not in taken]

    def _one(self, change: HealthChange, looked: Looked, finding: Finding, *, counts: bool) -> None:
        watched, at = looked.watched, looked.at
        check_key = CheckKey(watched.name, finding.check, finding.host or "")
        check = watched.target.checks[finding.check]
        policy = Policy.of_check(check)
        finding = self._held_against_snapshot(change, watched, check_key, finding, at)
        streak = self.streaks.get(check_key) or self.watcher.streaks.get(check_key) or Streak()
        transition: Transition | None = None
        if counts:
            streak, transition = streaks.weigh(streak, finding.verdict, at, policy)
        self.streaks[check_key] = streak
        self.latest[check_key] = replace(finding, facts={}, saved={})
        if (ends := _first_to_end(finding.facts.get("tls"))) is not None:
            self.certificates[check_key] = ends
        sample = Sample(
            check_key, at, finding.verdict, finding.elapsed_ms, finding.queued_ms, _reason(finding)
        )
        change.look(
            sample,
            streak,
            memory=self._remember(watched, check_key),
            tick=looked.due if check_key == looked.check_key else None,
        )
        if transition is not None:
            self._transit(change, watched, check_key, finding, transition, policy, at)
        if check_key == looked.check_key and (
            entry := self.watcher.timetable.entries.get(check_key)
        ):
            self.doubtful.append((check_key, policy, entry.rhythm))

    def _remember(self, watched: WatchedTarget, check_key: CheckKey) -> Mapping[str, Any] | None:
        memory = watched.memory(check_key.key)
        if memory == self.watcher.remembered(check_key):
            return None
        self.memory[check_key] = memory
        return memory

    def _held_against_snapshot(
        self,
        change: HealthChange,
        watched: WatchedTarget,
        check_key: CheckKey,
        finding: Finding,
        at: float,
    ) -> Finding:
        """Drift since the last known-good release is a failure."""
        deployed = watched.news.deployed
        if drift.FACT not in finding.facts:
            return finding
        release = deployed.release.number if deployed and deployed.known_good else 0
        reference = self.watcher.store.snapshot(check_key)
        if reference is None or reference[0] != release:
            if finding.verdict is Verdict.PASS:
                change.snapshot(check_key, release, at, finding.facts[drift.FACT])
            return finding
        return drift.judged(finding, release, reference)

    def _transit(
        self,
        change: HealthChange,
        watched: WatchedTarget,
        check_key: CheckKey,
        finding: Finding,
        transition: Transition,
        policy: Policy,
        at: float,
    ) -> None:
        streak, incident = self.streaks[check_key], change.incident(check_key)
        check = watched.target.checks[check_key.check]
        if transition.kind == "resolve":
            if incident is not None:
                change.resolve(incident.id, at)
                if incident.told is not None:
                    self._tell(change, incident, "resolve", at)
            self.said.append((f"{check_key} is healthy again", False))
            return
        seen = alerts.evidence(finding, check, streak.bad, asks=watched.asks(check_key))
        seen["deploy"] = told(watched.news.deployed)
        if incident is None:
            incident = Incident(check_key, transition.ill, transition.since, at, seen)
            incident = replace(incident, id=change.open(incident))
        else:
            change.worsen(incident.id, transition.ill, seen)
            incident = replace(incident, kind=transition.ill, evidence=seen)
        self.said.append((f"{alerts.title(incident, transition.kind)}: {finding.reason}", True))
        if not (change.silenced(check_key, at) or watched.maintained(check_key, at)):
            flaps = alerts.flapping(streak, policy)
            self._tell(change, incident, transition.kind, at, flaps)

    def _tell(
        self, change: HealthChange, incident: Incident, kind: str, at: float, more: str = ""
    ) -> None:
        told = self.watcher.messages.tell(change, incident, kind, at, more)
        self.posted = self.posted or bool(told)


def _reason(finding: Finding) -> str:
    """What is kept of why; of zones, what each of them says."""
    passes = finding.verdict is Verdict.PASS
    return "" if passes and not finding.zones else finding.reason


def _first_to_end(tls: Any) -> float | None:
    """When the first certificate of a chain ends, if one was seen."""
    if not isinstance(tls, Mapping):
        return None
    several = (tls, *tls.get("chain", ()))
    ends = [str(each["not_after"]) for each in several if each.get("not_after")]
    return min((datetime.fromisoformat(each).timestamp() for each in ends), default=None)
