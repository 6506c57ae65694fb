"""Messages, one after the other, until each is delivered.

Per destination they go out in the order in which they were written. Before an attempt it is noted
that it is made, and after it that it arrived: a crash in between means another attempt under the
same key. When several wait that were never attempted, they become one digest.

What a receiver refuses for good is sent once more, short, and then given up, so that what waits
behind it goes on; what it refuses for now waits. Of either, another destination is told.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Protocol

from backout.adapters.notify import shortened
from backout.model import Delivery, Message
from backout.ports import Clock, Outbox, OutboxChange
from backout.watch import alerts
from backout.watch.words import utc

FIRST_RETRY = 5.0
LAST_RETRY = 300.0
LONGEST_WAIT = 3600.0
"""A receiver that asks for more patience than this is asked again all the same."""
GATHER = 3.0
"""What comes together within so many seconds goes together."""
AT_ONCE = 50
"""No more messages than this are in one digest."""
COMPLAIN_AFTER = 300.0
"""When a destination has taken nothing for so long, another one is told."""
LAST_STRAW = 60.0
"""For so long it may be a trifle."""
CLAIMED = 45.0
"""Longer than an attempt takes: nobody else tries meanwhile."""
REDIRECTED = ("undelivered", "blocked")
"""Begin the keys of messages about messages: of those nothing is told elsewhere."""

Post = Callable[[str, Message], Delivery]
"""(destination, message) -> what became of it."""


class Destinations(Protocol):
    """Where messages go."""

    def known(self) -> Collection[str]:
        """Those that there are; from any thread."""

    def of(self, target: str) -> Sequence[str]:
        """Where messages of a target go now, whatever their severity."""

    def beside(self, destination: str, target: str) -> Sequence[str]:
        """Where it can be told that this destination does not take what it is sent."""

    def name(self, destination: str) -> str:
        """What people call it; nothing secret."""

    def room(self, destination: str) -> int:
        """How many characters it takes at once."""


@dataclass(slots=True)
class Failing:
    """A destination that takes nothing at the moment."""

    since: float
    why: str
    told: bool = False


@dataclass(slots=True)
class Sender:
    """Delivers what waits in the store."""

    store: Outbox
    post: Post
    clock: Clock
    destinations: Destinations
    said: Callable[[str], None] = lambda _: None
    what: str = "alert"
    """What its messages are, to whoever hears that one does not arrive."""
    gather: float = GATHER
    """After a message, a destination gets no other one so soon; with nothing to wait for, each
    goes by itself and at once."""
    afresh: bool = False
    """Whether it begins at once, however long an earlier sender would have waited now."""
    claim: Callable[[Message, float], bool] | None = None
    """Whether a message is this sender's until then, where others send from the same outbox."""
    lost: int = 0
    """How many messages were given up, that nobody else could be told of either."""
    _ready: dict[str, float] = field(default_factory=dict)
    _failing: dict[str, Failing] = field(default_factory=dict)
    _tried: set[str] = field(default_factory=set)

    def turn(self) -> float | None:
        """Deliver what can be delivered now. Returns in how many seconds there is more to do, if
        anything waits. Raises Unwritten."""
        waiting: dict[str, list[Message]] = {}
        for message in self.store.waiting():
            waiting.setdefault(message.destination, []).append(message)
        for gone in self._failing.keys() - waiting.keys():
            del self._failing[gone]
        pauses = []
        for destination, messages in waiting.items():
            if destination in self.destinations.known():
                pauses.append(self._serve(destination, messages))
            else:
                pauses.append(self._move(messages))
        return min((pause for pause in pauses if pause is not None), default=None)

    def failing(self) -> Mapping[str, str]:
        """The destinations that have not taken what they were sent for a minute, by name, and
        why; from any thread."""
        before = self.clock.now().timestamp() - LAST_STRAW
        lasting = [(key, each) for key, each in list(self._failing.items()) if each.since < before]
        return {self.destinations.name(key): each.why for key, each in lasting}

    @property
    def refused(self) -> frozenset[str]:
        """The destinations that did not take what was sent last; from any thread."""
        return frozenset(self._failing)

    # --- one destination -----------------------------------------------------------------

    def _serve(self, destination: str, messages: list[Message]) -> float | None:
        now = self.clock.now().timestamp()
        head = messages[0]
        ready = max(self._retry_at(head), self._ready.get(destination, 0.0))
        if 0 < ready - now <= LONGEST_WAIT:
            return ready - now
        self._tried.add(destination)
        message = self._next(messages, now)
        if not self._claimed(message, now):
            return 1.0
        delivery = self.post(destination, message)
        if delivery.unfit and (shorter := short(message)).body != message.body:
            delivery = self.post(destination, shorter)
        now = self.clock.now().timestamp()
        if delivery.unfit:
            self._refused(message, delivery, now)
        elif delivery.failure:
            return self._failed(message, delivery, now)
        else:
            self._delivered(message, now)
        self._ready[destination] = now + self.gather
        return self.gather if len(messages) > 1 else None

    def _claimed(self, message: Message, now: float) -> bool:
        """Note that it is attempted; with others beside this one, whether it is ours."""
        if self.claim is not None:
            return self.claim(message, now + max(CLAIMED, backoff(message)))
        with self.store.write() as change:
            change.attempt(message.id, now + backoff(message))
        return True

    def _retry_at(self, head: Message) -> float:
        fresh = not head.attempts or (self.afresh and head.destination not in self._tried)
        return 0.0 if fresh else head.retry_at

    def _delivered(self, message: Message, now: float) -> None:
        with self.store.write() as change:
            change.delivered(message.id, now)
        if self._failing.pop(message.destination, None) is not None:
            self.said(f"{message.target}: {self.what}s are delivered again")

    def _next(self, messages: list[Message], now: float) -> Message:
        """The first message, or one for it and those behind it. One that was attempted may have
        arrived: it keeps its key and goes alone."""
        together = self._together(messages) if self.gather else messages[:1]
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

    def _together(self, messages: list[Message]) -> list[Message]:
        """Those that were never attempted, as many as the destination takes at once."""
        fresh = list(takewhile(lambda message: not message.attempts, messages))[:AT_ONCE]
        together = [each for each in fresh if each.target == messages[0].target]
        if len(together) < alerts.DIGEST_FROM:
            return together
        room = self.destinations.room(messages[0].destination)
        while len(together) > 1 and sum(map(len, alerts.digest(together))) > room:
            together.pop()
        return together

    # --- what was not taken --------------------------------------------------------------

    def _failed(self, message: Message, delivery: Delivery, now: float) -> float:
        """Refused for now."""
        pause = min(LONGEST_WAIT, max(backoff(message), delivery.wait))
        failing = self._failing.get(message.destination)
        if failing is None:
            words = f"{message.target}: one {self.what} could not be delivered, trying on"
            self.said(f"{words}: {delivery.failure}")
            failing = self._failing[message.destination] = Failing(now, delivery.failure)
        failing.why = delivery.failure
        with self.store.write() as change:
            change.failed(message.id, now + pause, delivery.failure)
            if not failing.told and (delivery.closed or now - failing.since >= COMPLAIN_AFTER):
                self._complain(change, message, failing, now)
        return pause

    def _complain(
        self, change: OutboxChange, message: Message, failing: Failing, now: float
    ) -> None:
        """Tell another destination that this one takes nothing."""
        name = self.destinations.name(message.destination)
        told = self._elsewhere(
            change,
            message,
            key=f"blocked-{message.destination}-{failing.since:.0f}",
            title=f"[{message.target}] {self.what}s to {name} are not delivered",
            body=f"since {utc(failing.since)}: {failing.why}\n"
            f"waiting: {message.title}\nnext: mend its URL or its receiver; they are tried on",
            now=now,
        )
        failing.told = told or failing.told

    def _refused(self, message: Message, delivery: Delivery, now: float) -> None:
        """Refused for good: what waits behind it goes on."""
        name = self.destinations.name(message.destination)
        with self.store.write() as change:
            change.delivered(message.id, now, f"refused: {delivery.failure}")
            told = self._elsewhere(
                change,
                message,
                key=f"undelivered-{message.destination}-{message.key}",
                title=f"could not be delivered to {name}: {message.title}",
                body=f"{name} refuses it: {delivery.failure}\n\n{message.body}",
                now=now,
            )
        self.lost += not told
        words = f"{message.target}: {name} refuses one {self.what} for good: {delivery.failure}"
        self.said(f"{words}{'' if told else '; there is nobody else to tell'}")

    def _elsewhere(
        self, change: OutboxChange, message: Message, *, key: str, title: str, body: str, now: float
    ) -> bool:
        if message.key.startswith(REDIRECTED):
            return False
        others = self.destinations.beside(message.destination, message.target)
        for other in others:
            change.post(Message(message.target, other, "note", key, title, body, now))
        return bool(others)

    def _move(self, messages: list[Message]) -> float | None:
        """Their destination is no more: they go where messages of their target go now."""
        now, target = self.clock.now().timestamp(), messages[0].target
        heirs = {message.target: self.destinations.of(message.target) for message in messages}
        lost = [message for message in messages if not heirs[message.target]]
        with self.store.write() as change:
            for message in messages:
                if heirs[message.target]:
                    change.move(message.id, heirs[message.target])
                else:
                    change.delivered(message.id, now, "given up: nowhere to go")
        if lost:
            self.said(f"{target}: {len(lost)} {self.what}s had nowhere to go any more")
        if len(lost) == len(messages):
            return None
        self.said(f"{target}: {len(messages) - len(lost)} {self.what}s go to its new destination")
        return 0.0


SHORT = 900
"""So many characters are taken by whoever takes anything."""


def short(message: Message) -> Message:
    """The same in few words: its first lines and its last one."""
    return replace(message, title=message.title[:200], body=shortened(message.body, SHORT))


def backoff(message: Message) -> float:
    """How long to wait after this attempt: twice as long each time, and not in step."""
    pause = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(message.attempts, 16))
    spread = zlib.crc32(f"{message.key}{message.attempts}".encode()) / 2**32
    return pause * (0.8 + 0.2 * spread)
