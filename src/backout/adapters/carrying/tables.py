"""Who carries, and what is on its way: the words for the ledger's database. Each is one statement.

A parcel is taken once, by the carrier that it is addressed to, and only while whoever sent it waits
for that: it is withdrawn where it was not taken, by one statement too. All times are the
database's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from backout.adapters.storage.tables import Tables

TAKEN_WITHIN = 5.0
"""Seconds in which a carrier has to take a parcel; then it is nobody's."""
FORGOTTEN = 86400.0
"""Seconds after which a carrier of which nothing was heard is forgotten."""
_CARRIERS = (
    "SELECT id, zone, by, key, beat, stopping, seen > clock_timestamp() - make_interval(secs => ?)"
    " FROM backout.carrier"
)
_SEND = (
    "WITH sent AS (INSERT INTO backout.parcel (id, carrier, asker, host, key, body) VALUES {}"
    " ON CONFLICT (id) DO NOTHING RETURNING carrier)"
    " SELECT pg_notify('backout_' || carrier, '') FROM sent GROUP BY carrier"
)
_STAND = "SELECT id, taken IS NOT NULL, answer FROM backout.parcel WHERE asker = ?"
_TAKE = (
    "UPDATE backout.parcel AS one SET taken = clock_timestamp()"
    " FROM (SELECT id FROM backout.parcel WHERE carrier = ? AND taken IS NULL"
    " AND answered IS NULL AND asked > clock_timestamp() - make_interval(secs => ?)"
    " ORDER BY asked LIMIT ? FOR UPDATE SKIP LOCKED) AS free"
    " WHERE one.id = free.id RETURNING one.id, one.key, one.body"
)
_ANSWER = (
    "UPDATE backout.parcel SET answered = clock_timestamp(), answer = ? WHERE id = ?"
    " AND taken IS NOT NULL AND answered IS NULL RETURNING pg_notify('backout_' || asker, '')"
)
_BEAT = (
    "INSERT INTO backout.carrier AS old (id, zone, by, key, beat, stopping, seen)"
    " VALUES (?, ?, ?, ?, 1, ?, clock_timestamp()) ON CONFLICT (id) DO UPDATE"
    " SET beat = old.beat + 1, stopping = excluded.stopping, seen = excluded.seen"
)
_LEFT = (
    "DELETE FROM backout.parcel WHERE asked < clock_timestamp() - make_interval(mins => 1)"
    " AND (taken IS NULL OR answered < clock_timestamp() - make_interval(mins => 10)"
    " OR (answered IS NULL AND NOT EXISTS"
    " (SELECT 1 FROM backout.carrier WHERE carrier.id = parcel.carrier)))"
)


@dataclass(frozen=True, slots=True)
class Known:
    """A carrier as it was seen."""

    id: str
    zone: str
    by: str
    key: bytes
    beat: int
    stopping: bool
    alive: bool
    """Whether it has given a sign of life of late."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One that is sent."""

    id: str
    carrier: str
    host: str
    body: bytes
    """Sealed."""


@dataclass(frozen=True, slots=True)
class Stands:
    """How one stands that was sent."""

    taken: bool
    answer: bytes | None


# --- whoever sends -----------------------------------------------------------------------------


def carriers(db: Tables, after: float) -> tuple[Known, ...]:
    """All that are known; alive is one that was heard within so many seconds."""
    rows = db.execute(_CARRIERS, (after,)).fetchall()
    return tuple(Known(row[0], row[1], row[2], bytes(row[3]), *row[4:]) for row in rows)


def send(db: Tables, asker: str, key: bytes, parcels: Sequence[Parcel]) -> None:
    """Each is there once, however often it is sent; their carriers hear of it."""
    values = [v for p in parcels for v in (p.id, p.carrier, asker, p.host, key, p.body)]
    db.execute(_SEND.format(", ".join(["(?, ?, ?, ?, ?, ?)"] * len(parcels))), values)


def stand(db: Tables, asker: str) -> Mapping[str, Stands]:
    """How all that this process has sent stands, by its id."""
    rows = db.execute(_STAND, (asker,)).fetchall()
    return {id: Stands(taken, None if said is None else bytes(said)) for id, taken, said in rows}


def withdraw(db: Tables, id: str) -> bool:
    """Whether it was not taken, and will never be."""
    words = "DELETE FROM backout.parcel WHERE id = ? AND taken IS NULL"
    return bool(db.execute(words, (id,)).rowcount)


def remove(db: Tables, ids: Collection[str]) -> None:
    """Nobody waits for them any more."""
    db.execute("DELETE FROM backout.parcel WHERE id = ANY(?)", (list(ids),))


# --- whoever carries ---------------------------------------------------------------------------


def beat(db: Tables, me: Known, *, stopping: bool) -> None:
    """It lives."""
    db.execute(_BEAT, (me.id, me.zone, me.by, me.key, stopping))


def take(db: Tables, carrier: str, most: int) -> tuple[tuple[str, bytes, bytes], ...]:
    """What waits for it: the id, whose key, and what."""
    rows = db.execute(_TAKE, (carrier, TAKEN_WITHIN, most)).fetchall()
    return tuple((id, bytes(key), bytes(body)) for id, key, body in rows)


def taken(db: Tables, carrier: str) -> Mapping[str, bytes]:
    """What it has taken and not answered, and whose key each has."""
    words = (
        "SELECT id, key FROM backout.parcel WHERE carrier = ? AND taken IS NOT NULL"
        " AND answered IS NULL"
    )
    return {id: bytes(key) for id, key in db.execute(words, (carrier,)).fetchall()}


def awaited(db: Tables, id: str) -> bool:
    """Whether whoever sent it still waits for the answer."""
    words = "SELECT 1 FROM backout.parcel WHERE id = ? AND answered IS NULL"
    return bool(db.execute(words, (id,)).fetchone())


def answer(db: Tables, id: str, sealed: bytes) -> None:
    """Whoever sent it hears of it, if anybody waits."""
    db.execute(_ANSWER, (sealed, id))


def leave(db: Tables, carrier: str) -> None:
    """It is not there any more; nor are those of which nothing was heard for long."""
    words = (
        "DELETE FROM backout.carrier WHERE id = ?"
        " OR seen < clock_timestamp() - make_interval(secs => ?)"
    )
    db.execute(words, (carrier, FORGOTTEN))


def tidy(db: Tables) -> None:
    """What nobody waits for any more is gone: its sender was killed, or its carrier."""
    db.execute(_LEFT)


def channel(id: str) -> str:
    """Where a process listens."""
    return f"backout_{id}"
