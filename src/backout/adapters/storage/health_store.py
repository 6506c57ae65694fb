"""What checks said, when, and what was made of it: one SQLite file beside the journal.

WAL, synchronous=FULL, 0600. Whatever belongs together is written in one transaction (`write`):
looks, the counters that they change, the incidents that they open, the letters that tell of them.
Every text is redacted before it is written. Looks are kept for days; hours and days are rolled up
by a `fold` that the store is given, each look into each of them exactly once.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

from backout.errors import Refused, Unwritten
from backout.model import Incident, Letter, Sample, Spot, Verdict

APPLICATION = 0x4261486C
BUSY = 30.0
DAY = 86400
HOUR = 3600
RAW = 2 * DAY
"""How long single looks are kept."""
HOURS = 35 * DAY
DAYS = 800 * DAY
LETTERS = 30 * DAY
"""How long delivered letters are kept."""
REASON = 300
"""No more of a look's reason is kept than this."""
FOLDED = 50_000
"""So many looks are rolled up at a time."""

VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
Fold = Callable[[bytes, Iterable[Sample]], bytes]

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE spot (
            id INTEGER PRIMARY KEY, target TEXT NOT NULL, name TEXT NOT NULL, host TEXT NOT NULL,
            tick REAL, pulse TEXT NOT NULL DEFAULT '{}', memory TEXT NOT NULL DEFAULT '{}',
            UNIQUE (target, name, host))""",
        """CREATE TABLE look (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, spot INTEGER NOT NULL, at INTEGER NOT NULL,
            verdict INTEGER NOT NULL, elapsed INTEGER NOT NULL, queued INTEGER NOT NULL,
            reason TEXT)""",
        "CREATE INDEX look_of_spot ON look (spot, at)",
        """CREATE TABLE hour (
            spot INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (spot, at)) WITHOUT ROWID""",
        """CREATE TABLE day (
            spot INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (spot, at)) WITHOUT ROWID""",
        """CREATE TABLE incident (
            id INTEGER PRIMARY KEY AUTOINCREMENT, spot INTEGER NOT NULL, kind TEXT NOT NULL,
            since REAL NOT NULL, opened REAL NOT NULL, evidence TEXT NOT NULL, told REAL,
            acked TEXT NOT NULL DEFAULT '', resolved REAL)""",
        "CREATE UNIQUE INDEX one_open_incident ON incident (spot) WHERE resolved IS NULL",
        """CREATE TABLE letter (
            id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, destination TEXT NOT NULL,
            kind TEXT NOT NULL, key TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
            created REAL NOT NULL, incident INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
            retry_at REAL NOT NULL DEFAULT 0, failure TEXT NOT NULL DEFAULT '', ended REAL,
            outcome TEXT NOT NULL DEFAULT '', digest INTEGER)""",
        "CREATE UNIQUE INDEX letter_once ON letter (destination, key)",
        "CREATE INDEX letter_waits ON letter (destination, id) WHERE ended IS NULL",
        """CREATE TABLE silence (
            id INTEGER PRIMARY KEY, target TEXT NOT NULL, name TEXT NOT NULL, until REAL NOT NULL,
            by TEXT NOT NULL)""",
        """CREATE TABLE snapshot (
            spot INTEGER PRIMARY KEY, release INTEGER NOT NULL, at REAL NOT NULL,
            body TEXT NOT NULL)""",
        """CREATE TABLE revert (
            run TEXT PRIMARY KEY, target TEXT NOT NULL, at REAL NOT NULL, why TEXT NOT NULL,
            ended REAL, outcome TEXT NOT NULL DEFAULT '')""",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ),
)


class HealthStore:
    """The health of all targets of one working copy."""

    def __init__(self, path: Path | str, redact: Callable[[str], str], fold: Fold) -> None:
        """Open or create it. Raises Refused when the file cannot be used."""
        self.path = Path(path)
        self.redact = redact
        self._fold = fold
        self._spots: dict[Spot, int] = {}
        self._writing = RLock()
        self._reading = RLock()
        with self._readable():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            self._db = _connect(self.path)
            _migrate(self._db, self.path)
            self._reader = _connect(self.path)
            self._reader.execute("PRAGMA query_only = ON")
        self.name = self._name()
        """Tells the letters of this store from those of others."""

    def _name(self) -> str:
        with self.write() as change:
            return change.name()

    def close(self) -> None:
        with self._writing, self._reading:
            self._db.close()
            self._reader.close()

    def __enter__(self) -> HealthStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- writing -------------------------------------------------------------------------

    @contextmanager
    def write(self) -> Iterator[Change]:
        """One transaction: all of it is durable at its end, or none. Raises Unwritten."""
        with self._writing:
            known = dict(self._spots)
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield Change(self._db, self.redact, self._spots)
                self._db.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                self._spots = known
                if isinstance(error, sqlite3.OperationalError):
                    raise Unwritten(
                        f"the history of checks cannot be written: {error}",
                        where=str(self.path),
                        next="make room, or make it writable",
                    ) from error
                raise

    def roll_up(self, now: float) -> int:
        """Add the looks that are not rolled up yet to their hours and days, and forget what is
        old. Returns how many looks there were. Raises Unwritten."""
        folded = 0
        while True:
            with self.write() as change:
                count = change.roll_up(self._fold, FOLDED)
            folded += count
            if count < FOLDED:
                break
        with self.write() as change:
            change.forget(now)
        return folded

    # --- reading -------------------------------------------------------------------------

    def pulses(self) -> dict[Spot, tuple[dict[str, Any], dict[str, Any], float | None]]:
        """Counters, probe memory and last tick of every spot."""
        rows = self._rows("SELECT target, name, host, pulse, memory, tick FROM spot")
        return {
            Spot(target, name, host): (json.loads(pulse), json.loads(memory), tick)
            for target, name, host, pulse, memory, tick in rows
        }

    def spots(self, target: str | None = None) -> tuple[Spot, ...]:
        """Everything that was ever looked at."""
        rows = self._rows(
            "SELECT target, name, host FROM spot WHERE ? IN (target, '') ORDER BY target, id",
            target or "",
        )
        return tuple(Spot(*row) for row in rows)

    def looks(self, spot: Spot, since: float = 0.0, limit: int = -1) -> tuple[Sample, ...]:
        """Single looks, oldest first; the newest `limit` of them."""
        rows = self._rows(
            "SELECT at, verdict, elapsed, queued, reason FROM look WHERE spot = ? AND at >= ?"
            " ORDER BY at DESC, seq DESC LIMIT ?",
            self._id(spot),
            round(since * 1000),
            limit,
        )
        return tuple(_sample(spot, *row) for row in reversed(rows))

    def hours(self, spot: Spot, since: float = 0.0) -> dict[int, bytes]:
        """Rolled-up hours by their beginning, the looks that are still single included."""
        return self._buckets(spot, "hour", HOUR, since)

    def days(self, spot: Spot, since: float = 0.0) -> dict[int, bytes]:
        """Rolled-up days (UTC) by their beginning, the looks that are still single included."""
        return self._buckets(spot, "day", DAY, since)

    def _buckets(self, spot: Spot, table: str, width: int, since: float) -> dict[int, bytes]:
        id, start = self._id(spot), int(since // width * width)
        with self._reading, self._readable(), _snapshot(self._reader) as db:
            found: dict[int, bytes] = dict(
                db.execute(
                    f"SELECT at, body FROM {table} WHERE spot = ? AND at >= ?",  # noqa: S608
                    (id, start),
                ).fetchall()
            )
            rows = db.execute(
                "SELECT at, verdict, elapsed, queued, reason FROM look"
                " WHERE spot = ? AND at >= ? AND seq > ? ORDER BY at",
                (id, start * 1000, _rolled(db)),
            ).fetchall()
        fresh = [_sample(spot, *row) for row in rows]
        for at, samples in groupby(fresh, lambda sample: int(sample.at // width * width)):
            found[at] = self._fold(found.get(at, b""), samples)
        return dict(sorted(found.items()))

    def incidents(
        self, target: str | None = None, *, open: bool = False, since: float = 0.0, limit: int = -1
    ) -> tuple[Incident, ...]:
        """Newest first; all that were open at some time after `since`."""
        rows = self._rows(
            f"{_INCIDENT} WHERE ? IN (target, '') AND (resolved IS NULL OR ? = 0)"
            " AND coalesce(resolved, 1e18) >= ? ORDER BY incident.id DESC LIMIT ?",
            target or "",
            open,
            since,
            limit,
        )
        return tuple(_incident(*row) for row in rows)

    def silences(self, now: float) -> tuple[tuple[str, str, float, str], ...]:
        """Those in force: target, check (empty: all of them), until when, by whom."""
        return tuple(self._rows("SELECT target, name, until, by FROM silence WHERE until > ?", now))

    def waiting(self, destination: str | None = None) -> tuple[Letter, ...]:
        """Letters that are not delivered yet, in order; those in a digest are part of it."""
        rows = self._rows(
            f"{_LETTER} WHERE ended IS NULL AND digest IS NULL AND ? IN (destination, '')"
            " ORDER BY first, id",
            destination or "",
        )
        return tuple(Letter(*row[:-1]) for row in rows)

    def letters(self, limit: int = 100) -> tuple[tuple[Letter, str, float | None], ...]:
        """The newest letters, with what became of them and when."""
        rows = self._rows(
            f"SELECT * FROM ({_LETTER}) JOIN (SELECT id AS same, outcome, ended FROM letter)"  # noqa: S608
            " ON same = id ORDER BY id DESC LIMIT ?",
            limit,
        )
        return tuple((Letter(*row[:-4]), row[-2], row[-1]) for row in rows)

    def snapshot(self, spot: Spot) -> tuple[int, Any] | None:
        """The release at which a snapshot was taken, and the snapshot."""
        rows = self._rows("SELECT release, body FROM snapshot WHERE spot = ?", self._id(spot))
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    def reverts(self) -> tuple[tuple[str, str, float | None], ...]:
        """The runs that were reverted by themselves: run, target, and when that ended."""
        return tuple(self._rows("SELECT run, target, ended FROM revert ORDER BY at"))

    def looks_after(self, seq: int, limit: int = 100_000) -> tuple[tuple[int, Sample], ...]:
        """The looks at all spots that were written after look number `seq`, in order: what the
        status page and the metrics have not counted yet."""
        rows = self._rows(
            "SELECT seq, target, name, host, at, verdict, elapsed, queued, reason"
            " FROM look JOIN spot ON spot.id = spot WHERE seq > ? ORDER BY seq LIMIT ?",
            seq,
            limit,
        )
        return tuple((row[0], _sample(Spot(*row[1:4]), *row[4:])) for row in rows)

    def rolled_up(
        self, days: float, hours: float
    ) -> tuple[int, tuple[tuple[Spot, int, bytes], ...], tuple[tuple[Spot, int, bytes], ...]]:
        """Days and hours of all spots that began since then, and the last look in them; what
        `looks_after` that one gives is the rest."""
        with self._reading, self._readable(), _snapshot(self._reader) as db:
            found = [
                db.execute(
                    f"SELECT target, name, host, {table}.at, body FROM {table}"  # noqa: S608
                    f" JOIN spot ON spot.id = spot WHERE {table}.at >= ? ORDER BY spot.id, 4",
                    (since,),
                ).fetchall()
                for table, since in (("day", days), ("hour", hours))
            ]
            last = _rolled(db)
        by_day, by_hour = (
            tuple((Spot(*row[:3]), row[3], row[4]) for row in rows) for rows in found
        )
        return last, by_day, by_hour

    def _id(self, spot: Spot) -> int:
        rows = self._rows(
            "SELECT id FROM spot WHERE target = ? AND name = ? AND host = ?",
            spot.target,
            spot.check,
            spot.host,
        )
        return int(rows[0][0]) if rows else -1

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._reading, self._readable():
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise Refused(
                f"the history of checks cannot be used: {error}",
                where=str(self.path),
                next=f"see that {self.path} is writable, or set it aside: mv {self.path}{{,.old}}",
            ) from error


class Change:
    """One transaction."""

    def __init__(
        self, db: sqlite3.Connection, redact: Callable[[str], str], spots: dict[Spot, int]
    ) -> None:
        self._db = db
        self._redact = redact
        self._spots = spots

    def name(self) -> str:
        """The store's own name, made when it is first asked for."""
        self._db.execute(
            "INSERT INTO meta VALUES ('name', ?) ON CONFLICT DO NOTHING", (secrets.token_hex(4),)
        )
        row = self._db.execute("SELECT value FROM meta WHERE name = 'name'").fetchone()
        return str(row[0])

    # --- looks ---------------------------------------------------------------------------

    def look(
        self,
        sample: Sample,
        pulse: Mapping[str, Any],
        *,
        memory: Mapping[str, Any] | None = None,
        tick: float | None = None,
    ) -> None:
        """One look, with the counters as they are after it."""
        id = self.spot(sample.spot)
        self._db.execute(
            "INSERT INTO look (spot, at, verdict, elapsed, queued, reason)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                id,
                round(sample.at * 1000),
                VERDICTS.index(sample.verdict),
                round(sample.elapsed_ms * 1000),
                round(sample.queued_ms),
                self._redact(sample.reason)[:REASON] or None,
            ),
        )
        self._db.execute(
            "UPDATE spot SET pulse = ?, tick = coalesce(?, tick) WHERE id = ?",
            (json.dumps(pulse), tick, id),
        )
        if memory is not None:
            self._db.execute("UPDATE spot SET memory = ? WHERE id = ?", (self._json(memory), id))

    def pulse(self, spot: Spot, pulse: Mapping[str, Any]) -> None:
        """The counters alone."""
        id = self.spot(spot)
        self._db.execute("UPDATE spot SET pulse = ? WHERE id = ?", (json.dumps(pulse), id))

    def spot(self, spot: Spot) -> int:
        """Its number; a new one is made when it is not known."""
        if spot not in self._spots:
            name = (spot.target, spot.check, spot.host)
            self._db.execute(
                "INSERT INTO spot (target, name, host) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                name,
            )
            found = self._db.execute(
                "SELECT id FROM spot WHERE target = ? AND name = ? AND host = ?", name
            )
            self._spots[spot] = int(found.fetchone()[0])
        return self._spots[spot]

    def snapshot(self, spot: Spot, release: int, at: float, body: Any) -> None:
        """What a release looked like when it was known to be good."""
        self._db.execute(
            "INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?)",
            (self.spot(spot), release, at, self._json(body)),
        )

    # --- incidents -----------------------------------------------------------------------

    def incident(self, spot: Spot) -> Incident | None:
        """The one that is open there."""
        row = self._db.execute(
            f"{_INCIDENT} WHERE spot = ? AND resolved IS NULL",
            (self.spot(spot),),
        ).fetchone()
        return _incident(*row) if row else None

    def incidents(self) -> tuple[Incident, ...]:
        """All that are open."""
        rows = self._db.execute(f"{_INCIDENT} WHERE resolved IS NULL").fetchall()
        return tuple(_incident(*row) for row in rows)

    def open(self, incident: Incident) -> int:
        """A new one; its number."""
        done = self._db.execute(
            "INSERT INTO incident (spot, kind, since, opened, evidence, told)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                self.spot(incident.spot),
                incident.kind,
                incident.since,
                incident.opened,
                self._json(incident.evidence),
                incident.told,
            ),
        )
        return int(done.lastrowid or 0)

    def worsen(self, incident: int, kind: str, evidence: Mapping[str, Any]) -> None:
        self._db.execute(
            "UPDATE incident SET kind = ?, evidence = ?, acked = '' WHERE id = ?",
            (kind, self._json(evidence), incident),
        )

    def told(self, incident: int, at: float) -> None:
        self._db.execute("UPDATE incident SET told = ? WHERE id = ?", (at, incident))

    def resolve(self, incident: int, at: float) -> None:
        self._db.execute("UPDATE incident SET resolved = ? WHERE id = ?", (at, incident))

    def ack(self, incident: int, by: str) -> None:
        self._db.execute("UPDATE incident SET acked = ? WHERE id = ?", (self._redact(by), incident))

    def silence(self, target: str, check: str, until: float, by: str) -> None:
        """Keep quiet about a check, or about the whole target, until then."""
        self._db.execute("DELETE FROM silence WHERE target = ? AND name = ?", (target, check))
        self._db.execute(
            "INSERT INTO silence (target, name, until, by) VALUES (?, ?, ?, ?)",
            (target, check, until, self._redact(by)),
        )

    def silenced(self, spot: Spot, now: float) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM silence WHERE target = ? AND name IN ('', ?) AND until > ?",
            (spot.target, spot.check, now),
        )
        return found.fetchone() is not None

    # --- letters -------------------------------------------------------------------------

    def post(self, letter: Letter) -> int:
        """A letter that is to be delivered; its number. The same key to the same destination is
        the same letter."""
        done = self._db.execute(
            "INSERT INTO letter (target, destination, kind, key, title, body, created, incident)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (destination, key) DO NOTHING",
            (
                letter.target,
                letter.destination,
                letter.kind,
                letter.key,
                self._redact(letter.title),
                self._redact(letter.body),
                letter.created,
                letter.incident,
            ),
        )
        return int(done.lastrowid or 0)

    def in_hand(self, incident: int) -> bool:
        """Whether a letter about it is still on its way."""
        found = self._db.execute(
            "SELECT 1 FROM letter WHERE incident = ? AND ended IS NULL", (incident,)
        )
        return found.fetchone() is not None

    def bundle(self, letters: Sequence[Letter], digest: Letter) -> int:
        """From now on these letters are one, which is delivered instead of them."""
        id = self.post(digest)
        self._db.executemany(
            "UPDATE letter SET digest = ? WHERE id = ?", [(id, each.id) for each in letters]
        )
        return id

    def attempt(self, letter: int, retry_at: float) -> None:
        """It is about to be sent, and after that it may have arrived."""
        self._db.execute(
            "UPDATE letter SET attempts = attempts + 1, retry_at = ? WHERE id = ?",
            (retry_at, letter),
        )

    def failed(self, letter: int, retry_at: float, failure: str) -> None:
        self._db.execute(
            "UPDATE letter SET retry_at = ?, failure = ? WHERE id = ?",
            (retry_at, self._redact(failure)[:REASON], letter),
        )

    def delivered(self, letter: int, at: float, outcome: str = "delivered") -> None:
        """It has arrived, and with it those that it bundles."""
        self._db.execute(
            "UPDATE letter SET ended = ?, outcome = ?, failure = '' WHERE id = ? OR digest = ?",
            (at, outcome, letter, letter),
        )

    # --- reverts -------------------------------------------------------------------------

    def revert(self, run: str, target: str, at: float, why: str) -> bool:
        """This run is about to be reverted; False when that was tried before."""
        done = self._db.execute(
            "INSERT INTO revert (run, target, at, why) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (run, target, at, self._redact(why)),
        )
        return done.rowcount == 1

    def reverted(self, run: str, at: float, outcome: str) -> None:
        self._db.execute(
            "UPDATE revert SET ended = ?, outcome = ? WHERE run = ?",
            (at, self._redact(outcome), run),
        )

    # --- keeping it small ----------------------------------------------------------------

    def roll_up(self, fold: Fold, limit: int) -> int:
        """Add looks to their hours and days, each exactly once."""
        rows = self._db.execute(
            "SELECT seq, spot, at, verdict, elapsed, queued, NULL FROM look WHERE seq > ?"
            " ORDER BY seq LIMIT ?",
            (_rolled(self._db), limit),
        ).fetchall()
        nowhere = Spot("", "")
        found: dict[tuple[str, int, int], list[Sample]] = {}
        for _, spot, *row in rows:
            sample = _sample(nowhere, *row)
            for table, width in (("hour", HOUR), ("day", DAY)):
                at = int(sample.at // width * width)
                found.setdefault((table, spot, at), []).append(sample)
        for (table, spot, at), samples in found.items():
            self._add(table, spot, at, samples, fold)
        if rows:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('rolled', ?)", (rows[-1][0],))
        return len(rows)

    def _add(self, table: str, spot: int, at: int, samples: Sequence[Sample], fold: Fold) -> None:
        row = self._db.execute(
            f"SELECT body FROM {table} WHERE spot = ? AND at = ?",  # noqa: S608
            (spot, at),
        ).fetchone()
        body = fold(row[0] if row else b"", samples)
        self._db.execute(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608
            (spot, at, body),
        )

    def forget(self, now: float) -> None:
        """Remove what is older than it is kept."""
        recent = self._db.execute(
            "SELECT seq FROM look WHERE at >= ? ORDER BY seq LIMIT 1", ((now - RAW) * 1000,)
        ).fetchone()
        oldest = recent[0] if recent else _rolled(self._db) + 1
        self._db.execute("DELETE FROM look WHERE seq < ? AND seq <= ?", (oldest, _rolled(self._db)))
        self._db.execute("DELETE FROM hour WHERE at < ?", (now - HOURS,))
        self._db.execute("DELETE FROM day WHERE at < ?", (now - DAYS,))
        self._db.execute("DELETE FROM letter WHERE ended < ?", (now - LETTERS,))
        self._db.execute("DELETE FROM incident WHERE resolved < ?", (now - DAYS,))
        self._db.execute("DELETE FROM silence WHERE until < ?", (now - LETTERS,))

    def _json(self, data: Any) -> str:
        return json.dumps(_redacted(data, self._redact), default=str)


# --- rows --------------------------------------------------------------------------------

_INCIDENT = (
    "SELECT incident.id, target, name, host, kind, since, opened, evidence, told, acked, resolved"
    " FROM incident JOIN spot ON spot.id = incident.spot"
)
_LETTER = (
    "SELECT target, destination, kind, key, title, body, created, incident, id, attempts,"
    " retry_at, failure,"
    " coalesce((SELECT min(id) FROM letter AS part WHERE part.digest = letter.id), id) AS first"
    " FROM letter"
)


def _incident(
    id: int,
    target: str,
    name: str,
    host: str,
    kind: str,
    since: float,
    opened: float,
    evidence: str,
    told: float | None,
    acked: str,
    resolved: float | None,
) -> Incident:
    spot = Spot(target, name, host)
    return Incident(spot, kind, since, opened, json.loads(evidence), id, told, acked, resolved)


def _sample(
    spot: Spot, at: int, verdict: int, elapsed: int, queued: int, reason: str | None
) -> Sample:
    return Sample(spot, at / 1000, VERDICTS[verdict], elapsed / 1000, float(queued), reason or "")


def _rolled(db: sqlite3.Connection) -> int:
    """The last look that is part of its hour and day."""
    row = db.execute("SELECT value FROM meta WHERE name = 'rolled'").fetchone()
    return int(row[0]) if row else 0


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(key)): _redacted(each, redact) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(each, redact) for each in value]
    return value


# --- the file ----------------------------------------------------------------------------


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db, path)
    if version == len(MIGRATIONS):
        return
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    for number in range(_version(db, path), len(MIGRATIONS)):
        for statement in MIGRATIONS[number]:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number + 1}")
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute("COMMIT")


def _version(db: sqlite3.Connection, path: Path) -> int:
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION and db.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Refused("the file is the database of another program", where=str(path))
    if version > len(MIGRATIONS):
        raise Refused(
            f"the history of checks was written by a newer Backout (schema version {version})",
            where=str(path),
            state="the file is as it was",
            next="pip install --upgrade backout",
        )
    return version


@contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Several reads of the same moment."""
    db.execute("BEGIN")
    try:
        yield db
    finally:
        db.execute("COMMIT")
