"""What people say to a run that is held, in the journal's tables: whoever has the run reads it
there, wherever it was said. The answer that counts is the record that the run makes of it.
"""

from __future__ import annotations

from datetime import datetime

from backout.adapters.storage.journal_rows import time_text
from backout.adapters.storage.store import JournalStore
from backout.ports import Said

_WORDS = (
    "INSERT INTO spoken (run, key, asked, answer, who, at) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)


class Spoken:
    """The answers to one run's questions."""

    def __init__(self, store: JournalStore, run: str) -> None:
        self._store = store
        self._run = run

    def say(self, said: Said, at: datetime) -> bool:
        """Durably; False when that question was answered before."""
        row = (self._run, said.key, said.asked, said.answer, said.by, time_text(at))
        return self._store.change(lambda db: bool(db.execute(_WORDS, row).rowcount))

    def __call__(self) -> tuple[Said, ...]:
        """All that was said so far."""
        query = "SELECT key, asked, answer, who FROM spoken WHERE run = ? ORDER BY at, key"
        rows = self._store.look(lambda db: db.execute(query, (self._run,)).fetchall())
        return tuple(Said(*row) for row in rows)
