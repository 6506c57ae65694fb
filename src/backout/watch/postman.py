"""Sends the messages of runs, beside a run that is under way."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from backout.adapters.clock import SystemClock
from backout.adapters.storage.outbox import JournalOutbox
from backout.errors import BackoutError
from backout.model import Message, Target
from backout.ports import Outbox
from backout.project.project import Workplace
from backout.watch.addresses import Addresses, of_deploys
from backout.watch.outbox import Sender

PATIENCE = 10.0
"""A verb that has ended waits so long for messages that are being sent; not for those that were
refused."""
OFTEN = 0.2
"""How often the thread looks for something to send."""
LOOK = 5.0
"""How often a watcher does: runs are other processes, and wake nobody."""


@dataclass(slots=True)
class Postman:
    """A thread that sends what waits for one target, or none where nothing is to be sent."""

    addresses: Addresses
    outbox: JournalOutbox
    destinations: tuple[str, ...]
    """Where messages of this run go."""
    courier: Courier
    _over: Event = field(default_factory=Event)
    _thread: Thread | None = None

    @classmethod
    def of(cls, workplace: Workplace, target: Target, *, told: bool) -> Postman:
        """It begins at once with what earlier runs have left; with `told`, there will be more."""
        addresses = of_deploys()
        destinations = addresses.learn(target, workplace.vault(target))
        outbox = workplace.outbox(addresses.targets)
        courier = Courier(outbox, addresses, workplace.state)
        postman = cls(addresses, outbox, destinations if told else (), courier)
        if destinations and (told or outbox.waiting()):
            postman._thread = Thread(target=postman._work, name="postman", daemon=True)
            postman._thread.start()
        return postman

    def close(self) -> Sequence[str]:
        """Wait for what is being sent, but not long. What is still not told, in words."""
        if self._thread is None:
            return ()
        deadline = monotonic() + PATIENCE
        try:
            while self._thread.is_alive() and self._unanswered() and monotonic() < deadline:
                self._over.wait(OFTEN / 4)
            self._over.set()
            return untold(self.outbox, self.addresses)
        except BackoutError as error:
            return (f"whether everybody was told is not known: {error.what}",)

    def _unanswered(self) -> bool:
        """Whether there is a destination that has not refused what it was sent."""
        return any(each.destination not in self.courier.refused for each in self.outbox.waiting())

    def _work(self) -> None:
        while not self._over.is_set():
            with suppress(BackoutError):
                self.courier.turn()
            self._over.wait(OFTEN)


def _nobody(_text: str, _warning: bool) -> None:
    """Hears nothing: what is not told is said at the end."""


class Courier:
    """Delivers the messages of runs, each by itself, as soon as it is there. Beside it no other of
    this working copy does; in the ledger of a team, where each is claimed, none at all does."""

    def __init__(
        self,
        outbox: JournalOutbox,
        addresses: Addresses,
        state: Path,
        said: Callable[[str, bool], None] = _nobody,
    ) -> None:
        self._alone = partial(nullcontext, True) if outbox.journal.shared else partial(alone, state)
        self._sender = Sender(
            outbox,
            addresses.post,
            SystemClock(),
            addresses,
            said=lambda text: said(text, True),
            what="message",
            gather=0.0,
            afresh=not outbox.journal.shared,
            claim=outbox.claim if outbox.journal.shared else None,
        )

    def turn(self) -> float:
        """Deliver what can be delivered now. Returns in how many seconds to look again. Raises
        Refused and Unwritten."""
        pause: float | None = None
        with self._alone() as mine:
            while mine and (pause := self._sender.turn()) == 0.0:
                pass
        return LOOK if pause is None else min(LOOK, pause)

    @property
    def refused(self) -> frozenset[str]:
        """The destinations that did not take what they were sent last."""
        return self._sender.refused

    def troubles(self) -> list[str]:
        """The destinations that take nothing, and why."""
        failing = self._sender.failing().items()
        return [f"{name} does not take its messages: {why}" for name, why in failing]


@contextmanager
def alone(state: Path) -> Iterator[bool]:
    """Whether nobody else on this machine sends them now; the lock ends with its holder."""
    with (state / "outbox.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def untold(outbox: Outbox, addresses: Addresses) -> tuple[str, ...]:
    """The messages that wait, in words."""
    waiting = outbox.waiting()
    return tuple(_waits(each, addresses.name(each.destination)) for each in waiting)


def _waits(message: Message, destination: str) -> str:
    why = message.failure or "no answer yet"
    return f"{message.title} (to {destination}: {why})"
