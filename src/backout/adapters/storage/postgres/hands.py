"""In whose hands the runs are that workers drive, and which workers there are.

A run that was handed over and waits is in nobody's. Whoever wants it takes it by its epoch, as any
machine takes a run over; so does whoever takes it away from a driver that gives no sign of life,
unless it has given one since it was looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from backout.adapters.queue import schema
from backout.adapters.queue.schema import SCHEMA
from backout.adapters.storage import chain
from backout.adapters.storage.journal import RunJournal
from backout.adapters.storage.journal_rows import time_text
from backout.adapters.storage.store import Announce, silent
from backout.adapters.storage.tables import Tables
from backout.ports import ASK, HANDED, NEEDS_PERSON, RESCUED, Doorbell, Hand, InHand

Body = Mapping[str, Any]
TRIES = 3
"""After so many drivers that came to nothing a person is asked."""
_FENCED_OFF = "UPDATE run SET epoch = epoch + 1 WHERE id = ?"
_GIVEN = "UPDATE run SET epoch = epoch + 1, driver = '', driven_by = ?, zone = ? WHERE id = ?"
_OPEN = (
    "SELECT id, target, verb, epoch, driver, driven_by, zone,"
    " coalesce((SELECT beat FROM pulse WHERE pulse.run = run.id), 0),"
    " coalesce((SELECT kind FROM record WHERE record.run = run.id ORDER BY seq DESC LIMIT 1), '')"
    " FROM run WHERE outcome IS NULL AND zone <> '' ORDER BY run.rowid"
)
_CARRIES = (
    "(SELECT count(*) FROM backout.parcel WHERE carrier = worker.id AND taken IS NOT NULL"
    " AND answered IS NULL)"
)


class Hands:
    """The runs of one ledger that are, or were, handed over."""

    def __init__(self, journal: RunJournal, bell: Doorbell) -> None:
        self._journal = journal
        self._bell = bell

    # --- runs ------------------------------------------------------------------------------

    def hand_over(self, run: str, zone: str, record: Body) -> None:
        """Durably, from this working copy to the workers of that zone; the bell rings by the same
        transaction. Raises TakenOver when it is another one's by now."""
        at, body = _now(), self._journal.text_of(record)

        def write(db: Tables) -> None:
            chain.append(db, run, HANDED, "", at, body)
            self._give(db, run, zone)

        self._journal.append(write, run=run)

    def open(self) -> tuple[InHand, ...]:
        """Those that have not ended, of every zone."""
        rows = self._journal.look(lambda db: db.execute(_OPEN).fetchall())
        return tuple(InHand(*row) for row in rows)

    def ring(self, run: InHand) -> None:
        """Once more, for one that waits: a bell can be lost."""
        self._journal.change(lambda db: self._bell.defer(db, run.zone, run.run))

    def take_away(
        self, seen: InHand, how: str, by: str, why: str, announce: Announce = silent
    ) -> str:
        """Durably, from whoever drives it, who is fenced off: the bell rings for another one; or a
        person is asked (`ask`), also where several have tried in vain, and `announce` says who is
        told. What was done: `how`, or nothing where the driver lives, or it is another one by
        now."""
        at, asked = _now(), _person(seen, why)

        def write(db: Tables) -> str:
            if not self._is_still(db, seen):
                return ""
            done = ASK if how == ASK or self._in_vain(db, seen.run) else how
            about = {"how": done, "from": seen.by, "by": by, "why": why}
            chain.append(db, seen.run, RESCUED, "", at, self._journal.text_of(about))
            if done == ASK:
                chain.append(db, seen.run, NEEDS_PERSON, "", at, self._journal.text_of(asked))
                db.execute(_FENCED_OFF, (seen.run,))
                self._journal.post(db, announce(NEEDS_PERSON, asked))
            else:
                self._give(db, seen.run, seen.zone)
            return done

        return self._journal.change(write)

    def _give(self, db: Tables, run: str, zone: str) -> None:
        db.execute(_GIVEN, (f"the workers of zone {zone}", zone, run))
        self._bell.defer(db, zone, run)

    def _is_still(self, db: Tables, seen: InHand) -> bool:
        """Whether the run is as it was looked at: its driver has given no sign since."""
        query = "SELECT epoch, driver FROM run WHERE id = ? AND outcome IS NULL FOR UPDATE"
        if db.execute(query, (seen.run,)).fetchone() != (seen.epoch, seen.driver):
            return False
        beat = db.execute("SELECT beat FROM pulse WHERE run = ?", (seen.run,)).fetchone()
        return bool((beat[0] if beat else 0) == seen.beat)

    def _in_vain(self, db: Tables, run: str) -> bool:
        query = (
            "SELECT count(*) FROM record WHERE run = ? AND kind = ? AND seq > coalesce("
            "(SELECT max(seq) FROM record WHERE run = ? AND kind IN ('begin', 'end')), 0)"
        )
        return bool(db.execute(query, (run, RESCUED, run)).fetchone()[0] >= TRIES)

    # --- workers ---------------------------------------------------------------------------

    def arrive(self) -> None:
        """Durably: the tables are there. Raises Refused when they cannot be made."""
        self._journal.change(schema.bring_up)

    def beat(self, hand: Hand) -> None:
        """That worker is there, and this is what it does."""
        doing = (json.dumps(hand.runs), hand.stopping, hand.place, json.dumps(hand.watches))
        row = (hand.id, hand.zone, hand.by, hand.width, *doing)
        words = (
            f"INSERT INTO {SCHEMA}.worker (id, zone, by, width, runs, stopping, place, watches)"  # noqa: S608 - our own words
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET runs = excluded.runs,"
            " stopping = excluded.stopping, watches = excluded.watches, seen = now()"
        )
        self._journal.change(lambda db: db.execute(words, row).rowcount)

    def leave(self, id: str, forgotten: float = 86400.0) -> None:
        """It is not there any more; nor are those of which nothing was heard for so long."""
        words = (
            f"DELETE FROM {SCHEMA}.worker WHERE id = ?"  # noqa: S608 - our own words
            " OR seen < now() - make_interval(secs => ?)"
        )
        self._journal.change(lambda db: db.execute(words, (id, forgotten)).rowcount)

    def all(self) -> tuple[Hand, ...]:
        """Every worker that is known, by zone."""
        query = (
            "SELECT id, zone, by, width, runs, stopping,"  # noqa: S608 - our own words
            # An older Backout may have made the table.
            " coalesce(to_jsonb(worker)->>'place', ''), since,"
            " extract(epoch FROM now() - seen)::double precision,"
            f" coalesce(to_jsonb(worker)->>'watches', '[]'), {_CARRIES}"
            f" FROM {SCHEMA}.worker"
            " ORDER BY zone, since, id"
        )

        def read(db: Tables) -> Sequence[Any]:
            return db.execute(query).fetchall() if schema.is_there(db) else ()

        return tuple(_hand(*row) for row in self._journal.look(read))


def _now() -> str:
    return time_text(datetime.now(UTC))


def _person(seen: InHand, why: str) -> Body:
    following = f"invoke resume --target {seen.target}, or invoke abort --target {seen.target}"
    return {"why": why, "next": following, "hosts": []}


def _hand(
    id: str,
    zone: str,
    by: str,
    width: int,
    runs: str,
    stopping: bool,
    place: str,
    since: datetime,
    silent: float,
    watches: str,
    carries: int,
) -> Hand:
    about = (place, tuple(json.loads(watches)), carries)
    return Hand(id, zone, by, width, tuple(json.loads(runs)), stopping, since, silent, *about)
