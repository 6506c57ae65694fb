"""The messages of runs, in the journal: each is written with the record that it tells of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from backout.adapters.storage.letters import WAITING, LetterChange, message_of
from backout.adapters.storage.store import JournalStore
from backout.adapters.storage.tables import Tables
from backout.model import Message

Say = Callable[[LetterChange], object]


@dataclass(frozen=True, slots=True)
class JournalOutbox:
    """`ports.Outbox` over a journal: of some targets, those whose destinations are known."""

    journal: JournalStore
    targets: Callable[[], Collection[str]]
    redact: Callable[[str], str]

    def waiting(self, destination: str | None = None) -> tuple[Message, ...]:
        """Those that are not delivered yet, in order. Raises Refused."""
        rows = self.journal.look(lambda db: db.execute(WAITING, (destination or "",)).fetchall())
        known = self.targets()
        return tuple(each for each in (message_of(*row) for row in rows) if each.target in known)

    @contextmanager
    def write(self) -> Iterator[Later]:
        """One transaction. Raises Refused when it cannot be written."""
        later = Later()
        yield later
        self._do(lambda change: [say(change) for say in later.said])

    def claim(self, message: Message, until: float) -> bool:
        """Whether nobody else, on any machine, sends it until then. Raises Refused."""
        return self.journal.change(lambda db: self._on(db).claim(message, until))

    def _do(self, say: Say) -> None:
        self.journal.change(lambda db: say(self._on(db)))

    def _on(self, db: Tables) -> LetterChange:
        return LetterChange(db, self.redact)


@dataclass(frozen=True, slots=True)
class Later:
    """`ports.OutboxChange`: what is to be made of messages, said when all of it is known."""

    said: list[Say] = field(default_factory=list)

    def post(self, message: Message) -> None:
        self.said.append(lambda change: change.post(message))

    def move(self, message: int, destinations: Sequence[str]) -> None:
        self.said.append(lambda change: change.move(message, destinations))

    def bundle(self, messages: Sequence[Message], digest: Message) -> None:
        self.said.append(lambda change: change.bundle(messages, digest))

    def attempt(self, message: int, retry_at: float) -> None:
        self.said.append(lambda change: change.attempt(message, retry_at))

    def failed(self, message: int, retry_at: float, failure: str) -> None:
        self.said.append(lambda change: change.failed(message, retry_at, failure))

    def delivered(self, message: int, at: float, outcome: str = "delivered") -> None:
        self.said.append(lambda change: change.delivered(message, at, outcome))
