"""One transaction of the history of checks."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from backout.adapters.storage.letters import REASON, LetterChange
from backout.adapters.storage.tables import Tables
from backout.model import CheckKey, Incident, Sample, Streak, Verdict

DAY = 86400
HOUR = 3600
RAW = 2 * DAY
"""How long single looks are kept."""
HOURS = 35 * DAY
DAYS = 800 * DAY
LETTERS = 30 * DAY
"""How long delivered messages are kept; those about an open incident for as long as it is."""
VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
Fold = Callable[[bytes, Iterable[Sample]], bytes]
Buckets = dict[tuple[int, int], list[Sample]]
"""Looks by the check key and the beginning of the hour or day that they are in."""
Body = tuple[int, int, bytes]
"""One of them as it is kept."""
TOGETHER = 1000
"""So many hours or days are written by one statement."""
NOWHERE = CheckKey("", "")


class Change(LetterChange):
    """One transaction."""

    def __init__(
        self, db: Tables, redact: Callable[[str], str], check_keys: dict[CheckKey, int]
    ) -> None:
        super().__init__(db, redact)
        self._db = db
        self._check_keys = check_keys

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
        streak: Streak,
        *,
        memory: Mapping[str, Any] | None = None,
        tick: float | None = None,
    ) -> None:
        """One look, with the counters as they are after it."""
        id = self.check_key(sample.check_key)
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
            (json.dumps(streak.record()), tick, id),
        )
        if memory is not None:
            self._db.execute("UPDATE spot SET memory = ? WHERE id = ?", (self._json(memory), id))

    def streak(self, check_key: CheckKey, streak: Streak) -> None:
        """The counters alone."""
        id = self.check_key(check_key)
        self._db.execute(
            "UPDATE spot SET pulse = ? WHERE id = ?", (json.dumps(streak.record()), id)
        )

    def check_key(self, check_key: CheckKey) -> int:
        """Its number; a new one is made when it is not known."""
        if check_key not in self._check_keys:
            name = (check_key.target, check_key.check, check_key.host)
            self._db.execute(
                "INSERT INTO spot (target, name, host) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                name,
            )
            found = self._db.execute(
                "SELECT id FROM spot WHERE target = ? AND name = ? AND host = ?", name
            )
            self._check_keys[check_key] = int(found.fetchone()[0])
        return self._check_keys[check_key]

    def snapshot(self, check_key: CheckKey, release: int, at: float, body: Any) -> None:
        """What a release looked like when it was known to be good."""
        self._db.execute(
            "INSERT INTO snapshot VALUES (?, ?, ?, ?) ON CONFLICT (spot) DO UPDATE"
            " SET release = excluded.release, at = excluded.at, body = excluded.body",
            (self.check_key(check_key), release, at, self._json(body)),
        )

    # --- incidents -----------------------------------------------------------------------

    def incident(self, check_key: CheckKey) -> Incident | None:
        """The one that is open there."""
        row = self._db.execute(
            f"{INCIDENT} WHERE spot = ? AND resolved IS NULL",
            (self.check_key(check_key),),
        ).fetchone()
        return incident_of(*row) if row else None

    def incidents(self) -> tuple[Incident, ...]:
        """All that are open."""
        rows = self._db.execute(f"{INCIDENT} WHERE resolved IS NULL").fetchall()
        return tuple(incident_of(*row) for row in rows)

    def open(self, incident: Incident) -> int:
        """A new one; its number."""
        made = self._db.execute(
            "INSERT INTO incident (spot, kind, since, opened, evidence, told)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            (
                self.check_key(incident.check_key),
                incident.kind,
                incident.since,
                incident.opened,
                self._json(incident.evidence),
                incident.told,
            ),
        )
        return int(made.fetchone()[0])

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

    def silenced(self, check_key: CheckKey, now: float) -> bool:
        found = self._db.execute(
            "SELECT 1 FROM silence WHERE target = ? AND name IN ('', ?) AND until > ?",
            (check_key.target, check_key.check, now),
        )
        return found.fetchone() is not None

    # --- messages -------------------------------------------------------------------------

    def in_hand(self, incident: int, destination: str) -> bool:
        """Whether a message about it is still on its way there."""
        found = self._db.execute(
            "SELECT 1 FROM letter WHERE incident = ? AND destination = ? AND ended IS NULL",
            (incident, destination),
        )
        return found.fetchone() is not None

    def told_at(self, incident: int) -> frozenset[str]:
        """The destinations that were told of it, or will be by what waits for them."""
        found = self._db.execute(
            "SELECT DISTINCT destination FROM letter WHERE incident = ?"
            " AND kind IN ('open', 'worse', 'remind') AND outcome NOT LIKE 'given up%'",
            (incident,),
        )
        return frozenset(row[0] for row in found)

    # --- reverts -------------------------------------------------------------------------

    def revert(self, run: str, target: str, at: float, why: str) -> bool:
        """This run is about to be reverted; False when that was tried before."""
        done = self._db.execute(
            "INSERT INTO revert (run, target, at, why) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (run, target, at, self._redact(why)),
        )
        return done.rowcount == 1

    def unmark_revert(self, run: str) -> None:
        """It was not begun after all."""
        self._db.execute("DELETE FROM revert WHERE run = ?", (run,))

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
            (rolled(self._db), limit),
        ).fetchall()
        found: dict[str, Buckets] = {"hour": {}, "day": {}}
        for _, check_key, *row in rows:
            sample = sample_of(NOWHERE, *row)
            for table, width in (("hour", HOUR), ("day", DAY)):
                at = int(sample.at // width * width)
                found[table].setdefault((check_key, at), []).append(sample)
        for table, buckets in found.items():
            several = list(buckets.items())
            for start in range(0, len(several), TOGETHER):
                self.fold_in(table, dict(several[start : start + TOGETHER]), fold)
        if rows:
            self.roll(rows[-1][0])
        return len(rows)

    def roll(self, seq: int) -> None:
        """From now on all looks up to this one are part of their hours and days."""
        self._db.execute(
            "INSERT INTO meta VALUES ('rolled', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(seq),),
        )

    def fold_in(self, table: str, buckets: Buckets, fold: Fold) -> None:
        """Looks into these hours or days. In two statements: nobody else writes meanwhile, and the
        database may be far away."""
        before = {(spot, at): body for spot, at, body in self._bodies(table, tuple(buckets))}
        rows = [(*key, fold(before.get(key, b""), samples)) for key, samples in buckets.items()]
        self._put(table, rows)

    def _bodies(self, table: str, keys: Sequence[tuple[int, int]]) -> Sequence[Body]:
        places = ", ".join(["(?, ?)"] * len(keys))
        return self._db.execute(
            f"SELECT spot, at, body FROM {table} WHERE (spot, at) IN (VALUES {places})",  # noqa: S608
            [value for key in keys for value in key],
        ).fetchall()

    def _put(self, table: str, rows: Sequence[Body]) -> None:
        places = ", ".join(["(?, ?, ?)"] * len(rows))
        self._db.execute(
            f"INSERT INTO {table} VALUES {places}"  # noqa: S608
            " ON CONFLICT (spot, at) DO UPDATE SET body = excluded.body",
            [value for row in rows for value in row],
        )

    def forget(self, now: float) -> None:
        """Remove what is older than it is kept."""
        recent = self._db.execute(
            "SELECT seq FROM look WHERE at >= ? ORDER BY seq LIMIT 1", ((now - RAW) * 1000,)
        ).fetchone()
        oldest = recent[0] if recent else rolled(self._db) + 1
        self._db.execute("DELETE FROM look WHERE seq < ? AND seq <= ?", (oldest, rolled(self._db)))
        self._db.execute("DELETE FROM hour WHERE at < ?", (now - HOURS,))
        self._db.execute("DELETE FROM day WHERE at < ?", (now - DAYS,))
        self._db.execute(
            "DELETE FROM letter WHERE ended < ? AND incident NOT IN"
            " (SELECT id FROM incident WHERE resolved IS NULL)",
            (now - LETTERS,),
        )
        self._db.execute("DELETE FROM incident WHERE resolved < ?", (now - DAYS,))
        self._db.execute("DELETE FROM silence WHERE until < ?", (now - LETTERS,))
        self._db.execute("DELETE FROM revert WHERE ended < ?", (now - DAYS,))
        self._forget_check_keys()

    def _forget_check_keys(self) -> None:
        """Those of which nothing is kept any more: nobody has looked at them for as long."""
        empty = " AND ".join(
            f"(SELECT 1 FROM {table} WHERE {table}.spot = spot.id LIMIT 1) IS NULL"  # noqa: S608
            for table in ("day", "hour", "look", "incident")
        )
        gone = self._db.execute(f"SELECT id FROM spot WHERE {empty}").fetchall()  # noqa: S608
        for table, column in (("snapshot", "spot"), ("spot", "id")):
            for row in gone:
                self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", row)  # noqa: S608
        if gone:
            self._check_keys.clear()

    def _json(self, data: Any) -> str:
        return json.dumps(_redacted(data, self._redact), default=str)


INCIDENT = (
    "SELECT incident.id, target, name, host, kind, since, opened, evidence, told, acked, resolved"
    " FROM incident JOIN spot ON spot.id = incident.spot"
)


def incident_of(
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
    check_key = CheckKey(target, name, host)
    return Incident(check_key, kind, since, opened, json.loads(evidence), id, told, acked, resolved)


def sample_of(
    check_key: CheckKey, at: int, verdict: int, elapsed: int, queued: int, reason: str | None
) -> Sample:
    return Sample(
        check_key, at / 1000, VERDICTS[verdict], elapsed / 1000, float(queued), reason or ""
    )


def rolled(db: Tables) -> int:
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
