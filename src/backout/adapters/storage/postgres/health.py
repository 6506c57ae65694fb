"""The history of checks in the ledger of a team.

One transaction writes at a time, so that looks are in the order of their numbers; each begins with
a look whether this process still watches its targets. When the answer to a commit is lost it is
asked for, by a token: nothing is written twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from threading import RLock
from typing import Any

from backout.adapters.storage.health_change import VERDICTS, Body, Change, Fold
from backout.adapters.storage.health_tables import HealthTables
from backout.adapters.storage.letters import REASON
from backout.adapters.storage.postgres import schema
from backout.adapters.storage.postgres.address import EXTRA, Address
from backout.adapters.storage.postgres.session import Lost, Session, begin, gone, told
from backout.adapters.storage.postgres.tokens import Tokens, forget
from backout.adapters.storage.postgres.watchdog import Watch
from backout.adapters.storage.tables import T, Tables
from backout.errors import Refused, TakenOver, Unsettled, Unwritten
from backout.model import CheckKey, Incident, Message, Sample, Streak
from backout.postgres.driver import driver

ONE_AT_A_TIME = 0x4261636B6F7575
"""Names the advisory lock of whoever writes."""
SILENT = 10.0
"""Seconds that an answer may take: looks go on meanwhile, but nothing is decided."""
AGAIN = 3.0
"""Seconds after which a database that was away is tried again: until then nobody waits for it."""
ASKED_FOR = 10.0
"""Seconds for which the lost answer to a commit is asked for at once."""


class PostgresHealth(HealthTables):
    """The health of all targets of a team."""

    shared = True

    def __init__(self, address: Address, redact: Callable[[str], str], fold: Fold) -> None:
        """Open it, or make its tables. Raises Refused."""
        self.address = address
        self.redact = redact
        self.epochs: dict[str, int] = {}
        """The targets that this process watches, and by which epoch."""
        self.watching = False
        """Whether this process watches, or only looks into it."""
        self._fold = fold
        self._check_keys: dict[CheckKey, int] = {}
        self._writing = RLock()
        self._away_until = 0.0
        self._tokens = Tokens()
        self._watch = Watch(SILENT)
        self._plain = Session(address, self._watch)
        self._reader, self._session = (Session(address, self._watch, health=True) for _ in range(2))
        try:
            self._readable(lambda: schema.bring_up(self._plain, self.where))
        except BaseException:
            self.close()
            raise

    @cached_property
    def name(self) -> str:  # type: ignore[override]  # it is asked for when it is needed
        with self.write() as change:
            return change.name()

    @property
    def where(self) -> str:
        return str(self.address)

    def close(self) -> None:
        for each in (self._plain, self._reader, self._session):
            each.drop()
        self._watch.close()

    # --- reading -------------------------------------------------------------------------

    def look(self, read: Callable[[Tables], T]) -> T:
        return self._readable(lambda: _twice(lambda: self._reader.ask(read)))

    def at_once(self, read: Callable[[Tables], T]) -> T:
        def whole(db: Tables) -> T:
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return read(db)

        return self._readable(lambda: _twice(lambda: self._reader.transact(whole)))

    def waiting(self, destination: str | None = None) -> tuple[Message, ...]:
        """For a process that watches: the messages of its targets alone."""
        found = super().waiting(destination)
        return tuple(m for m in found if m.target in self.epochs) if self.watching else found

    def _readable(self, ask: Callable[[], T]) -> T:
        self._refuse_while_away()
        try:
            return ask()
        except Lost as error:
            raise self._away(error) from error
        except driver(EXTRA).Error as error:
            raise Refused(
                f"the history of checks cannot be read: {told(error)}",
                where=self.where,
                next="invoke doctor",
            ) from error

    def _refuse_while_away(self) -> None:
        if time.monotonic() < self._away_until:
            raise self._unwritten("the ledger cannot be reached: it is tried again in a moment")

    def _away(self, error: BaseException) -> Unwritten:
        self._away_until = time.monotonic() + AGAIN
        return self._unwritten(f"the ledger cannot be reached: {told(error)}")

    def _unwritten(self, what: str) -> Unwritten:
        return Unwritten(what, where=self.where, next="see that PostgreSQL runs there")

    # --- writing -------------------------------------------------------------------------

    @contextmanager
    def write(self) -> Iterator[Change]:
        """One transaction: all of it is durable at its end, or none. Raises Unwritten; TakenOver
        when another process watches one of the targets by now; Unsettled when nobody knows."""
        with self._writing:
            self._refuse_while_away()
            try:
                change = self._begun()
                yield change
                self._commit(change)
            except BaseException as error:
                self._check_keys = {}  # another process may have forgotten some
                if (better := self._told(error)) is error:
                    raise
                raise better from error

    def _told(self, error: BaseException) -> BaseException:
        """What a writer hears; what it had begun is not done."""
        if isinstance(error, Unsettled):
            return error
        if isinstance(error, Lost) or gone(error):
            self._session.drop()
            return self._away(error)
        self._session.roll_back()
        if isinstance(error, driver(EXTRA).Error):
            return self._unwritten(f"the history of checks cannot be written: {told(error)}")
        return error

    def change(self, write: Callable[[Tables], T]) -> T:
        """Durably: what is no part of the history itself. Raises Unwritten."""
        with self._writing:
            self._refuse_while_away()
            try:
                return _twice(lambda: self._session.transact(write))
            except BaseException as error:
                if (better := self._told(error)) is error:
                    raise
                raise better from error

    def claim(self, message: Message, until: float) -> bool:
        """Whether it is this process that sends it until then. Raises Unwritten and TakenOver."""
        with self.write() as change:
            return change.claim(message, until)

    def _begun(self) -> PostgresChange:
        def start(db: Tables) -> PostgresChange:
            begin(db)
            db.execute("SELECT pg_advisory_xact_lock(?)", (ONE_AT_A_TIME,))
            change = PostgresChange(db, self.redact, self._check_keys, self.epochs)
            if gone := change.relieved():
                raise self.relieved(gone)
            return change

        return _twice(lambda: self._session.ask(start))

    def relieved(self, by: Mapping[str, str]) -> TakenOver:
        """Others watch these targets now."""
        for target in by:
            self.epochs.pop(target, None)
        words = ", ".join(f"{target} is watched by {who}" for target, who in by.items())
        return TakenOver(f"{words} by now", where=self.where, next="invoke status")

    def _commit(self, change: PostgresChange) -> None:
        change.flush()
        token = self._tokens.new()

        def end(db: Tables) -> None:
            self._tokens.leave(db, token)
            db.execute("COMMIT")

        try:
            self._session.ask(end)
        except Lost as error:
            if not self._asked_for(token):
                raise self._away(error) from error
        self._tokens.heard(token)

    def _unsettled(self, error: Unwritten, token: str) -> Unsettled:
        following = "see that PostgreSQL runs there"
        unsettled = Unsettled(error.what, where=self.where, next=following)
        unsettled.token = token
        return unsettled

    def _asked_for(self, token: str) -> bool:
        """Whether it was committed. Raises Unsettled when nobody can tell for now."""
        until = time.monotonic() + ASKED_FOR
        while True:
            try:
                return self.settled(token)
            except Unwritten as error:
                if time.monotonic() > until:
                    raise self._unsettled(error, token) from error
                time.sleep(0.5)

    def settled(self, token: str) -> bool:
        """Whether the transaction of that token was committed; when not, it never will be. Raises
        Unwritten."""
        try:
            return self._session.ask(lambda db: not Tokens().leave(db, token))
        except Lost as error:
            raise self._away(error) from error


def _twice(ask: Callable[[], T]) -> T:
    """A session that was ended since it was used last is opened once more."""
    try:
        return ask()
    except Lost:
        return ask()


class PostgresChange(Change):
    """One transaction there. Looks are written at its end, all of them at once."""

    def __init__(
        self,
        db: Tables,
        redact: Callable[[str], str],
        check_keys: dict[CheckKey, int],
        epochs: Mapping[str, int],
    ) -> None:
        super().__init__(db, redact, check_keys)
        self._epochs = epochs
        self._looks: list[tuple[object, ...]] = []
        self._spots: dict[int, tuple[str, float | None, str | None]] = {}

    def relieved(self) -> Mapping[str, str]:
        """The targets that this process watched, and another one does: by whom. They stay ours
        until this transaction ends."""
        if not self._epochs:
            return {}
        places = ", ".join("?" * len(self._epochs))
        rows = self._db.execute(
            f"SELECT target, epoch, by FROM post WHERE target IN ({places}) FOR SHARE",  # noqa: S608
            tuple(self._epochs),
        ).fetchall()
        now = {target: (epoch, by) for target, epoch, by in rows}
        nobody = (0, "nobody")
        return {
            target: now.get(target, nobody)[1]
            for target, epoch in self._epochs.items()
            if now.get(target, nobody)[0] != epoch
        }

    def look(
        self,
        sample: Sample,
        streak: Streak,
        *,
        memory: Mapping[str, Any] | None = None,
        tick: float | None = None,
    ) -> None:
        id = self.check_key(sample.check_key)
        self._looks.append(
            (
                *(id, round(sample.at * 1000), VERDICTS.index(sample.verdict)),
                *(round(sample.elapsed_ms * 1000), round(sample.queued_ms)),
                self._redact(sample.reason)[:REASON] or None,
            )
        )
        _, ticked, remembered = self._spots.get(id, ("", None, None))
        text = remembered if memory is None else self._json(memory)
        self._spots[id] = (
            json.dumps(streak.record()),
            ticked if tick is None else tick,
            text,
        )

    def streak(self, check_key: CheckKey, streak: Streak) -> None:
        id = self.check_key(check_key)
        _, tick, memory = self._spots.get(id, ("", None, None))
        self._spots[id] = (json.dumps(streak.record()), tick, memory)

    def incidents(self) -> tuple[Incident, ...]:
        """Of a process that watches, those of its targets."""
        found = super().incidents()
        return tuple(each for each in found if each.check_key.target in self._epochs)

    def forget(self, now: float) -> None:
        """Old tokens too: nobody asks for them any more."""
        super().forget(now)
        forget(self._db)
        self._db.execute(
            "DELETE FROM backout.watch_question WHERE asked < now() - interval '35 days'"
        )
        self._db.execute(
            "DELETE FROM backout.watch_asked WHERE target NOT IN"
            " (SELECT target FROM backout.watch_question)"
        )

    def _bodies(self, table: str, keys: Sequence[tuple[int, int]]) -> Sequence[Body]:
        return self._db.execute(
            f"SELECT spot, at, body FROM {table}"  # noqa: S608
            " JOIN unnest(?::integer[], ?::bigint[]) AS asked (spot, at) USING (spot, at)",
            _columns(keys),
        ).fetchall()

    def _put(self, table: str, rows: Sequence[Body]) -> None:
        self._db.execute(
            f"INSERT INTO {table} SELECT * FROM unnest(?::integer[], ?::bigint[], ?::bytea[])"  # noqa: S608
            " ON CONFLICT (spot, at) DO UPDATE SET body = excluded.body",
            _columns(rows),
        )

    def flush(self) -> None:
        """A column is one value: a statement of thousands of values takes long to be read."""
        if self._looks:
            self._db.execute(
                "INSERT INTO look (spot, at, verdict, elapsed, queued, reason) SELECT * FROM unnest"
                "(?::integer[], ?::bigint[], ?::integer[], ?::bigint[], ?::bigint[], ?::text[])",
                _columns(self._looks),
            )
        if self._spots:
            self._db.execute(
                "UPDATE spot SET pulse = new.pulse, tick = coalesce(new.tick, spot.tick),"
                " memory = coalesce(new.memory, spot.memory)"
                " FROM unnest(?::integer[], ?::text[], ?::double precision[], ?::text[])"
                " AS new (id, pulse, tick, memory) WHERE spot.id = new.id",
                _columns([(id, *new) for id, new in self._spots.items()]),
            )
        self._looks, self._spots = [], {}


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(each) for each in zip(*rows, strict=True)]
