"""What the journal says of the targets that are watched: who holds them, and what is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backout.errors import Refused
from backout.watch.watched import WatchedTarget
from backout.watch.words import count

if TYPE_CHECKING:
    from backout.watch.watcher import Watcher

EVERY = 0.5
AGAIN = 5.0
"""After so many seconds a journal that is away is asked again."""


class News:
    """Read again and again, from the watcher's own thread."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.unread = ""
        """Why nothing is known of deploys at the moment."""

    @property
    def every(self) -> float:
        return AGAIN if self.unread else EVERY

    def read(self, now: float) -> None:
        """While the journal is away, all is taken to be as it was."""
        say = self._watcher.say
        try:
            self._read(now)
        except Refused as error:
            if not self.unread:
                say(f"nothing is known of deploys, going on: {error.what}", warning=True)
            self.unread = error.what
        else:
            if self.unread:
                say("deploys are known again")
            self.unread = ""

    def _read(self, now: float) -> None:
        watcher = self._watcher
        for watched in watcher.targets.values():
            before, watched.news = watched.news, watcher.around.news(watched.target)
            self._say_held(watched, before.held)
            if watcher.baking.mind(watched, now):
                watcher.plan()
            watcher.baking.consider(watched)

    def _say_held(self, watched: WatchedTarget, before: str) -> None:
        held, say = watched.news.held, self._watcher.say
        if held and not before:
            say(f"{watched.name}: {held} holds it: its checks wait")
        elif before and not held:
            say(f"{watched.name} is free again: {count(watched.skipped, 'look')} skipped")
            watched.skipped = 0
