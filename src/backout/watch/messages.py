"""What the watcher tells people: what opened, what is still there, what is over."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backout.checks.streaks import Policy
from backout.model import CheckKey, Incident, Message, Streak, Verdict
from backout.ports import HealthChange
from backout.watch import alerts
from backout.watch.bake import Deployed
from backout.watch.watched import WatchedTarget
from backout.watch.words import utc

if TYPE_CHECKING:
    from backout.watch.watcher import Watcher

REMIND_EVERY = 15.0


def told(deployed: Deployed | None) -> str:
    """The last deploy, in words."""
    if deployed is None:
        return ""
    by = f" by {deployed.by}" if deployed.by else ""
    return f"release {deployed.release} at {utc(deployed.ended)}{by} (run {deployed.run})"


class Messages:
    """Writes messages for every destination of a target; they are sent by others."""

    def __init__(self, watcher: Watcher, wake: Callable[[], None]) -> None:
        self._watcher = watcher
        self.store = watcher.store
        self.clock = watcher.clock
        self.wake = wake
        self.page = ""
        """Where people see the whole of it."""

    def remind(self) -> None:
        """Tell of what is open what has to be told now. Raises Unwritten."""
        now = self.clock.now().timestamp()
        if not self.store.incidents(open=True, limit=1):
            return
        posted = False
        with self.store.write() as change:
            for incident in change.incidents():
                posted |= self._mind(change, incident, now)
        if posted:
            self.wake()

    def _mind(self, change: HealthChange, incident: Incident, now: float) -> bool:
        """What an open incident asks for now."""
        if self._is_gone(incident):
            change.resolve(incident.id, now)
            change.streak(incident.check_key, Streak())
            self._watcher.streaks.pop(incident.check_key, None)
            return bool(self.tell(change, incident, "gone", now))
        watched = self._watcher.targets.get(incident.check_key.target)
        if watched is None:
            return False
        check = watched.target.checks.get(incident.check_key.check)
        told = change.told_at(incident.id)
        word = alerts.due_word(
            incident,
            Policy.of_check(check) if check else Policy(),
            now,
            silenced=(silenced := self._quiet(change, watched, incident, now)),
            waiting=any(change.in_hand(incident.id, each) for each in told),
        )
        if not silenced and self._recipients(incident) - told:
            word = "open"  # somebody has not heard of it yet
        return bool(word and self.tell(change, incident, word, now))

    def _quiet(
        self, change: HealthChange, watched: WatchedTarget, incident: Incident, now: float
    ) -> bool:
        check_key = incident.check_key
        return change.silenced(check_key, now) or watched.maintained(check_key, now)

    def _is_gone(self, incident: Incident) -> bool:
        """Nobody looks at it any more, and nobody will."""
        check_key = incident.check_key
        watched = self._watcher.targets.get(check_key.target)
        if watched is None:
            return self._watcher.absent(check_key.target)
        return incident.kind != "notice" and not watched.has(check_key)

    def _recipients(self, incident: Incident) -> frozenset[str]:
        """Where it is told; of a target that is not watched, wherever anything is told."""
        watched = self._watcher.targets.get(incident.check_key.target)
        if watched is not None:
            return watched.to(incident.evidence.get("severity", "critical"))
        several = self._watcher.targets.values()
        return frozenset(each for watched in several for each in watched.destinations)

    def tell(
        self, change: HealthChange, incident: Incident, kind: str, now: float, more: str = ""
    ) -> int:
        """Write to every destination that has to know; how many messages that were. One that has
        not heard of it hears that it is new, and only one that has heard of it that it is over."""
        told = change.told_at(incident.id)
        over = kind in ("resolve", "gone")
        if not over:
            change.told(incident.id, now)
        recipients = told if over else self._recipients(incident)
        if kind == "open":
            recipients = recipients - told
        for destination in sorted(recipients):
            word = kind if destination in told else "open"
            message = self._message(incident, word, now, more)
            change.post(replace(message, destination=destination))
        return len(recipients)

    def _message(self, incident: Incident, kind: str, now: float, more: str) -> Message:
        if kind == "remind":
            incident = self._as_it_is(incident)
        deploy = str(incident.evidence.get("deploy", ""))
        key = f"{self.store.name}-{incident.id}-{kind}"
        return Message(
            target=incident.check_key.target,
            destination="",
            kind="resolve" if kind == "gone" else kind,
            key=f"{key}-{now:.0f}" if kind == "remind" else key,
            title=alerts.title(incident, kind),
            body=alerts.body(
                incident, kind, now=now, last_deploy=deploy, flaps=more, page=self.page
            ),
            created=now,
            incident=incident.id,
        )

    def _as_it_is(self, incident: Incident) -> Incident:
        """With what was seen last, and how often by now."""
        streak = self._watcher.streaks.get(incident.check_key)
        last = self._watcher.seen(incident.check_key)
        now: dict[str, Any] = {"looks": streak.bad} if streak and streak.bad else {}
        if last is not None and last.verdict is not Verdict.PASS:
            now |= {"came": last.reason, "excerpt": last.excerpt, "verdict": str(last.verdict)}
        return replace(incident, evidence={**incident.evidence, **now})

    def note(self, watched: WatchedTarget, key: str, title: str, body: str) -> None:
        """A message that is no alert."""
        now = self.clock.now().timestamp()
        with self.store.write() as change:
            self.note_in(change, watched, key, title, body, now)
        self.wake()

    def note_in(
        self,
        change: HealthChange,
        watched: WatchedTarget,
        key: str,
        title: str,
        body: str,
        now: float,
        *,
        but: Collection[str] = (),
    ) -> None:
        """The same, as a part of a transaction; `wake` when it is done. `but` were told already."""
        for destination in watched.destinations:
            if destination in but:
                continue
            key_of = f"{self.store.name}-{key}"
            message = Message(watched.name, destination, "note", key_of, title, body, now)
            change.post(message)

    def notice(self, name: str, what: str, *, about: str, next: str = "") -> None:
        """Something beside the checks is wrong (`what`), or is well again (empty)."""
        now = self.clock.now().timestamp()
        check_key = CheckKey(name, f":{about}")

        def write() -> None:
            with self.store.write() as change:
                incident = change.incident(check_key)
                if what and incident is None:
                    seen = {"what": what, "next": next}
                    made = Incident(check_key, "notice", now, now, seen)
                    made = replace(made, id=change.open(made))
                    self.tell(change, made, "open", now)
                elif incident is not None and not what:
                    change.resolve(incident.id, now)
                    self.tell(change, incident, "resolve", now)

        if self._watcher.attempt(write):
            self.wake()
