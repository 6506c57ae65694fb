"""Who may use the web view: names with a role, and the digest of a token that is shown once.

A token is 256 random bits, so one SHA-256 of it is as good as unguessable.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from backout.adapters.storage.journal_rows import time_text
from backout.adapters.storage.store import JournalStore
from backout.adapters.storage.tables import Tables

ROLES = ("look", "acknowledge", "approve", "deploy")
"""Each may what those before it may."""


@dataclass(frozen=True, slots=True)
class Token:
    """One name, as it is stored."""

    name: str
    role: str
    digest: str
    at: datetime
    by: str

    def fits(self, text: str) -> bool:
        """Whether that is it, in a time that tells nothing."""
        return hmac.compare_digest(self.digest, digest_of(text))


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


class Tokens:
    """The tokens of one journal."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store

    def add(self, name: str, role: str, by: str) -> str:
        """Durably; gives the token, which nobody can be told again. Empty where there is one of
        that name."""
        text = f"bo_{secrets.token_urlsafe(32)}"
        row = (name, role, digest_of(text), time_text(datetime.now(UTC)), by)
        words = (
            "INSERT INTO token (name, role, digest, at, made_by) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING"
        )
        return text if self._store.change(lambda db: db.execute(words, row).rowcount > 0) else ""

    def remove(self, name: str) -> bool:
        """Durably; whoever came in by it is out. False where there was none."""

        def write(db: Tables) -> bool:
            return db.execute("DELETE FROM token WHERE name = ?", (name,)).rowcount > 0

        return self._store.change(write)

    def all(self) -> tuple[Token, ...]:
        query = "SELECT name, role, digest, at, made_by FROM token ORDER BY name"
        rows = self._store.look(lambda db: db.execute(query).fetchall())
        return tuple(
            Token(name, role, digest, datetime.fromisoformat(at), by)
            for name, role, digest, at, by in rows
        )
