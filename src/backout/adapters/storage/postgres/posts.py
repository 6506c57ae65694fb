"""Which process watches which target: one for each, and another one when it says nothing more."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from backout.adapters.storage.journal_rows import time_text
from backout.adapters.storage.postgres.health import PostgresHealth
from backout.adapters.storage.tables import Tables
from backout.model import Post

_TAKEN = "UPDATE post SET epoch = ?, beat = 0, process = ?, by = ?, since = ? WHERE target = ?"


class Posts:
    """`ports.Posts`: the rows of `post`, as one process has them."""

    def __init__(self, store: PostgresHealth, copy: str, process: str, by: str) -> None:
        """`copy` tells this working copy, where one process watches at a time, from others."""
        self._store = store
        self._copy = copy
        self._process = f"{copy}/{process}"
        self._by = by
        self._since = time_text(datetime.now(UTC))
        store.watching = True

    @property
    def held(self) -> frozenset[str]:
        return frozenset(self._store.epochs)

    def stand(self, names: Collection[str]) -> Mapping[str, Post]:
        """Say that this process is there, and take what is free. Gives whose the others are.
        Raises Unwritten."""
        taken: dict[str, int] = {}

        def write(db: Tables) -> Mapping[str, Post]:
            taken.clear()
            rows = {row[0]: row[1:] for row in self._rows(db, names)}
            for name in names:
                if (row := rows.get(name)) is None:
                    taken[name] = self._begin(db, name)
                elif self._is_ours(row[2]) and self._store.epochs.get(name) != row[0]:
                    taken[name] = self._take(db, name, row[0] + 1)
            beating = "UPDATE post SET beat = beat + 1 WHERE process = ?"
            db.execute(beating, (self._process,))
            return {
                name: Post(row[0], row[1], row[3], datetime.fromisoformat(row[4]))
                for name, row in rows.items()
                if not self._is_ours(row[2])
            }

        others = self._store.change(write)
        self._store.epochs |= {name: epoch for name, epoch in taken.items() if epoch}
        for name in others:
            self._store.epochs.pop(name, None)
        return others

    def relieve(self, name: str, seen: Post) -> bool:
        """Take the place of one that has given no sign since it was seen. Raises Unwritten."""

        def write(db: Tables) -> int:
            where = "SELECT 1 FROM post WHERE target = ? AND epoch = ? AND beat = ? FOR UPDATE"
            if not db.execute(where, (name, seen.epoch, seen.beat)).fetchone():
                return 0
            return self._take(db, name, seen.epoch + 1)

        if epoch := self._store.change(write):
            self._store.epochs[name] = epoch
        return bool(epoch)

    def leave(self, names: Collection[str]) -> None:
        """From now on they are anybody's. Raises Unwritten."""
        words = "UPDATE post SET process = '' WHERE process = ? AND target = ?"
        self._store.change(
            lambda db: [db.execute(words, (self._process, name)) for name in names] and None
        )
        for name in names:
            self._store.epochs.pop(name, None)

    def _rows(self, db: Tables, names: Collection[str]) -> list[Any]:
        if not names:
            return []
        places = ", ".join("?" * len(names))
        return db.execute(
            f"SELECT target, epoch, beat, process, by, since FROM post WHERE target IN ({places})"  # noqa: S608
            " ORDER BY target FOR UPDATE",
            tuple(names),
        ).fetchall()

    def _is_ours(self, process: str) -> bool:
        """Free, or of this working copy, where nobody else watches."""
        return not process or process.partition("/")[0] == self._copy

    def _begin(self, db: Tables, name: str) -> int:
        """The epoch; none when another one was quicker."""
        words = "INSERT INTO post VALUES (?, 1, 0, ?, ?, ?) ON CONFLICT DO NOTHING"
        done = db.execute(words, (name, self._process, self._by, self._since))
        return done.rowcount

    def _take(self, db: Tables, name: str, epoch: int) -> int:
        db.execute(_TAKEN, (epoch, self._process, self._by, self._since, name))
        return epoch
