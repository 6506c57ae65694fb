"""The journal: what was about to happen, with its way back, and what became of it.

One SQLite file (WAL, synchronous=FULL) beside the working copy. A record is durable when
`begin`, `end` or `note` returns. One thread writes: whatever arrives while it commits is
committed together next, with one fsync. Reading goes past it, from any thread or process.

Records are append-only. A run is one row that is written when it opens and once more when it
closes. The ledger is append-only too: a rollback marks the runs that it undid, and the newest
release whose run was not undone is the current one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict, replace
from datetime import datetime
from typing import Self

from backout.adapters.storage import chain
from backout.adapters.storage.chain import Draft, Ending, Line, Link, Opening
from backout.adapters.storage.journal_rows import (
    held_by,
    insert,
    one_run,
    open_runs,
    records,
    run_rows,
    runs_named,
    runs_since,
    target_of,
    targets_of,
    time_text,
)
from backout.adapters.storage.journal_store import SqliteStore
from backout.adapters.storage.ledger import Ledger
from backout.adapters.storage.letters import LetterChange
from backout.adapters.storage.moving import Packed, take_up
from backout.adapters.storage.tables import Tables, Write
from backout.errors import BackoutError, Mistakes
from backout.model import Driving, Message, OpenRun, Outcome, Record, Release, RunRow
from backout.model.journaled import Body
from backout.ports import HEARD, TAKEN

UNHEARD = 1_000_000
"""So many places in the chain are left for the records that hosts have which were away when a run
was taken over: no two records share one."""
WHOLE = (Outcome.SUCCEEDED, Outcome.BACKED_OUT, Outcome.REFUSED)
"""How a run ends that leaves nothing to do."""
CLOSED = "closed"
"""What whoever announces hears when a run is closed, which is no record of its own."""


class RunJournal(Ledger):
    """Runs, their records, and what came of them."""

    # --- runs ------------------------------------------------------------------------------

    def open_run(
        self,
        id: str,
        target: str,
        verb: str,
        runbook: str,
        plan: Body,
        owner: str,
        started: datetime,
        options: Body,
    ) -> None:
        """Open a run with its frozen plan. Raises Held while another run of the target is open,
        Refused when it cannot be written, or could not be had again as it is."""
        about = (id, target, verb, runbook, self.frozen(plan), self._redact(owner))
        row = (*about, time_text(started), self.text_of(options))

        self._open(Opening(row), ())

    def look_back(self, row: RunRow, ends: Sequence[tuple[str, Body]]) -> None:
        """Durably: a look that is over, with what each host said. It was never open: it held
        nothing, and nothing is there to be taken back."""
        at = time_text(row.ended or self._now())
        about = (row.id, row.target, row.verb, row.runbook, self.text_of(row.plan))
        owner, options = self._redact(row.owner), self.text_of(row.options)
        opening = Opening((*about, owner, time_text(row.started), options))
        ending = Ending((at, row.outcome, row.exit_code, self.text_of(row.report)))
        drafts = [Draft(row.id, "end", key, at, self.text_of(body)) for key, body in ends]
        self.append(lambda db: chain.put_ended(db, opening, drafts, ending))

    def close_run(
        self, id: str, outcome: str, exit_code: int, report: Body, ended: datetime
    ) -> None:
        """Close a run, once; it is history from then on."""
        ending = Ending((time_text(ended), outcome, exit_code, self.text_of(report)))
        letters = self._announce(CLOSED, {"outcome": outcome, "report": report})

        def write(db: Tables) -> None:
            if not chain.close(db, id, ending):
                raise BackoutError(f"there is no run {id} to close", where=self.where)
            self.post(db, letters)

        self.append(write, run=id)

    def open_run_of(self, target: str) -> RunRow | None:
        """The run of the target that is not closed."""
        return self.look(lambda db: one_run(db, "target = ? AND outcome IS NULL", target))

    def run(self, id: str) -> RunRow:
        """A run by its id or the beginning of it. Raises Mistakes when it names none or many."""
        count, rows = self.look(lambda db: runs_named(db, id))
        if count == 1 and id:
            return rows[0]
        known = ", ".join(row.id for row in rows)
        raise Mistakes(
            f"{id!r} names {count} runs: {known}" if known else f"there is no run {id!r}",
            next="invoke history",
        )

    def over(self, run: str) -> bool:
        """Whether it is closed, and left nothing half done; no when there is no such run."""
        row = self.look(lambda db: one_run(db, "id = ?", run))
        return row is not None and row.outcome in WHOLE

    def knows(self, run: str, target: str) -> bool:
        """Whether that is a run of the target, ended or not."""
        return self.look(lambda db: one_run(db, "id = ? AND target = ?", run, target)) is not None

    def runs(self, target: str | None = None, limit: int = 20) -> tuple[RunRow, ...]:
        """Runs of one target or of all, newest first."""
        where, values = ("target = ?", (target,)) if target else ("TRUE", ())
        return self.look(lambda db: run_rows(db, where, values, limit))

    def of_verb(self, verb: str, runbook: str = "", limit: int = -1) -> tuple[RunRow, ...]:
        """Runs of a verb on every target, of one runbook or of all, newest first."""
        where = "verb = ? AND ? IN ('', runbook)"
        return self.look(lambda db: run_rows(db, where, (verb, runbook), limit))

    def targets(self) -> tuple[str, ...]:
        """Every target that has a run, the one of the newest run first."""
        return self.look(targets_of)

    def outcomes(self) -> tuple[tuple[str, str, str, int], ...]:
        """How many runs of each verb ended how on each target."""
        query = (
            "SELECT target, verb, outcome, count(*) FROM run WHERE outcome IS NOT NULL"
            " GROUP BY target, verb, outcome"
        )
        return tuple(self.look(lambda db: db.execute(query).fetchall()))

    def unfinished(self) -> tuple[OpenRun, ...]:
        """The runs that have not ended, of every target."""
        return self.look(open_runs)

    def driving(self, run: str) -> Driving:  # noqa: ARG002 - a file's runs are all its own
        """Who goes on with an unfinished run. Raises Refused when that cannot be read."""
        return Driving()

    def take_copy(self, packed: Packed) -> tuple[str, ...]:
        """Durably: the runs of another journal that this one does not have, the unfinished ones as
        this working copy's own. Gives them. Raises Refused where the two have gone different
        ways, or a record is not what it was."""
        return self.append(lambda db: take_up(db, packed))

    def claim(self, run: str, seen: Driving, zone: str = "") -> None:
        """Durably: from now on it is this working copy that goes on with the run, whose driver is
        the one that was `seen`; as a worker of that `zone`, or as a person. Raises TakenOver when
        it is another one by now."""

    # --- records ---------------------------------------------------------------------------

    def begin(self, run: str, key: str, record: Body) -> None:
        """Durably: `key` is about to act, and this is its way back."""
        self._record(run, "begin", key, record)

    def end(self, run: str, key: str, record: Body) -> None:
        """Durably: what became of `key`."""
        self._record(run, "end", key, record)

    def note(self, run: str, kind: str, record: Body) -> None:
        """Durably: a fact of the run, such as its baseline or the wish to back out."""
        self._record(run, kind, "", record)

    def recall(self, run: str) -> tuple[Record, ...]:
        """Every record of a run, in order."""
        query = "SELECT seq, kind, key, at, body FROM record WHERE run = ? ORDER BY seq"
        return self.look(lambda db: tuple(records(db.execute(query, (run,)), self._reveal)))

    def finish(
        self,
        run: str,
        outcome: str,
        record: Body,
        *,
        release: Release | None = None,
        known_good: bool = False,
        covers: Sequence[str] = (),
        restored: int | None = None,
        undone: Sequence[str] = (),
    ) -> None:
        """Durably and at once: the decided outcome (a `decided` record) and the ledger.

        `release` is the one that the run made. `restored` is the number that a rollback came
        back to: every run `since` then is undone by it. `undone` names further runs that were
        undone, which may be this one.
        """
        entry = {
            "release": asdict(release) if release else None,
            "known_good": known_good,
            "covers": list(covers),
            "restored": restored,
            "undone": list(undone),
        }
        body = self.text_of({"outcome": outcome, **record, "ledger": entry})
        at = time_text(self._now())
        letters = self._announce("decided", record)

        def write(db: Tables) -> chain.Link:
            link = chain.append(db, run, "decided", "", at, body)
            _enter(db, run, at, entry)
            self.post(db, letters)
            return link

        self._copy(Line("decided", "", at, body, self.append(write, run=run)))

    def _record(self, run: str, kind: str, key: str, record: Body) -> None:
        at, body = time_text(self._now()), self.text_of(record)
        draft = Draft(run, kind, key, at, body)
        letters = self._announce(kind, record)
        link = self.append(self._telling(draft, letters) if letters else draft, run=run)
        self._copy(Line(kind, key, at, body, link))

    def _telling(self, draft: Draft, letters: Sequence[Message]) -> Write[chain.Link]:
        """A record, and the messages that tell of it."""

        def write(db: Tables) -> chain.Link:
            link = draft(db)
            self.post(db, letters)
            return link

        return write

    def tell_of(self, write: Write[bool], kind: str, body: Body) -> bool:
        """Durably: one transaction that is no record of a run; when it comes to something, people
        are told of it as of a record of that kind."""
        letters = self._announce(kind, body)

        def whole(db: Tables) -> bool:
            if done := write(db):
                self.post(db, letters)
            return done

        return self.append(whole)

    def post(self, db: Tables, letters: Sequence[Message]) -> None:
        """Within a transaction: people are told of what it writes."""
        change = LetterChange(db, self._redact)
        for letter in letters:
            change.post(letter)

    # --- on other machines -----------------------------------------------------------------

    def copied(self, to: Callable[[Line], None]) -> Self:
        """The same journal; a record that is written through this view is handed on when it is
        durable here."""
        view = copy(self)
        view._copy = to
        return view

    def lines(self, run: str) -> tuple[Line, ...]:
        """Every record of a run in order, as it was written."""
        return self.look(lambda db: chain.lines(db, run))

    def opening(self, run: str) -> Opening:
        """A run as it was opened, as it was written."""
        return self.look(lambda db: chain.opening_of(db, run))

    def take_over(self, opening: Opening, lines: Sequence[Line], taken: Body) -> None:
        """Durably: an unfinished run of another machine, with what is known of it, and that it was
        `taken`. Raises Held while another run of the target is open here."""
        last = lines[-1].link if lines else Link(hash=opening.hash)
        if taken["away"]:
            last = replace(last, n=last.n + UNHEARD)
        self._open(opening, (*lines, self._draft(opening.run, TAKEN, taken).after(last)))

    def hear(self, run: str, lines: Sequence[Line], heard: Body) -> None:
        """Durably: more of what another machine did in a run that was taken over, and that it was
        `heard`."""
        told = (Draft(run, each.kind, each.key, each.at, each.body) for each in lines)
        drafts = (*told, self._draft(run, HEARD, heard))

        def write(db: Tables) -> None:
            for draft in drafts:
                draft(db)
            _decide(db, run, lines)

        self.append(write, run=run)

    def _draft(self, run: str, kind: str, body: Body) -> Draft:
        return Draft(run, kind, "", time_text(self._now()), self.text_of(body))

    def _open(self, opening: Opening, lines: Sequence[Line]) -> None:
        def write(db: Tables) -> None:
            if held := one_run(db, "target = ? AND outcome IS NULL", opening.target):
                raise held_by(held)
            _put(db, opening, lines)
            self._opened(db, opening.run)

        self.append(write)

    def _opened(self, db: Tables, run: str) -> None:
        """Within the transaction that opens a run."""

    def inherit(
        self, opening: Opening, lines: Sequence[Line], outcome: str, exit_code: int, report: Body
    ) -> None:
        """Durably: a run of another machine that has ended, with its part of the ledger."""
        ending = Ending((lines[-1].at, outcome, exit_code, self.text_of(report)))

        def write(db: Tables) -> None:
            _put(db, opening, lines)
            chain.close(db, opening.run, ending)

        self.append(write)

    # --- the ledger ------------------------------------------------------------------------

    def next_number(self, target: str) -> int:
        """Give out the next release number, durably: it is never given again, even when its
        run fails. Raises Refused when it cannot be written."""

        def write(db: Tables) -> int:
            given: int = db.execute(
                "INSERT INTO number VALUES (?, 1)"
                " ON CONFLICT (target) DO UPDATE SET last = number.last + 1 RETURNING last",
                (target,),
            ).fetchone()[0]
            return given

        return self.append(write)

    def number_seen(self, target: str, number: int) -> None:
        """Durably: no number up to this one is given out again; another machine gave it out, or
        this journal is a copy of before it did."""

        def write(db: Tables) -> None:
            db.execute(
                "INSERT INTO number VALUES (?, ?)"
                " ON CONFLICT (target) DO UPDATE SET last = excluded.last"
                " WHERE excluded.last > number.last",
                (target, number),
            )

        self.append(write)

    def peek_number(self, target: str) -> int:
        """The number that the next release would get; for `plan`, which changes nothing."""
        query = "SELECT last FROM number WHERE target = ?"
        row = self.look(lambda db: db.execute(query, (target,)).fetchone())
        return 1 + (row[0] if row else 0)


class SqliteJournal(SqliteStore, RunJournal):
    """The runs of one working copy, in a file of its own."""


def _put(db: Tables, opening: Opening, lines: Sequence[Line]) -> None:
    """Within a transaction: a run of another machine, with its part of the ledger once its outcome
    was decided there."""
    chain.put_run(db, opening, lines)
    _decide(db, opening.run, lines)


def _decide(db: Tables, run: str, lines: Sequence[Line]) -> None:
    for line in lines:
        if line.kind == "decided":
            _enter(db, run, line.at, json.loads(line.body)["ledger"])


def _enter(db: Tables, run: str, at: str, entry: Body) -> None:
    """Within a transaction: what a run's decided outcome makes of the ledger."""
    target = target_of(db, run)
    if release := entry["release"]:
        row = (target, release["number"], release["commit"], run, at, int(entry["known_good"]))
        insert(db, "ledger", *row, json.dumps(entry["covers"]))
    over = list(entry["undone"])
    if entry["restored"] is not None:
        over += [row.id for row in runs_since(db, target, entry["restored"])]
        insert(db, "restored", run, target, entry["restored"])
    for id in dict.fromkeys(over):
        insert(db, "undone", id, run)
