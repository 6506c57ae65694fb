"""Messages in a database, until each is delivered: one table, in the transaction of whatever they
tell of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backout.adapters.storage.tables import Tables
from backout.model import Message

REASON = 300
"""No more of why something was not taken is kept than this."""
TABLE = (
    """CREATE TABLE letter (
        id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, destination TEXT NOT NULL,
        kind TEXT NOT NULL, key TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
        created REAL NOT NULL, incident INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        retry_at REAL NOT NULL DEFAULT 0, failure TEXT NOT NULL DEFAULT '', ended REAL,
        outcome TEXT NOT NULL DEFAULT '', digest INTEGER)""",
    "CREATE UNIQUE INDEX letter_once ON letter (destination, key)",
    "CREATE INDEX letter_waits ON letter (destination, id) WHERE ended IS NULL",
)
MESSAGE = (
    "SELECT target, destination, kind, key, title, body, created, incident, id, attempts,"
    " retry_at, failure,"
    " coalesce((SELECT min(id) FROM letter AS part WHERE part.digest = letter.id), id) AS first"
    " FROM letter"
)
WAITING = (
    f"{MESSAGE} WHERE ended IS NULL AND digest IS NULL AND ? IN (destination, '')"
    " ORDER BY first, id"
)
"""Those that are not delivered yet, in order; those in a digest are part of it."""


def message_of(*row: object) -> Message:
    """A row of `MESSAGE`."""
    return Message(*row[:-1])  # type: ignore[arg-type]  # as the columns stand in MESSAGE


class LetterChange:
    """A part of one transaction."""

    def __init__(self, db: Tables, redact: Callable[[str], str]) -> None:
        self._tables = db
        self._redact = redact

    @property
    def tables(self) -> Tables:
        """What the transaction is said to."""
        return self._tables

    def post(self, message: Message) -> None:
        """A message that is to be delivered. The same key to the same destination is the same
        message."""
        self._tables.execute(
            "INSERT INTO letter (target, destination, kind, key, title, body, created, incident)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (destination, key) DO UPDATE"
            " SET ended = NULL, outcome = '', attempts = 0 WHERE letter.outcome LIKE 'given up%'",
            (
                message.target,
                message.destination,
                message.kind,
                message.key,
                self._redact(message.title),
                self._redact(message.body),
                message.created,
                message.incident,
            ),
        )

    def move(self, message: int, destinations: Sequence[str]) -> None:
        """To other destinations, as if it had been written to them. A digest falls apart again."""
        self._tables.execute("UPDATE letter SET digest = NULL WHERE digest = ?", (message,))
        for each in destinations:
            self._tables.execute(
                "INSERT INTO letter"
                " (target, destination, kind, key, title, body, created, incident)"
                " SELECT target, ?, kind, key, title, body, created, incident FROM letter"
                " WHERE id = ? AND kind != 'digest' ON CONFLICT (destination, key) DO NOTHING",
                (each, message),
            )
        self._tables.execute("DELETE FROM letter WHERE id = ?", (message,))

    def bundle(self, messages: Sequence[Message], digest: Message) -> None:
        """From now on these messages are one, which is delivered instead of them."""
        self.post(digest)
        for each in messages:
            self._tables.execute(
                "UPDATE letter SET digest ="
                " (SELECT id FROM letter AS one WHERE one.destination = ? AND one.key = ?)"
                " WHERE id = ?",
                (digest.destination, digest.key, each.id),
            )

    def claim(self, message: Message, until: float) -> bool:
        """Whether it is ours to send now: nobody has attempted it since it was read."""
        done = self._tables.execute(
            "UPDATE letter SET attempts = attempts + 1, retry_at = ?"
            " WHERE id = ? AND attempts = ? AND ended IS NULL",
            (until, message.id, message.attempts),
        )
        return done.rowcount == 1

    def attempt(self, message: int, retry_at: float) -> None:
        """It is about to be sent, and after that it may have arrived."""
        self._tables.execute(
            "UPDATE letter SET attempts = attempts + 1, retry_at = ? WHERE id = ?",
            (retry_at, message),
        )

    def failed(self, message: int, retry_at: float, failure: str) -> None:
        self._tables.execute(
            "UPDATE letter SET retry_at = ?, failure = ? WHERE id = ?",
            (retry_at, self._redact(failure)[:REASON], message),
        )

    def delivered(self, message: int, at: float, outcome: str = "delivered") -> None:
        """It has arrived, and with it those that it bundles."""
        self._tables.execute(
            "UPDATE letter SET ended = ?, outcome = ?, failure = '' WHERE id = ? OR digest = ?",
            (at, outcome, message, message),
        )
