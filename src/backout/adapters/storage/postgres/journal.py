"""The runs of a team: the journal in a PostgreSQL that its machines share."""

from __future__ import annotations

from collections.abc import Sequence

from backout.adapters.storage import chain
from backout.adapters.storage.chain import Line, Opening
from backout.adapters.storage.journal import RunJournal
from backout.adapters.storage.journal_rows import held_by, one_run
from backout.adapters.storage.postgres.store import PostgresStore
from backout.adapters.storage.tables import Tables


class PostgresJournal(PostgresStore, RunJournal):
    """Runs, their records, and what came of them, on all machines."""

    def _open(self, opening: Opening, lines: Sequence[Line]) -> None:
        def write(db: Tables) -> None:
            if held := one_run(db, "target = ? AND outcome IS NULL", opening.target):
                raise held_by(held)
            chain.put_run(db, opening, lines)
            driven = "UPDATE run SET driver = ?, driven_by = ? WHERE id = ?"
            db.execute(driven, (self.driver, self.owner, opening.run))

        self.append(write)
