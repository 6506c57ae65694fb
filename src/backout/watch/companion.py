"""What lives beside the watcher."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from backout.watch.watcher import Watcher


class Companion(Protocol):
    """Something that lives beside the watcher, such as its web server."""

    def begin(self, watcher: Watcher) -> None:
        """The watcher is about to start; its store and `health` may be read from any thread."""

    def ticked(self, now: datetime) -> None:
        """New looks are written. From the watcher's own thread: be quick."""

    def end(self) -> None:
        """The watcher has stopped."""
