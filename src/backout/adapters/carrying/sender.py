"""Sends what only another zone can do to a carrier of it, and waits for what it says.

One thread looks after all that this process has sent; whoever sent it waits for that. It goes to
one of the zone's living workers, for one host to the same one. What nobody takes is withdrawn, and
goes to another; what was taken by one that gives no sign of life any more was cut off.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from time import monotonic

from backout.adapters.carrying import tables
from backout.adapters.carrying.attending import Attending
from backout.adapters.carrying.parcels import Cut
from backout.adapters.carrying.sealing import Seal, Unsealed
from backout.adapters.carrying.tables import TAKEN_WITHIN, Known, Parcel, Stands
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.tables import Tables
from backout.errors import Unreachable

OFTEN = 0.25
"""Seconds between two looks for what nobody called about."""
IDLE = 3600.0
PATIENCE = TAKEN_WITHIN + 1.0
"""Seconds after which what was not taken is withdrawn: longer than a carrier may take it."""
LOOKS = 3
"""A dead zone is waited for this part of the time after which a carrier is gone: the database may
have been away, and with it all signs of life."""


@dataclass(slots=True, eq=False)
class _Sent:
    """Something that somebody waits for."""

    zone: str
    host: str
    words: bytes
    within: float
    """Seconds after which an answer is not waited for any more."""
    made: float = field(default_factory=monotonic)
    parcel: Parcel | None = None
    """As it goes to one carrier."""
    to: Known | None = None
    there: float = 0.0
    """When it was in the database; 0 where that is not known."""
    tried: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)
    answer: bytes = b""
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.error = error
        self.over.set()


class Sender:
    """For all hosts of one process."""

    def __init__(self, address: Address, *, after: float, wait: float) -> None:
        """A carrier is gone `after` so many seconds without a sign of life; a database that is gone
        is waited for (`wait`)."""
        self._after, self._wait = after, wait
        self._id = secrets.token_hex(8)
        self._seal = Seal()
        self._guard = threading.Lock()
        self._waiting: list[_Sent] = []
        self._pulses: dict[str, tuple[int, float]] = {}
        """The last sign of life of each carrier, and for how long there was no other."""
        self._slow: dict[str, int] = {}
        """Those that did not take what was theirs, and their sign of life then."""
        self._looked = monotonic()
        self._away_since: float | None = None
        channel = tables.channel(self._id)
        self._attending = Attending(address, channel, self._turn, self._away)

    def send(self, zone: str, host: str, words: bytes, within: float) -> tuple[bytes, str]:
        """What a carrier of the zone answers, and whose it is; from any thread. Raises Unreachable
        where certainly none has begun, and Cut."""
        mine = _Sent(zone, host, words, within)
        with self._guard:
            self._waiting.append(mine)
        self._attending.call()
        try:
            mine.over.wait()
        finally:
            with self._guard:
                self._waiting.remove(mine)
            self._attending.call()
        if mine.error:
            raise mine.error
        return mine.answer, mine.to.by if mine.to else ""

    def close(self) -> None:
        """Nothing more is sent."""
        self._attending.close()

    # --- in its thread -------------------------------------------------------------------

    def _turn(self, db: Tables) -> float:
        self._away_since = None
        with self._guard:
            waiting = [each for each in self._waiting if not each.over.is_set()]
        stands = tables.stand(db, self._id)
        if not waiting and not stands:
            self._looked = monotonic()
            return IDLE
        known = tables.carriers(db, self._after)
        self._feel(known)
        for each in waiting:
            if each.there and each.parcel:
                self._see(db, each, stands.get(each.parcel.id))
        open_ = [each for each in waiting if not each.over.is_set()]
        ours = {each.parcel.id for each in open_ if each.parcel}
        if left := stands.keys() - ours:
            tables.remove(db, left)
        for each in open_:
            if each.parcel is None:
                self._address(each, known)
        self._send(db, [each for each in open_ if each.parcel and not each.there])
        return OFTEN

    def _feel(self, known: Sequence[Known]) -> None:
        """Of a long time without a look nothing is known: this process, or the database, was
        away."""
        now = monotonic()
        passed = min(now - self._looked, self._after / LOOKS)
        self._looked = now
        beats = {each.id: each.beat for each in known}
        for id in {*beats, *self._pulses}:
            beat, still = self._pulses.get(id, (-1, 0.0))
            same = beats.get(id, beat) == beat
            self._pulses[id] = (beats.get(id, beat), still + passed if same else 0.0)

    def _see(self, db: Tables, sent: _Sent, stands: Stands | None) -> None:
        """How one stands that is in the database."""
        assert sent.parcel  # noqa: S101 - it was sent
        assert sent.to  # noqa: S101 - likewise
        by = f"{sent.to.by}, a worker of zone {sent.zone}"
        waited = monotonic() - sent.there
        if stands is None:
            sent.fail(Cut(f"what {by}, had of {sent.host} is gone from the ledger"))
        elif stands.answer is not None:
            self._open(sent, sent.parcel, sent.to, stands.answer)
        elif not stands.taken:
            if waited > PATIENCE and tables.withdraw(db, sent.parcel.id):
                sent.tried.add(sent.to.id)
                self._slow[sent.to.id] = sent.to.beat
                sent.parcel, sent.to, sent.there = None, None, 0.0
        elif self._pulses.get(sent.to.id, (0, 0.0))[1] >= self._after:
            sent.fail(Cut(f"{by}, gave no sign of life for {self._after:.0f} s at {sent.host}"))
        elif waited > sent.within:
            sent.fail(Cut(f"{by}, has not said within {waited:.0f} s what {sent.host} answers"))

    def _open(self, sent: _Sent, parcel: Parcel, to: Known, answer: bytes) -> None:
        try:
            sent.answer = self._seal.opened(to.key, f"answer {parcel.id}", answer)
        except Unsealed:
            sent.fail(Cut(f"what {to.by} answers of {sent.host} was not sealed by it"))
        sent.over.set()

    def _address(self, sent: _Sent, known: Sequence[Known]) -> None:
        """Choose who is to take it; where nobody can, it is not reached."""
        ours = [each for each in known if each.zone == sent.zone]
        living = [each for each in ours if each.alive and not each.stopping]
        free = [each for each in living if self._slow.get(each.id) != each.beat]
        if left := [each for each in free if each.id not in sent.tried]:
            sent.to = min(left, key=lambda each: _rank(each.id, sent.host))
            id = secrets.token_hex(8)
            body = self._seal.closed(sent.to.key, f"request {id}", sent.words)
            sent.parcel = Parcel(id, sent.to.id, sent.host, body)
            return
        if free:
            sent.tried.clear()  # they live, and are busy: once more
        patience = self._after if living else self._after / LOOKS if ours else 0.0
        if monotonic() - sent.made >= patience:
            sent.fail(_unreached(sent, any(living)))

    def _send(self, db: Tables, sent: Sequence[_Sent]) -> None:
        parcels = [each.parcel for each in sent if each.parcel]
        if parcels:
            tables.send(db, self._id, self._seal.public, parcels)
        now = monotonic()
        for each in sent:
            each.there = now

    def _away(self, why: str) -> None:
        """The database is gone: it is waited for, and not longer than a run does."""
        now = monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since < self._wait:
            return
        with self._guard:
            waiting = [each for each in self._waiting if not each.over.is_set()]
            for each in waiting:
                words = f"the ledger cannot be reached, and so neither can {each.host}: {why}"
                each.fail(Cut(words) if each.parcel else Unreachable(words, where=each.host))


def _rank(carrier: str, host: str) -> bytes:
    """Rendezvous: a carrier that comes or goes moves its own hosts alone."""
    return blake2b(f"{carrier} {host}".encode(), digest_size=8).digest()


def _unreached(sent: _Sent, living: bool) -> Unreachable:
    why = "none of them takes what is for it" if living else "none of them is there"
    return Unreachable(
        f"{sent.host} is reached by the workers of zone {sent.zone} alone, and {why}",
        where=sent.host,
        next=f"on a machine of that zone: invoke worker --zone {sent.zone}; see invoke workers",
    )
