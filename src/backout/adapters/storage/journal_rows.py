"""What the journal keeps, as rows: runs, records, the ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backout.adapters.storage.journal_queue import Body
from backout.errors import BackoutError, Held
from backout.model import Release


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, as it was opened; `outcome` and what follows when it is closed."""

    id: str
    target: str
    verb: str
    runbook: str
    plan: Body
    owner: str
    started: datetime
    options: Body
    ended: datetime | None = None
    outcome: str | None = None
    exit_code: int | None = None
    report: Body | None = None

    @property
    def open(self) -> bool:
        return self.outcome is None

    @property
    def going_on(self) -> str:
        """What to type while it is unfinished. A rollback has one way only."""
        resume = f"invoke resume --target {self.target}"
        back = f", or invoke abort --target {self.target}"
        return resume if self.verb == "rollback" else f"{resume}{back}"


@dataclass(frozen=True, slots=True)
class Record:
    """One durable fact of a run: `begin`, `end`, or the kind that `note` was given."""

    seq: int
    kind: str
    key: str
    at: datetime
    body: Body


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One release of a target."""

    target: str
    number: int
    commit: str
    run: str
    at: datetime
    known_good: bool
    covers: tuple[str, ...]
    """The hosts that it was brought to; empty means all of them."""
    current: bool
    restored_by: str
    """The last rollback that came back to it; empty when none did."""
    undone_by: str
    """The run that undid it; empty while it is in force."""
    restored: tuple[str, ...] = ()
    """Every rollback that came back to it, in order."""

    @property
    def release(self) -> Release:
        return Release(self.number, self.commit)


def time_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be journaled")


def insert(db: sqlite3.Connection, table: str, *row: Any) -> None:
    places = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608 - table names are ours


_RUN = "id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report"


def run_rows(
    db: sqlite3.Connection, where: str, values: Sequence[Any], limit: int = -1
) -> tuple[RunRow, ...]:
    rows = db.execute(
        f"SELECT {_RUN} FROM run WHERE {where} ORDER BY rowid DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    ).fetchall()
    return tuple(_run_row(*row) for row in rows)


def _run_row(
    id: str,
    target: str,
    verb: str,
    runbook: str,
    plan: str,
    owner: str,
    started: str,
    options: str,
    ended: str | None,
    outcome: str | None,
    exit_code: int | None,
    report: str | None,
) -> RunRow:
    return RunRow(
        id=id,
        target=target,
        verb=verb,
        runbook=runbook,
        plan=json.loads(plan),
        owner=owner,
        started=datetime.fromisoformat(started),
        options=json.loads(options),
        ended=datetime.fromisoformat(ended) if ended else None,
        outcome=outcome,
        exit_code=exit_code,
        report=json.loads(report) if report else None,
    )


def one_run(db: sqlite3.Connection, where: str, *values: Any) -> RunRow | None:
    return next(iter(run_rows(db, where, values, 1)), None)


def target_of(db: sqlite3.Connection, run: str) -> str:
    row = db.execute("SELECT target FROM run WHERE id = ?", (run,)).fetchone()
    if row is None:
        raise BackoutError(f"there is no run {run} in the journal")
    target: str = row[0]
    return target


def held_by(run: RunRow) -> Held:
    return Held(
        f"{run.verb} {run.id} of {run.target} is not finished:"
        f" started {run.started:%Y-%m-%d %H:%M:%S} UTC by {run.owner}",
        where=run.target,
        state="this run changed nothing; that one is as it was",
        next=f"invoke resume --target {run.target}, or: invoke abort --target {run.target}",
    )


def ledger_rows(db: sqlite3.Connection, target: str) -> tuple[LedgerRow, ...]:
    rows = db.execute(
        'SELECT number, "commit", run, at, known_good, covers,'
        " coalesce((SELECT restored.run FROM restored WHERE restored.target = ledger.target"
        "  AND restored.number = ledger.number ORDER BY restored.rowid DESC LIMIT 1), ''),"
        " coalesce((SELECT by FROM undone WHERE undone.run = ledger.run), '')"
        " FROM ledger WHERE target = ? ORDER BY number DESC",
        (target,),
    ).fetchall()
    current = next((number for number, *_, undone_by in rows if not undone_by), None)
    restored = db.execute(
        "SELECT number, run FROM restored WHERE target = ? ORDER BY rowid", (target,)
    ).fetchall()
    return tuple(
        LedgerRow(
            target=target,
            number=number,
            commit=commit,
            run=run,
            at=datetime.fromisoformat(at),
            known_good=bool(known_good),
            covers=tuple(json.loads(covers)),
            current=number == current,
            restored_by=restored_by,
            undone_by=undone_by,
            restored=tuple(run for restored_to, run in restored if restored_to == number),
        )
        for number, commit, run, at, known_good, covers, restored_by, undone_by in rows
    )


def runs_since(db: sqlite3.Connection, target: str, number: int) -> tuple[RunRow, ...]:
    return run_rows(
        db,
        "target = ? AND rowid > (SELECT run.rowid FROM ledger JOIN run ON run.id = ledger.run"
        "  WHERE ledger.target = ? AND number = ?)"
        " AND outcome NOT IN ('refused', 'backed_out') AND verb <> 'rollback'"
        " AND id IN (SELECT run FROM record WHERE kind = 'begin')"
        " AND id NOT IN (SELECT run FROM undone)",
        (target, target, number),
    )
