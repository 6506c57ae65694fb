"""The runs of a team: the journal in a PostgreSQL that its machines share."""

from __future__ import annotations

import json
import secrets

from backout.adapters.storage import chain
from backout.adapters.storage.journal import RunJournal
from backout.adapters.storage.journal_rows import has_ended, one_run, time_text
from backout.adapters.storage.moving import Packed, take_up
from backout.adapters.storage.postgres import tokens
from backout.adapters.storage.postgres.store import PostgresStore, taken_over
from backout.adapters.storage.tables import Tables
from backout.errors import Refused
from backout.model import Driving
from backout.ports import TAKEN

_DRIVEN = "UPDATE run SET epoch = ?, driver = ?, driven_by = ?, zone = ? WHERE id = ?"


class PostgresJournal(PostgresStore, RunJournal):
    """Runs, their records, and what came of them, on all machines."""

    def _opened(self, db: Tables, run: str) -> None:
        db.execute(_DRIVEN, (0, self.driver, self.owner, "", run))
        tokens.forget(db)

    def driving(self, run: str) -> Driving:
        return self.look(lambda db: self._driving(db, run))

    def claim(self, run: str, seen: Driving, zone: str = "") -> None:
        token = secrets.token_hex(8)

        def write(db: Tables) -> int:
            row = db.execute("SELECT outcome FROM run WHERE id = ? FOR UPDATE", (run,)).fetchone()
            if row and row[0]:
                raise has_ended(run, self.where)
            now = self._driving(db, run)
            if (now.epoch, now.by) != (seen.epoch, seen.by):
                raise taken_over(run, now.by, self.where)
            epoch = max(seen.epoch, _last_claim(db, run)) + 1
            db.execute(_DRIVEN, (epoch, self.driver, self.owner, zone, run))
            about = {"epoch": epoch, "claim": token, "by": self.owner, "from": seen.by, "away": []}
            chain.append(db, run, TAKEN, "", time_text(self._now()), self.text_of(about))
            return epoch

        self.drive(run, self.append(write))

    def take_copy(self, packed: Packed) -> tuple[str, ...]:
        def write(db: Tables) -> tuple[str, ...]:
            new = take_up(db, packed)
            for run in new:
                if words := next(chain.faults_of(db, run), ""):
                    raise Refused(
                        f"run {run} did not arrive as it was: {words}",
                        where=self.where,
                        state="nothing was copied",
                        next="invoke ledger.copy",
                    )
                if one_run(db, "id = ? AND outcome IS NULL", run):
                    db.execute(_DRIVEN, (_last_claim(db, run), self.driver, self.owner, "", run))
            return new

        return self.append(write)

    def _driving(self, db: Tables, run: str) -> Driving:
        query = "SELECT driver, driven_by, epoch, zone FROM run WHERE id = ?"
        driver, by, epoch, zone = db.execute(query, (run,)).fetchone() or (self.driver, "", 0, "")
        return Driving(driver == self.driver, by, epoch, not driver, zone)


def _last_claim(db: Tables, run: str) -> int:
    """By which epoch its hosts know the run: one from before it was in this ledger counts too."""
    query = "SELECT body FROM record WHERE run = ? AND kind = ? ORDER BY seq DESC LIMIT 1"
    last = db.execute(query, (run, TAKEN)).fetchone()
    return int(json.loads(last[0])["epoch"]) if last else 0
