"""Letters, one after the other, until each is delivered.

Per destination they go out in the order in which they were written. Before an attempt it is noted
that it is made, and after it that it arrived: a crash in between means another attempt under the
same key. When several wait that were never attempted, they become one digest.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

from backout.model import Message
from backout.ports import Clock, HealthStore
from backout.watch import alerts

FIRST_RETRY = 5.0
LAST_RETRY = 300.0
GATHER = 3.0
"""After a message, a destination gets no other one so soon: what comes together goes together."""
AT_ONCE = 50
"""No more messages than this are in one digest."""

Post = Callable[[str, Message], str]
"""(destination, message) -> why it was not taken, or nothing."""


@dataclass(slots=True)
class Sender:
    """Delivers what waits in the store."""

    store: HealthStore
    post: Post
    clock: Clock
    known: Callable[[], Iterable[str]]
    """The destinations that there are; what waits for another one is given up."""
    said: Callable[[str], None] = lambda _: None
    _ready: dict[str, float] = field(default_factory=dict)
    _failing: dict[str, str] = field(default_factory=dict)

    def turn(self) -> float | None:
        """Deliver what can be delivered now. Returns in how many seconds there is more to do, if
        anything waits. Raises Unwritten."""
        waiting: dict[str, list[Message]] = {}
        for message in self.store.waiting():
            waiting.setdefault(message.destination, []).append(message)
        known = frozenset(self.known())
        pauses = []
        for destination, messages in waiting.items():
            if destination in known:
                pauses.append(self._serve(destination, messages))
            else:
                self._give_up(messages)
        return min((pause for pause in pauses if pause is not None), default=None)

    @property
    def failing(self) -> Mapping[str, str]:
        """The destinations that do not take what they are sent, and why."""
        return dict(self._failing)

    def _serve(self, destination: str, messages: list[Message]) -> float | None:
        now = self.clock.now().timestamp()
        head = messages[0]
        pause = (
            max(head.retry_at if head.attempts else 0.0, self._ready.get(destination, 0.0)) - now
        )
        if 0 < pause <= LAST_RETRY:
            return pause
        message = self._next(messages, now)
        with self.store.write() as change:
            change.attempt(message.id, now + backoff(message))
        failure = self.post(destination, message)
        now = self.clock.now().timestamp()
        if failure:
            return self._failed(message, failure, now)
        with self.store.write() as change:
            change.delivered(message.id, now)
        self._ready[destination] = now + GATHER
        if self._failing.pop(destination, None) is not None:
            self.said(f"{message.target}: alerts are delivered again")
        return GATHER if len(messages) > 1 else None

    def _next(self, messages: list[Message], now: float) -> Message:
        """The first message, or one for it and those behind it. One that was attempted may have
        arrived: it keeps its key and goes alone."""
        fresh = list(takewhile(lambda message: not message.attempts, messages))[:AT_ONCE]
        together = [each for each in fresh if each.target == messages[0].target]
        if len(together) < alerts.DIGEST_FROM or messages[0].kind == "digest":
            return messages[0]
        title, body = alerts.digest(together)
        head = together[0]
        names = "\n".join(message.key for message in together)
        digest = Message(
            target=head.target,
            destination=head.destination,
            kind="digest",
            key=f"digest-{head.key}-{zlib.crc32(names.encode()):08x}",
            title=title,
            body=body,
            created=now,
        )
        with self.store.write() as change:
            change.bundle(together, digest)
        return next(each for each in self.store.waiting(head.destination) if each.key == digest.key)

    def _failed(self, message: Message, failure: str, now: float) -> float:
        pause = backoff(message)
        with self.store.write() as change:
            change.failed(message.id, now + pause, failure)
        if message.destination not in self._failing:
            self.said(f"{message.target}: an alert could not be delivered, trying on: {failure}")
        self._failing[message.destination] = failure
        return pause

    def _give_up(self, messages: list[Message]) -> None:
        now = self.clock.now().timestamp()
        with self.store.write() as change:
            for message in messages:
                change.delivered(message.id, now, "given up: its destination is gone")
        self.said(f"{messages[0].target}: {len(messages)} alerts had nowhere to go any more")


def backoff(message: Message) -> float:
    """How long to wait after this attempt: twice as long each time, and not in step."""
    pause = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(message.attempts, 16))
    spread = zlib.crc32(f"{message.key}{message.attempts}".encode()) / 2**32
    return pause * (0.8 + 0.2 * spread)
