"""What zones are asked to look at, and what they answer: one row for each check and zone.

Who asks watches the target, by its epoch; who takes a question is the only one that answers it. All
times are the database's own.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from backout.adapters.storage.postgres.health import PostgresHealth
from backout.adapters.storage.tables import Tables
from backout.model import Answered, Asked, CheckKey, Inventory, Taken

Body = Mapping[str, Any]
TAKEN_WITHIN = 5.0
"""Seconds in which a worker has to take a question; then it is nobody's."""
_PLACE = "target = ? AND name = ? AND host = ? AND zone = ?"
_ASK = (
    "INSERT INTO backout.watch_question AS old"
    " (target, name, host, zone, number, asked, digest, about)"
    " SELECT ?, ?, ?, ?, 1, now(), ?, ? WHERE EXISTS"
    " (SELECT 1 FROM post WHERE post.target = ? AND post.epoch = ?)"
    " ON CONFLICT (target, name, host, zone) DO UPDATE SET number = old.number + 1,"
    " asked = now(), digest = excluded.digest, about = excluded.about RETURNING number"
)
_TAKE = (
    "UPDATE backout.watch_question AS one SET taken = one.number, by = ?, worker = ?"
    " FROM (SELECT target, name, host, zone FROM backout.watch_question WHERE zone = ?"
    " AND taken < number AND asked > now() - make_interval(secs => ?)"
    " ORDER BY asked LIMIT ? FOR UPDATE SKIP LOCKED) AS free"
    " WHERE one.target = free.target AND one.name = free.name AND one.host = free.host"
    " AND one.zone = free.zone"
    " RETURNING one.target, one.name, one.host, one.zone, one.number, one.digest, one.about,"
    " one.memory"
)
_ANSWER = (
    "UPDATE backout.watch_question SET answered = number, answered_by = by,"  # noqa: S608 - our own words
    f" at = clock_timestamp(), findings = ?, memory = ? WHERE {_PLACE}"
    " AND number = ? AND taken = number AND worker = ?"
)
_STANDS = (
    "SELECT asked.n, number, taken, answered, answered_by,"
    " extract(epoch FROM at)::double precision, findings"
    " FROM (VALUES {}) AS asked (n, target, name, host, zone)"
    " JOIN backout.watch_question USING (target, name, host, zone)"
)


class Questions:
    """`ports.Questions`, in the history of checks of a team."""

    def __init__(self, store: PostgresHealth) -> None:
        self._store = store

    # --- who asks --------------------------------------------------------------------------

    def ask(
        self, check_key: CheckKey, zones: Sequence[str], inventory: Inventory, about: Body
    ) -> tuple[Asked, ...]:
        """Durably: what was asked before is asked no more. None where another process watches the
        target by now. Raises Unwritten."""
        target, epoch = check_key.target, self._store.epochs.get(check_key.target, -1)
        told = (inventory.digest, json.dumps(about), target, epoch)

        def write(db: Tables) -> tuple[Asked, ...]:
            asked = []
            for zone in sorted(zones):
                place = (target, check_key.check, check_key.host, zone)
                row = db.execute(_ASK, (*place, *told)).fetchone()
                asked += [Asked(check_key, zone, row[0])] if row else []
            if asked:
                _describe(db, target, inventory)
            return tuple(asked)

        return self._store.change(write)

    def stand(self, asked: Collection[Asked]) -> Mapping[Asked, Answered]:
        """How these questions stand. Raises Unwritten."""
        several = tuple(asked)
        if not several:
            return {}
        places = ", ".join(["(?::integer, ?::text, ?::text, ?::text, ?::text)"] * len(several))
        values = [value for n, each in enumerate(several) for value in (n, *_place(each))]
        rows = self._store.look(lambda db: db.execute(_STANDS.format(places), values).fetchall())
        return {several[row[0]]: _stands(several[row[0]], row[1:]) for row in rows}

    # --- who answers -----------------------------------------------------------------------

    def take(self, zone: str, by: str, worker: str, most: int) -> tuple[Taken, ...]:
        """Durably: what waits there for an answer is this worker's to answer. Raises Unwritten."""
        values = (by, worker, zone, TAKEN_WITHIN, most)
        rows = self._store.change(lambda db: db.execute(_TAKE, values).fetchall())
        return tuple(
            Taken(
                Asked(CheckKey(*row[:3]), row[3], row[4]),
                row[5],
                json.loads(row[6]),
                json.loads(row[7]),
            )
            for row in rows
        )

    def inventory(self, target: str) -> Inventory:
        """What questions about it are about; nothing when there were none. Raises Refused."""
        words = "SELECT digest, body FROM backout.watch_asked WHERE target = ?"
        row = self._store.look(lambda db: db.execute(words, (target,)).fetchone())
        return Inventory(*row) if row else Inventory()

    def answer(self, asked: Asked, worker: str, findings: Sequence[Body], memory: Body) -> bool:
        """Durably, unless it was asked anew meanwhile: whether it counts. Raises Unwritten."""
        told = (json.dumps(findings, default=str), json.dumps(memory, default=str))
        values = (*told, *_place(asked), asked.number, worker)
        return bool(self._store.change(lambda db: db.execute(_ANSWER, values).rowcount))


def _place(asked: Asked) -> tuple[str, str, str, str]:
    key = asked.check_key
    return (key.target, key.check, key.host, asked.zone)


def _describe(db: Tables, target: str, inventory: Inventory) -> None:
    """Once for each that differs from the one before."""
    known = "SELECT 1 FROM backout.watch_asked WHERE target = ? AND digest = ?"
    if not db.execute(known, (target, inventory.digest)).fetchone():
        words = (
            "INSERT INTO backout.watch_asked VALUES (?, ?, ?) ON CONFLICT (target) DO UPDATE"
            " SET digest = excluded.digest, body = excluded.body"
        )
        db.execute(words, (target, inventory.digest, inventory.body))


def _stands(asked: Asked, row: Any) -> Answered:
    number, taken, answered, by, at, findings = row
    same = number == asked.number
    return Answered(
        taken=same and taken == number,
        answered=same and answered == number,
        by=by,
        at=at,
        findings=tuple(json.loads(findings)),
    )
