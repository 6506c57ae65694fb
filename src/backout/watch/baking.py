"""While a deploy bakes: is it taken back, or does a person have to look?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from backout.model import CheckKey, duration
from backout.watch import alerts, bake
from backout.watch.bake import Deployed
from backout.watch.watched import WatchedTarget

if TYPE_CHECKING:
    from backout.watch.watcher import Watcher

Revert = Callable[[WatchedTarget, Deployed, Sequence[CheckKey]], str]
"""Takes a deploy back; how that ended, in words, or nothing when there was no reason to begin."""


class Baking:
    """Watches over the bake windows of all targets."""

    def __init__(self, watcher: Watcher, revert: Revert | None) -> None:
        self._watcher = watcher
        self._revert = revert
        self._reverting: dict[str, threading.Thread] = {}
        self._holding: set[str] = set()
        self.reverted = {run for run, _, _ in watcher.store.reverts()}

    def mind(self, watched: WatchedTarget, now: float) -> bool:
        """Whether a window was opened or closed."""
        baking = bake.window(watched.target.bake, watched.news.deployed, now)
        if baking == watched.baking:
            return False
        watched.baking = baking
        self._say_baking(watched)
        return True

    def _say_baking(self, watched: WatchedTarget) -> None:
        deployed, plan = watched.news.deployed, watched.target.bake
        if watched.baking and deployed and plan:
            until = duration(plan.for_)
            self._watcher.say(f"{watched.name}: release {deployed.release} bakes for {until}")
        else:
            self._watcher.say(f"{watched.name}: the bake window is closed")

    def consider(self, watched: WatchedTarget) -> None:
        """Revert a deploy that went bad, once."""
        deployed, revert = watched.news.deployed, self._revert
        if not (watched.baking and deployed and revert) or watched.news.held:
            return
        if deployed.run in self.reverted | self._reverting.keys() or not self._some_ill(watched):
            return
        streaks = {
            spot: p for spot, p in self._watcher.streaks.items() if spot.target == watched.name
        }
        past = self._watcher.store.incidents(
            watched.name, since=deployed.started - alerts.FLAPS_WITHIN, limit=1000
        )
        judged = bake.judge(deployed, streaks, past)
        if judged.held and not judged.red and deployed.run not in self._holding:
            self._hold(watched, deployed, judged.held)
        if judged.red:
            self._begin_revert(watched, deployed, judged.red, revert)

    def _some_ill(self, watched: WatchedTarget) -> bool:
        return any(
            p.ill for spot, p in self._watcher.streaks.items() if spot.target == watched.name
        )

    def _hold(self, watched: WatchedTarget, deployed: Deployed, spots: Sequence[CheckKey]) -> None:
        names = ", ".join(spot.key for spot in spots)
        if self._watcher.attempt(
            lambda: self._watcher.messages.note(
                watched,
                f"hold-{deployed.run}",
                f"[{watched.name}] release {deployed.release} is not reverted: nobody can tell",
                f"inconclusive since the deploy: {names}\n"
                f"next: look, then perhaps: invoke rollback --target {watched.name}",
            )
        ):
            self._holding.add(deployed.run)

    def _begin_revert(
        self,
        watched: WatchedTarget,
        deployed: Deployed,
        red: Sequence[CheckKey],
        revert: Revert,
    ) -> None:
        names = ", ".join(spot.key for spot in red)
        self._watcher.say(
            f"{watched.name}: {names} went bad after {deployed.release}", warning=True
        )

        def work() -> None:
            try:
                outcome = revert(watched, deployed, red)
            finally:
                self._watcher.call(lambda: self._forget_revert(deployed.run))
            if outcome:
                self._watcher.call(
                    lambda: self._watcher.say(f"{watched.name}: {outcome}", warning=True)
                )

        thread = threading.Thread(target=work, name="revert")
        self._reverting[deployed.run] = thread
        thread.start()

    def _forget_revert(self, run: str) -> None:
        self._reverting.pop(run, None)

    def join(self) -> None:
        """Wait for the reverts under way."""
        for thread in list(self._reverting.values()):
            thread.join()
