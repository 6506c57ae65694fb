"""What the journal keeps, as rows: runs and records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from backout.adapters.redactor import redact_data
from backout.adapters.storage.tables import ALL, Tables
from backout.errors import BackoutError, Held, Refused
from backout.model import OpenRun, Record, RunRow
from backout.model.journaled import Body
from backout.ports import HELD, NEEDS_PERSON


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


def insert(db: Tables, table: str, *row: Any) -> None:
    places = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608 - table names are ours


TOGETHER = 500
"""So many records are read as one text: what they are told in is held once for all of them."""


def records(rows: Iterable[Any], reveal: Callable[[str], str]) -> Iterator[Record]:
    """The records that stand in rows."""
    coming = iter(rows)
    while some := tuple(islice(coming, TOGETHER)):
        bodies = json.loads(f"[{','.join(row[-1] for row in some)}]")
        for (seq, kind, key, at, text), body in zip(some, bodies, strict=True):
            # JSON escapes a reference: where nothing is escaped there is none.
            shown = redact_data(body, reveal) if "\\" in text else body
            yield Record(seq, kind, key, datetime.fromisoformat(at), shown)


LAST = "\U0010ffff"
"""No character of an id comes after it."""
NAMED = 5
"""So many runs of an ambiguous id are named."""
_RUN = "id, target, verb, runbook, plan, owner, started, options, ended, outcome, exit_code, report"


def run_rows(db: Tables, where: str, values: Sequence[Any], limit: int = -1) -> tuple[RunRow, ...]:
    """Those of which `where` is true, newest first; without a limit all of them."""
    rows = db.execute(
        f"SELECT {_RUN} FROM run WHERE {where} ORDER BY rowid DESC LIMIT ?",  # noqa: S608
        (*values, limit if limit >= 0 else ALL),
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


def one_run(db: Tables, where: str, *values: Any) -> RunRow | None:
    return next(iter(run_rows(db, where, values, 1)), None)


def runs_named(db: Tables, id: str) -> tuple[int, tuple[RunRow, ...]]:
    """How many runs have an id that begins so, and the newest of them."""
    begins = "id >= ? AND id < ?"
    values = (id, id + LAST)
    count = db.execute(f"SELECT count(*) FROM run WHERE {begins}", values).fetchone()[0]  # noqa: S608 - our own words
    exact = run_rows(db, "id = ?", (id,))
    newest = f"rowid IN (SELECT rowid FROM run WHERE {begins} ORDER BY rowid DESC LIMIT {NAMED})"  # noqa: S608 - our own words
    return (1, exact) if exact else (count, run_rows(db, newest, values))


def targets_of(db: Tables) -> tuple[str, ...]:
    """Every target that has a run, the one of the newest run first. From one name to the next by
    the index, past all the runs of each."""
    rows = db.execute(
        "WITH RECURSIVE known (name) AS (SELECT min(target) FROM run UNION ALL"
        " SELECT (SELECT min(target) FROM run WHERE target > name) FROM known"
        "  WHERE name IS NOT NULL)"
        " SELECT name FROM known WHERE name IS NOT NULL"
        " ORDER BY (SELECT max(rowid) FROM run WHERE target = name) DESC"
    )
    return tuple(name for (name,) in rows)


def target_of(db: Tables, run: str) -> str:
    row = db.execute("SELECT target FROM run WHERE id = ?", (run,)).fetchone()
    if row is None:
        raise BackoutError(f"there is no run {run} in the journal")
    target: str = row[0]
    return target


def plan_of(db: Tables, run: str) -> Body:
    """The frozen plan of a run that there is."""
    plan: Body = json.loads(db.execute("SELECT plan FROM run WHERE id = ?", (run,)).fetchone()[0])
    return plan


CLOSED = "the run is closed"
"""What the tables say of a write for a run that has ended."""


def has_ended(run: str, where: str) -> Refused:
    """Somebody else has ended it since it was looked at."""
    return Refused(
        f"{f'run {run}' if run else 'the run'} is closed: it has ended meanwhile",
        where=where,
        state="nothing was written to it",
        next=f"invoke show {run}".strip() if run else "invoke history",
    )


def held_by(run: RunRow) -> Held:
    return Held(
        f"{run.verb} {run.id} of {run.target} is not finished:"
        f" started {run.started:%Y-%m-%d %H:%M:%S} UTC by {run.owner}",
        where=run.target,
        state="this run changed nothing; that one is as it was",
        next=run.going_on,
    )


def runs_since(db: Tables, target: str, number: int) -> tuple[RunRow, ...]:
    return run_rows(
        db,
        "target = ? AND rowid > (SELECT run.rowid FROM ledger JOIN run ON run.id = ledger.run"
        "  WHERE ledger.target = ? AND number = ?)"
        " AND outcome NOT IN ('refused', 'backed_out', 'taken_over') AND verb <> 'rollback'"
        " AND EXISTS (SELECT 1 FROM record WHERE record.run = run.id AND kind = 'begin')"
        " AND NOT EXISTS (SELECT 1 FROM undone WHERE undone.run = run.id)",
        (target, target, number),
    )


def open_runs(db: Tables) -> tuple[OpenRun, ...]:
    """The runs that have not ended, of every target."""
    rows = db.execute(
        "SELECT target, verb, started,"
        " (SELECT kind FROM record WHERE run = run.id ORDER BY seq DESC LIMIT 1)"
        " FROM run WHERE outcome IS NULL ORDER BY target"
    ).fetchall()
    return tuple(
        OpenRun(
            target,
            verb,
            datetime.fromisoformat(started).timestamp(),
            needs_person=last in (NEEDS_PERSON, HELD),
        )
        for target, verb, started, last in rows
    )
