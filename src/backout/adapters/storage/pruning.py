"""What a journal may forget: never what a rollback, a resume or a known-good release needs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from backout.adapters.storage import chain
from backout.adapters.storage.tables import Tables


@dataclass(frozen=True, slots=True)
class Needless:
    """What can go: whole records of some runs, and what steps of others printed."""

    runs: tuple[str, ...] = ()
    """Nothing can come back to them: their records go."""
    outputs: tuple[int, ...] = ()
    """Records of runs whose way back is kept, by `seq`: their output goes."""
    requests: tuple[tuple[str, str], ...] = ()
    """What was asked of other people, by run and step, and what they said: it has expired."""
    letters: tuple[int, ...] = ()
    """Messages that were delivered, or given up, by `id`."""

    def __bool__(self) -> bool:
        return bool(self.runs or self.outputs or self.requests or self.letters)


def needless(db: Tables, target: str | None, before: datetime) -> Needless:
    """What is older than `before` and not needed."""
    old = db.execute(
        "SELECT id, target FROM run WHERE ended < ? AND ? IN (target, '') ORDER BY rowid",
        (before.astimezone(UTC).isoformat(), target or ""),
    ).fetchall()
    needed = {name: _needed(db, name) for name in {name for _, name in old}}
    gone = [run for run, name in old if run not in needed[name]]
    kept = [run for run, name in old if run in needed[name]]
    filled = [run for run in gone if _any(db, run)]
    outputs = tuple(seq for run in kept for seq in _printed(db, run))
    return Needless(tuple(filled), outputs, *_of_people(db, target, before))


def _of_people(
    db: Tables, target: str | None, before: datetime
) -> tuple[tuple[tuple[str, str], ...], tuple[int, ...]]:
    """Of targets where no run is open: it may still look for its approval, or tell something
    again."""
    over = "? IN (target, '') AND target NOT IN (SELECT target FROM run WHERE outcome IS NULL)"
    stamp = before.astimezone(UTC)
    requests = db.execute(
        f"SELECT id, step FROM request WHERE expires < ? AND {over}",  # noqa: S608 - our own words
        (stamp.isoformat(), target or ""),
    ).fetchall()
    letters = db.execute(
        f"SELECT id FROM letter WHERE ended < ? AND {over}",  # noqa: S608 - our own words
        (stamp.timestamp(), target or ""),
    ).fetchall()
    return tuple((run, step) for run, step in requests), tuple(row[0] for row in letters)


def _needed(db: Tables, target: str) -> set[str]:
    """The runs of releases in force, what came back to them, and whatever a rollback to the
    oldest of the good ones would undo."""
    found = db.execute(
        "SELECT run FROM ledger WHERE target = :t AND run NOT IN (SELECT run FROM undone)"
        " UNION SELECT run FROM restored WHERE target = :t"
        " UNION SELECT id FROM run WHERE target = :t AND outcome IS NULL"
        " UNION SELECT id FROM run WHERE target = :t AND verb <> 'rollback'"
        "  AND outcome NOT IN ('refused', 'backed_out', 'taken_over')"
        "  AND id NOT IN (SELECT run FROM undone)"
        "  AND id IN (SELECT run FROM record WHERE kind = 'begin')",
        {"t": target},
    )
    return {row[0] for row in found}


def _any(db: Tables, run: str) -> bool:
    return bool(db.execute("SELECT 1 FROM record WHERE run = ? LIMIT 1", (run,)).fetchone())


def _printed(db: Tables, run: str) -> Iterator[int]:
    found = db.execute("SELECT seq, body FROM record WHERE run = ? AND kind = 'end'", (run,))
    for seq, body in found.fetchall():
        if any(json.loads(body).get(stream) for stream in chain.PRINTED):
            yield seq


def forget(db: Tables, what: Needless) -> None:
    """Within a transaction: take it out of the records, which otherwise only grow."""
    with _writable(db, "record"):
        for run in what.runs:
            db.execute("DELETE FROM record WHERE run = ?", (run,))
            db.execute("DELETE FROM told WHERE run = ?", (run,))
        for seq in what.outputs:
            (body,) = db.execute("SELECT body FROM record WHERE seq = ?", (seq,)).fetchone()
            quiet = chain.without_output(json.loads(body))
            db.execute("UPDATE record SET body = ? WHERE seq = ?", (json.dumps(quiet), seq))
    with _writable(db, "request", "answer", "spent"):
        for request in what.requests:
            for table, column in (("answer", "request"), ("spent", "request"), ("request", "id")):
                db.execute(f"DELETE FROM {table} WHERE {column} = ? AND step = ?", request)  # noqa: S608 - our own words
    for letter in what.letters:
        db.execute("DELETE FROM letter WHERE id = ?", (letter,))


def forget_target(db: Tables, target: str) -> int:
    """Within a transaction: everything of a target but its last number, which is not given out
    again. Gives how many runs it had."""
    db.execute("DELETE FROM letter WHERE target = ?", (target,))
    asked = "(SELECT id FROM request WHERE target = ?)"
    with _writable(db, "request", "answer", "spent"):
        for table in ("answer", "spent"):
            db.execute(f"DELETE FROM {table} WHERE request IN {asked}", (target,))  # noqa: S608 - our own words
        db.execute("DELETE FROM request WHERE target = ?", (target,))
    runs = "(SELECT id FROM run WHERE target = ?)"
    with _writable(db, "record", "ledger", "restored", "undone", "wish"):
        for table in ("told", "pulse", "wish"):
            db.execute(f"DELETE FROM {table} WHERE run IN {runs}", (target,))  # noqa: S608 - our own words
        db.execute(f"DELETE FROM undone WHERE run IN {runs}", (target,))  # noqa: S608 - our own words
        db.execute("DELETE FROM restored WHERE target = ?", (target,))
        db.execute("DELETE FROM ledger WHERE target = ?", (target,))
        db.execute(f"DELETE FROM record WHERE run IN {runs}", (target,))  # noqa: S608 - our own words
        return db.execute("DELETE FROM run WHERE target = ?", (target,)).rowcount


@contextmanager
def _writable(db: Tables, *tables: str) -> Iterator[None]:
    """Without what keeps these tables append-only, which is put back as it was."""
    if not isinstance(db, sqlite3.Connection):
        db.execute("SET LOCAL backout.forgetting = 'on'")
        yield
        return
    places = ", ".join("?" * len(tables))
    guards = db.execute(
        f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ({places})",  # noqa: S608 - our own words
        tables,
    ).fetchall()
    for name, _ in guards:
        db.execute(f"DROP TRIGGER {name}")
    yield
    for _, sql in guards:
        db.execute(sql)
