"""The journal's tables in PostgreSQL: one thread writes, anybody reads past it.

What is appended is committed when `append` returns. Records that arrive while the writer waits for
an answer are one statement next. When the database is gone, whoever appends or looks waits for it
as long as the run's patience lasts; what was asked before is asked again, and settled: a record is
known by its place and its hash, any other transaction by its token.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from threading import Thread
from typing import Any

from backout.adapters.storage import chain
from backout.adapters.storage.chain import Draft, Line, Link
from backout.adapters.storage.journal_queue import Append, Closed, Queue
from backout.adapters.storage.journal_rows import CLOSED, has_ended
from backout.adapters.storage.postgres import schema
from backout.adapters.storage.postgres.address import EXTRA, Address
from backout.adapters.storage.postgres.looking_over import Look, looked_over
from backout.adapters.storage.postgres.patience import Patience
from backout.adapters.storage.postgres.session import Lost, Session, told
from backout.adapters.storage.postgres.tokens import Tokens
from backout.adapters.storage.postgres.watchdog import Watch
from backout.adapters.storage.store import JournalStore
from backout.adapters.storage.tables import T, Tables, Write
from backout.errors import BackoutError, Interrupted, Refused, TakenOver
from backout.postgres.driver import driver

OTHER_EPOCH = "BK001"
TRIES = 5
"""So often a transaction is tried that others were in the way of."""
_RECORD = (
    "INSERT INTO record (run, epoch, kind, key, at, body, n, prev, hash) VALUES {}"
    " ON CONFLICT (run, n) WHERE n > 0 DO NOTHING"
)
_PLACES = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"


class PostgresStore(JournalStore):
    """Tables in a database that several machines share."""

    shared = True

    def __init__(
        self,
        address: Address,
        redact: Callable[[str], str],
        *,
        reveal: Callable[[str], str] = str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        driver: str = "",
        owner: str = "",
        wait: float = 0.0,
    ) -> None:
        """Open the ledger, or make its tables. `driver` tells this working copy from others, and
        `owner` who is at work there; for so many seconds (`wait`) a run that is under way waits for
        a database that is gone. Raises Refused when it cannot be reached, or is a newer
        Backout's."""
        super().__init__(redact, reveal=reveal, now=now)
        self.address = address
        self.driver, self.owner = driver, owner
        self._wait = wait
        self.patience = Patience()
        self.commits = 0
        """How many transactions were committed: records that arrive together share one."""
        self._tokens = Tokens()
        self._watch = Watch()
        self._reader, self._session = (Session(address, self._watch) for _ in range(2))
        self._tails: dict[str, Link] = {}
        self._epochs: dict[str, int] = {}
        try:
            self._told(lambda: schema.bring_up(self._reader, self.where))
        except BaseException:
            self._reader.drop()
            self._watch.close()
            raise
        self._queue = Queue()
        self._writer = Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    @property
    def where(self) -> str:
        return str(self.address)

    def close(self) -> None:
        """Write what is waiting, and let go of the database."""
        self._queue.close()
        self._writer.join()
        self._reader.drop()
        self._session.drop()
        self._watch.close()

    def looked_over(self) -> tuple[Look, ...]:
        """What `doctor` tells of the database. Raises Refused when it cannot be asked."""
        return self.look(
            lambda db: tuple(looked_over(db, getattr(db, "connection", None), self.address))
        )

    def refuse_newer(self) -> None:
        schema.refuse_newer(self.look(schema.version), self.where)

    def compact(self) -> None:
        """The database does so by itself."""

    def clock(self) -> datetime:
        """The database's: that of a machine may be wrong."""
        query = "SELECT clock_timestamp()"
        found: datetime = self.look(lambda db: db.execute(query).fetchone()[0])
        return found.astimezone(UTC)

    def alone(self, query: str) -> str:
        return f"{query} FOR UPDATE"

    def size(self) -> int:
        query = (
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
            " WHERE relnamespace = 'backout'::regnamespace AND relkind = 'r'"
        )
        return int(self.look(lambda db: db.execute(query).fetchone()[0]))

    def signature(self) -> Hashable:
        query = (
            "SELECT (SELECT max(seq) FROM record), (SELECT max(rowid) FROM run),"
            " (SELECT count(*) FROM run WHERE outcome IS NULL)"
        )
        return tuple(self.look(lambda db: db.execute(query).fetchone()))

    def under_way(self, say: Callable[[str], None], going_on: str) -> None:
        self.patience.seconds, self.patience.say = self._wait, say
        self.patience.going_on = going_on

    # --- asking ----------------------------------------------------------------------------

    def look(self, read: Callable[[Tables], T]) -> T:
        return self._told(lambda: self.patience.wait(lambda: self._reader.ask(read), self.where))

    def _told(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except Lost as error:
            if self.patience.going_on:
                raise self._interrupted(f"the ledger cannot be reached: {error}") from error
            raise Refused(
                f"the ledger cannot be reached: {error}",
                where=self.where,
                next="see that PostgreSQL runs there and can be reached from here, then try again",
            ) from error
        except driver(EXTRA).Error as error:
            raise Refused(
                f"the ledger cannot be read: {told(error)}",
                where=self.where,
                next="invoke doctor",
            ) from error

    # --- writing ---------------------------------------------------------------------------

    def append(self, write: Write[T], *, run: str = "") -> T:
        try:
            return self._queue.put(_of(write, run)).result()
        except (Lost, Closed) as error:
            raise self._unwritten(error, run) from error
        except _OtherEpoch as other:
            raise self._fenced_off(run, other.by) from None
        except driver(EXTRA).Error as error:
            if error.sqlstate == OTHER_EPOCH:
                raise self._fenced_off(run, str(error.diag.message_primary or "")) from error
            if CLOSED in str(error.diag.message_primary):
                raise has_ended(run, self.where) from error
            if error.sqlstate and error.sqlstate[:2] in ("42", "25"):
                raise self._unwritten(error, run) from error
            raise BackoutError(
                f"the journal does not take this record: {told(error)}", where=self.where
            ) from error

    def _unwritten(self, error: BaseException, run: str) -> BackoutError:
        what = f"the ledger could not be written: {told(error)}"
        if not run and not self.patience.going_on:
            return Refused(what, where=self.where, next="see that PostgreSQL runs there")
        return self._interrupted(what)

    def _fenced_off(self, run: str, by: str) -> BackoutError:
        """Another working copy drives the run by now; or nobody does, and a person is asked."""
        query = "SELECT driver FROM run WHERE id = ?"
        if self.look(lambda db: db.execute(query, (run,)).fetchone()) != (self.driver,):
            return taken_over(run, by, self.where)
        what = f"run {run} was taken from this process, which gave no sign of life for too long"
        return self._interrupted(what, "a person decides: ")

    def _interrupted(
        self, what: str, when: str = "when the ledger is there again: "
    ) -> Interrupted:
        going_on = self.patience.going_on or "invoke resume"
        return Interrupted(
            what,
            where=self.where,
            state="nothing further was started; the run is journaled up to here, and what has begun"
            " on a host is in its notes there",
            next=f"{when}{going_on}",
        )

    def _write(self) -> None:
        while self._queue.wait():
            for group in _groups(self._queue.take()):
                if isinstance(group[0].write, Draft):
                    self._put_records(group)
                else:
                    self._put_transaction(group[0])

    def _put_records(self, group: Sequence[Append]) -> None:
        """One statement for all of them. One that is not taken does not disturb the others."""
        drafts = [each.write for each in group if isinstance(each.write, Draft)]
        try:
            lines = self._patiently(lambda db: self._insert(db, drafts))
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must hear of it
            for draft in drafts:
                self._tails.pop(draft.run, None)
            if len(group) > 1 and not isinstance(error, Lost):
                for each in group:
                    self._put_records([each])
                return
            for each in group:
                each.future.set_exception(error)
            return
        self.commits += 1
        for each, line in zip(group, lines, strict=True):
            each.future.set_result(line.link)

    def _insert(self, db: Tables, drafts: Sequence[Draft]) -> Sequence[Line]:
        """Said again after a lost answer it says nothing new: each record has its place."""
        tails, lines = dict[str, Link](), list[Line]()
        for draft in drafts:
            last = tails.get(draft.run) or self._tail(db, draft.run)
            lines.append(draft.after(last))
            tails[draft.run] = lines[-1].link
        values = [
            value
            for draft, line in zip(drafts, lines, strict=True)
            for value in (draft.run, self._epochs[draft.run], *_values(line))
        ]
        done = db.execute(_RECORD.format(", ".join([_PLACES] * len(lines))), values)
        if done.rowcount < len(lines):
            self._hold_against(db, drafts, lines)
        self._tails |= tails
        return lines

    def _hold_against(self, db: Tables, drafts: Sequence[Draft], lines: Sequence[Line]) -> None:
        """Records that were there already must be the same ones."""
        for draft, line in zip(drafts, lines, strict=True):
            query = "SELECT hash FROM record WHERE run = ? AND n = ?"
            there = db.execute(query, (draft.run, line.link.n)).fetchone()
            if there != (line.link.hash,):
                raise BackoutError(
                    f"another process has written record {line.link.n} of run {draft.run}",
                    where=self.where,
                )

    def _tail(self, db: Tables, run: str) -> Link:
        self._epoch(db, run)
        if run not in self._tails:
            self._tails[run] = chain.last_of(db, run)
        return self._tails[run]

    def _epoch(self, db: Tables, run: str) -> int:
        """By what right this working copy writes: it opened the run, or took it over."""
        if run not in self._epochs:
            query = "SELECT epoch, driver, driven_by FROM run WHERE id = ?"
            epoch, by, name = db.execute(query, (run,)).fetchone() or (0, self.driver, "")
            if by != self.driver:
                raise taken_over(run, name, self.where)
            self._epochs[run] = epoch
        return self._epochs[run]

    def drive(self, run: str, epoch: int) -> None:
        """From now on this working copy writes the run's records, by that epoch."""
        self._epochs[run] = epoch
        self._tails.pop(run, None)

    def _put_transaction(self, append: Append) -> None:
        token, values = self._tokens.new(), list[Any]()

        def whole(db: Tables) -> None:
            if self._tokens.leave(db, token):  # else the answer was lost: the last value holds
                values.append(self._fenced(db, append))

        try:
            self._contended(lambda: self._patiently_whole(whole))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            append.future.set_exception(error)
            return
        self.commits += 1
        self._tokens.heard(token)
        append.future.set_result(values[-1])

    def _fenced(self, db: Tables, append: Append) -> Any:
        """What belongs to a run is of the epoch that the run has, in the same transaction."""
        run = getattr(append.write, "run", "")
        self._tails.pop(run, None)
        if run:
            epoch = self._epoch(db, run)
            query = "SELECT epoch, driven_by FROM run WHERE id = ? FOR UPDATE"
            now, by = db.execute(query, (run,)).fetchone() or (epoch, "")
            if now != epoch:
                raise _OtherEpoch(by)
        return append.write(db)

    def _patiently(self, write: Write[T]) -> T:
        return self.patience.wait(lambda: self._session.ask(write), self.where)

    def _patiently_whole(self, write: Write[T]) -> T:
        return self.patience.wait(lambda: self._session.transact(write), self.where)

    def _contended(self, write: Callable[[], T]) -> T:
        """Others open runs and take numbers too."""
        psycopg = driver(EXTRA)
        for _ in range(TRIES - 1):
            with suppress(psycopg.errors.UniqueViolation, psycopg.errors.TransactionRollback):
                return write()
        return write()


def _values(line: Line) -> tuple[object, ...]:
    link = line.link
    return (line.kind, line.key, line.at, line.body, link.n, link.prev, link.hash)


class _OtherEpoch(Exception):
    """The run is of another epoch than what is to be written for it; `by` is who it was given."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


class _Owned:
    """What is written for a run."""

    def __init__(self, write: Write[Any], run: str) -> None:
        self.write, self.run = write, run

    def __call__(self, db: Tables) -> Any:
        return self.write(db)


def _of(write: Write[T], run: str) -> Write[T]:
    return write if isinstance(write, Draft) or not run else _Owned(write, run)


def _groups(waiting: Sequence[Append]) -> Iterator[list[Append]]:
    """Records that follow each other together, anything else by itself."""
    for records, group in groupby(waiting, lambda each: isinstance(each.write, Draft)):
        if records:
            yield list(group)
        else:
            yield from ([each] for each in group)


def taken_over(run: str, by: str, where: str) -> TakenOver:
    """Another working copy drives the run."""
    return TakenOver(
        f"run {run} was taken over by {by or 'another machine'}",
        where=where,
        state="nothing further was started; what becomes of that run is decided there",
        next=f"invoke show {run}",
    )
