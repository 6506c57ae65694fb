"""A long time of checks from several zones, in the history of a team: written, rolled up and
forgotten by the real code over a real PostgreSQL, on a clock that is pretended.

A stretch is played in full (`minutes`): each look of each minute. Or its looks are laid down, an
hour by one statement (`lay`). Or it is played thin (`day`): no single looks, but each hour and day
that they would have been rolled up into, of as many bytes. Each incident, message, silence,
snapshot and revert is there in any case. What the database's own clock tells to go (questions,
tokens) is made older by the days that are played.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import reduce

from backout.adapters.storage.health_change import DAY, HOUR, Buckets, Change
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.health import PostgresHealth
from backout.adapters.storage.postgres.posts import Posts
from backout.adapters.storage.postgres.questions import Questions
from backout.adapters.storage.tables import Tables
from backout.checks.agreement import agreed
from backout.model import (
    CheckKey,
    Finding,
    Incident,
    Inventory,
    Message,
    Sample,
    Streak,
    Verdict,
    ZoneFinding,
)
from backout.watch import rollups, zones
from backout.watch.asking import Asking

BEGIN = 1_790_000_000.0 // DAY * DAY
ZONES = ("eu", "us", "ap")
A_TARGET = 20
"""So many checks has each target."""
ILL = 600.0
"""Seconds that something is wrong."""
EVIDENCE = {
    "expected": "status == 200",
    "got": "status 503",
    "excerpt": "x" * 300,
    "asked": "GET /",
}
WELL = Streak(good=1440, green=True)
_LAID = (
    "INSERT INTO look (spot, at, verdict, elapsed, queued, reason)"
    " SELECT spot, (?::bigint + minute * 60) * 1000, 0, (?::double precision * random())::bigint,"
    " 3, ? FROM generate_series(0, ?::integer - 1) AS minute, unnest(?::integer[]) AS spot"
)
ABOUT = {"release": {"number": 7, "commit": "0" * 40}}


@dataclass(frozen=True)
class Size:
    """A table with its indices, at some time."""

    rows: int
    bytes: int


def hourly(chance: random.Random, latencies: Sequence[float]) -> bytes:
    """An hour of a check, as it is rolled up."""
    key = CheckKey("", "")
    some = chance.sample(latencies, 60)
    return rollups.fold(b"", (Sample(key, 0.0, Verdict.PASS, each) for each in some))


@dataclass
class Year:
    """The history of so many checks, each looked at every minute by every zone."""

    dsn: str
    checks: int
    now: float = BEGIN
    together: int = 250
    """Looks in one transaction: a watcher that has that many to write has fewer at a time."""
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    ill: dict[CheckKey, float] = field(default_factory=dict)
    """What is wrong, until when."""
    born: int = 0

    def __post_init__(self) -> None:
        self.keys = [self._new(n % max(1, self.checks // A_TARGET)) for n in range(self.checks)]
        self.latencies = [self.chance.lognormvariate(4, 0.5) for _ in range(4096)]
        self.hours = [hourly(self.chance, self.latencies) for _ in range(64)]
        self.days = [_together(self.chance.sample(self.hours, 24)) for _ in range(16)]
        self._spoken = datetime.min
        self._reason = ""
        self.open()

    def open(self) -> None:
        """As a watcher does that is started."""
        self.store = PostgresHealth(Address(self.dsn), str, rollups.fold)
        self.posts = Posts(self.store, "here", "1", "watcher@here")
        self.posts.stand(sorted({key.target for key in self.keys}))
        self.workers = {
            zone: PostgresHealth(Address(self.dsn), str, rollups.fold) for zone in ZONES
        }

    def close(self) -> None:
        for each in (self.store, *self.workers.values()):
            each.close()

    def _new(self, target: int) -> CheckKey:
        self.born += 1
        return CheckKey(f"shop-{target}", f"answers-{self.born}", f"web{self.born}")

    # --- in full ---------------------------------------------------------------------------

    def minutes(self, count: int) -> None:
        """So many of them, with every look; rolled up at each hour, as a watcher does."""
        for _ in range(count):
            self.looks(self.keys)
            self.now += 60
            if self.now % HOUR == 0:
                self.store.roll_up(self.now)
            if self.now % DAY == 0:
                self._lived_through()

    def looks(self, keys: Sequence[CheckKey]) -> None:
        """One at each of them, within this minute."""
        for start in range(0, len(keys), self.together):
            with self.store.write() as change:
                for key in keys[start : start + self.together]:
                    change.look(self._sample(key), WELL, tick=self.now)

    def _sample(self, key: CheckKey) -> Sample:
        bad = self.ill.get(key, 0.0) > self.now
        verdict = Verdict.FAIL if bad else Verdict.PASS
        took = self.latencies[self.chance.randrange(4096)]
        return Sample(key, self.now, verdict, took, self.chance.randrange(64), self._told())

    def _told(self) -> str:
        """What three zones say, as it is kept with each look."""
        at = datetime.fromtimestamp(self.now, UTC)
        if at != self._spoken:
            passes = Finding("answers", None, Verdict.PASS, elapsed_ms=50.0)
            seen = [ZoneFinding(z, Verdict.PASS, f"w1@{z}", self.now, 50.0) for z in ZONES]
            found = agreed("answers", None, [(each, passes) for each in seen], 2)
            self._spoken, self._reason = at, found.reason
        return self._reason

    # --- thin ------------------------------------------------------------------------------

    def day(self, *, hours: bool = True) -> None:
        """One of which there are no looks, but all that is made of them, and what is forgotten.
        Hours can be left out, where they would be forgotten before they are looked at."""
        self._roll_up_day(hours=hours)
        self.now += DAY
        self.store.roll_up(self.now)
        self._lived_through()

    def lay(self, days: int) -> None:
        """So many of which all looks are laid down, an hour at once, as if each had been written
        and rolled up in its time."""
        for _ in range(days):
            self._roll_up_day(hours=True)
            for _ in range(24):
                self._lay_hour()
                self.now += HOUR
            self._lived_through()

    def _lay_hour(self) -> None:
        with self.store.write() as change:
            ids = [change.check_key(key) for key in self.keys]
            told = (round(self.now), 100_000.0, self._told(), 60, ids)
            change.tables.execute(_LAID, told)
            (last,) = change.tables.execute("SELECT max(seq) FROM look").fetchone()
            change.roll(last)

    def _roll_up_day(self, *, hours: bool) -> None:
        begin = int(self.now)
        with self.store.write() as change:
            for hour in range(24 if hours else 0):
                self._rolled(change, "hour", begin + hour * HOUR, self.hours)
            self._rolled(change, "day", int(begin // DAY * DAY), self.days)

    def _rolled(self, change: Change, table: str, at: int, bodies: Sequence[bytes]) -> None:
        buckets: Buckets = {(change.check_key(key), at): [] for key in self.keys}
        change.fold_in(table, buckets, lambda _, __: self.chance.choice(bodies))

    def _lived_through(self) -> None:
        """What else a day brings: each check is ill once a month, and somebody is told twice."""
        number = round((self.now - BEGIN) / DAY)
        self._fall_ill()
        waiting = self.store.waiting()
        with self.store.write() as change:
            for message in waiting:
                change.claim(message, self.now)
                change.delivered(message.id, self.now)
        with self.store.write() as change:
            change.silence("shop-0", "", self.now + HOUR, "ann")
            if number % 7 == 0:
                self._release(change, number)
        if number % 30 == 0:
            self._move_on()
        self._grow_older(1)

    def _fall_ill(self) -> None:
        some = self.chance.sample(self.keys, max(1, len(self.keys) // 30))
        self.ill = dict.fromkeys(some, self.now + ILL)
        with self.store.write() as change:
            for key in some:
                opened = Incident(key, "fail", self.now, self.now, EVIDENCE)
                opened = replace(opened, id=change.open(opened))
                change.told(opened.id, self.now)
                self._tell(change, opened, "open")
                change.resolve(opened.id, self.now + ILL)
                self._tell(change, opened, "resolve")

    def _tell(self, change: Change, incident: Incident, kind: str) -> None:
        for place in ("people", "pager"):
            key = f"{self.store.name}-{incident.id}-{kind}"
            target = incident.check_key.target
            change.post(Message(target, place, kind, key, kind, "y" * 800, self.now, incident.id))

    def _release(self, change: Change, number: int) -> None:
        for key in self.keys[: len(self.keys) // 10]:
            change.snapshot(key, number, self.now, EVIDENCE)
        change.revert(f"run-{number}", "shop-0", self.now, "it went red")
        change.reverted(f"run-{number}", self.now, "reverted")

    def _move_on(self) -> None:
        """A month: hosts are replaced, and the watcher is started anew."""
        for n in range(max(1, len(self.keys) // 100)):
            self.keys[n] = self._new(int(self.keys[n].target.partition("-")[2]))
        self.close()
        self.open()

    def _grow_older(self, days: int) -> None:
        """What goes by the database's own clock."""
        for table, column in (("settled", "at"), ("watch_question", "asked")):
            words = (
                f"UPDATE backout.{table} SET {column} = {column} - make_interval(days => {days})"
            )
            self.store.change(lambda db, words=words: db.execute(words).rowcount)  # type: ignore[misc]

    # --- what zones are asked --------------------------------------------------------------

    def questions(self, keys: Sequence[CheckKey]) -> None:
        """Each zone is asked for a look at each, some at a time, and answers; and it is written."""
        mine = Questions(self.store)
        for start in range(0, len(keys), A_TARGET):
            some = keys[start : start + A_TARGET]
            asked = [each for key in some for each in mine.ask(key, ZONES, inventory(key), ABOUT)]
            for zone in ZONES:
                self.answer(zone)
            stands = mine.stand(asked)
            assert len(asked) == len(some) * len(ZONES)
            assert all(each.answered for each in stands.values())
            self.looks(some)

    def answer(self, zone: str) -> int:
        """What waits there."""
        theirs = Questions(self.workers[zone])
        taken = theirs.take(zone, f"w1@{zone}", f"w1-{zone}", A_TARGET)
        for each in taken:
            key = each.asked.check_key
            took = self.latencies[hash(each.asked) % 4096]
            found = Finding(key.check, key.host, Verdict.PASS, elapsed_ms=took)
            theirs.answer(each.asked, f"w1-{zone}", [zones.record(found)], {})
        return len(taken)

    def asking(self) -> Asking:
        """Who asks the zones for the watcher."""
        return Asking(Questions(self.store))

    @property
    def age(self) -> float:
        """Days since it began."""
        return (self.now - BEGIN) / DAY

    # --- what it comes to ------------------------------------------------------------------

    def sizes(self) -> Mapping[str, Size]:
        """All tables of the history, with their indices."""
        names = (
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'backout'::regnamespace"
            " AND (relname LIKE 'watch%' OR relname = 'settled') ORDER BY relname"
        )
        return self.store.look(
            lambda db: {
                name.removeprefix("watch_"): Size(
                    db.execute(f"SELECT count(*) FROM backout.{name}").fetchone()[0],
                    int(bytes),
                )
                for name, bytes in db.execute(names).fetchall()
            }
        )


def _said(words: str, db: Tables) -> int:
    return db.execute(words).rowcount


def _together(bodies: Sequence[bytes]) -> bytes:
    return reduce(rollups.join, bodies)


def inventory(key: CheckKey) -> Inventory:
    """What a question about it is about."""
    return Inventory(f"digest-{key.target}", '{"name": "' + key.target + '"}')
