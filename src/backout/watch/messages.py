"""What the watcher tells people: what opened, what is still there, what is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from backout.model import CheckKey, Incident, Message
from backout.ports import HealthChange
from backout.watch import alerts
from backout.watch.alerts import Policy, Streak
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
        watched = self._watcher.targets.get(incident.spot.target)
        if watched is None:
            return False
        check = watched.target.checks.get(incident.spot.check)
        if check is None and incident.kind != "notice":
            change.resolve(incident.id, now)
            change.streak(incident.spot, {})
            self._watcher.streaks[incident.spot] = Streak()
            return bool(self.tell(change, watched, incident, "gone", now))
        word = alerts.due_word(
            incident,
            Policy.of_check(check) if check else Policy(),
            now,
            silenced=change.silenced(incident.spot, now),
            waiting=change.in_hand(incident.id),
        )
        return bool(word and self.tell(change, watched, incident, word, now))

    def tell(
        self,
        change: HealthChange,
        watched: WatchedTarget,
        incident: Incident,
        kind: str,
        now: float,
        more: str = "",
    ) -> int:
        """Write to every destination of the target; how many messages that were."""
        if kind in ("open", "remind", "worse"):
            change.told(incident.id, now)
        deployed = watched.news.deployed
        key = f"{self.store.name}-{incident.id}-{kind}"
        message = Message(
            target=watched.name,
            destination="",
            kind="resolve" if kind == "gone" else kind,
            key=f"{key}-{now:.0f}" if kind == "remind" else key,
            title=alerts.title(incident, kind),
            body=alerts.body(incident, kind, now=now, last_deploy=told(deployed), flaps=more),
            created=now,
            incident=incident.id,
        )
        for destination in watched.destinations:
            change.post(replace(message, destination=destination))
        return len(watched.destinations)

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
    ) -> None:
        """The same, as a part of a transaction; `wake` when it is done."""
        for destination in watched.destinations:
            key_of = f"{self.store.name}-{key}"
            message = Message(watched.name, destination, "note", key_of, title, body, now)
            change.post(message)

    def notice(self, name: str, what: str, *, about: str, next: str = "") -> None:
        """Something beside the checks is wrong (`what`), or is well again (empty)."""
        watched, now = self._watcher.targets[name], self.clock.now().timestamp()
        spot = CheckKey(name, f":{about}")

        def write() -> None:
            with self.store.write() as change:
                incident = change.incident(spot)
                if what and incident is None:
                    seen = {"what": what, "next": next}
                    made = Incident(spot, "notice", now, now, seen)
                    made = replace(made, id=change.open(made))
                    self.tell(change, watched, made, "open", now)
                elif incident is not None and not what:
                    change.resolve(incident.id, now)
                    self.tell(change, watched, incident, "resolve", now)

        if self._watcher.attempt(write):
            self.wake()
