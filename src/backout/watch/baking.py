"""While a deploy bakes: is it taken back, or does a person have to look?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from backout.checks.streaks import FLAPS_WITHIN
from backout.errors import Refused
from backout.model import CheckKey, Reverted, Streak, duration
from backout.watch import bake
from backout.watch.bake import Deployed
from backout.watch.watched import WatchedTarget

if TYPE_CHECKING:
    from backout.watch.watcher import Watcher


class Reverts(Protocol):
    """What takes deploys back; from any thread but the watcher's own."""

    def revert(self, watched: WatchedTarget, deployed: Deployed, red: Sequence[CheckKey]) -> str:
        """How it ended, in words; nothing when there was no reason to begin."""

    def finish(self, watched: WatchedTarget, run: str, why: str) -> str:
        """Go on with one that another process began; nothing while that cannot be."""


TRY_AGAIN = 15.0
"""After so many seconds a revert that could not be finished is tried again."""
LATE = 3600.0
"""What went bad in a window while nobody watched is still reverted so long after it."""


class Baking:
    """Watches over the bake windows of all targets."""

    def __init__(self, watcher: Watcher, reverts: Reverts | None) -> None:
        self._watcher = watcher
        self._reverts = reverts
        self._reverting: dict[str, threading.Thread] = {}
        self._holding: set[str] = set()
        self._considered: set[str] = set()
        """The targets that were looked at once, so that what was missed was seen."""
        self._tried: dict[str, float] = {}
        self.recall()

    def recall(self, target: str = "") -> None:
        """What is on record of reverts. Raises Refused. A `target` that is new here is looked at
        for what was missed."""
        self._considered.discard(target)
        rows = self._watcher.store.reverts()
        self.reverted = {row.run for row in rows}
        self._unfinished = {row.run: row for row in rows if row.ended is None}

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
        """Finish what was begun; revert a deploy that went bad, once."""
        if watched.news.held or self._reverts is None:
            return
        for row in self._unfinished.values():
            if row.target == watched.name:
                self._finish(watched, row, self._reverts)
        deployed = watched.news.deployed
        if deployed and (watched.baking or self._missed(watched, deployed)):
            self._judge(watched, deployed, self._reverts)
        self._considered.add(watched.name)

    def _missed(self, watched: WatchedTarget, deployed: Deployed) -> bool:
        """Whether it went bad within its window while nobody was there to act on it."""
        plan, now = watched.target.bake, self._watcher.clock.now().timestamp()
        if plan is None or watched.name in self._considered:
            return False
        opened = [each.opened[-1] for each in self._streaks(watched).values() if each.ill]
        late = now < deployed.ended + plan.for_ + LATE
        return late and any(bake.window(plan, deployed, moment) for moment in opened)

    def _judge(self, watched: WatchedTarget, deployed: Deployed, reverts: Reverts) -> None:
        streaks = self._streaks(watched)
        if deployed.run in self.reverted | self._reverting.keys():
            return
        if not any(each.ill for each in streaks.values()):
            return
        past = self._watcher.store.incidents(
            watched.name, since=deployed.started - FLAPS_WITHIN, limit=1000
        )
        judged = bake.judge(deployed, streaks, past)
        if judged.held and not judged.red and deployed.run not in self._holding:
            self._hold(watched, deployed, judged.held)
        if judged.red:
            names = ", ".join(check_key.key for check_key in judged.red)
            words = f"{watched.name}: {names} went bad after {deployed.release}"
            self._watcher.say(words, warning=True)
            self._begin(
                watched, deployed.run, partial(reverts.revert, deployed=deployed, red=judged.red)
            )

    def _streaks(self, watched: WatchedTarget) -> dict[CheckKey, Streak]:
        streaks = self._watcher.streaks
        return {
            check_key: each
            for check_key, each in streaks.items()
            if check_key.target == watched.name
        }

    def _finish(self, watched: WatchedTarget, row: Reverted, reverts: Reverts) -> None:
        now = self._watcher.clock.monotonic()
        if row.run in self._reverting or now < self._tried.get(row.run, -TRY_AGAIN) + TRY_AGAIN:
            return
        self._tried[row.run] = now
        words = f"{watched.name}: reverting run {row.run} was interrupted, going on with it"
        self._watcher.say(words, warning=True)
        self._begin(watched, row.run, partial(reverts.finish, run=row.run, why=row.why))

    def _hold(
        self, watched: WatchedTarget, deployed: Deployed, check_keys: Sequence[CheckKey]
    ) -> None:
        names = ", ".join(check_key.key for check_key in check_keys)
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

    def _begin(
        self, watched: WatchedTarget, run: str, revert: Callable[[WatchedTarget], str]
    ) -> None:
        def work() -> None:
            outcome = ""
            try:
                outcome = revert(watched)
            except Exception as error:  # noqa: BLE001 - whatever it is, the record is still open
                outcome = f"reverting run {run} broke off: {type(error).__name__}: {error}"
            finally:
                self._watcher.call(lambda: self._ended(watched, run, outcome))

        thread = threading.Thread(target=work, name="revert")
        self._reverting[run] = thread
        thread.start()

    def _ended(self, watched: WatchedTarget, run: str, outcome: str) -> None:
        self._reverting.pop(run, None)
        with suppress(Refused):
            self.recall()
        if outcome:
            self._watcher.say(f"{watched.name}: {outcome}", warning=True)

    def join(self) -> None:
        """Wait for the reverts under way."""
        for thread in list(self._reverting.values()):
            thread.join()
