"""A journal, or one target's part of it, in a file that another machine's journal takes up.

One JSON value a line: a heading, then a row of a table each. Rows are as the journal has them:
secrets by reference, outputs redacted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backout.adapters.storage import chain
from backout.adapters.storage.chain import ENDING, OPENING
from backout.adapters.storage.journal_file import MIGRATIONS
from backout.adapters.storage.journal_rows import run_rows
from backout.adapters.storage.tables import Tables
from backout.errors import Held, Mistakes, Refused
from backout.model.values import HALF

KIND = "backout history"
FORMAT = 1
TABLES = {
    "run": "target IN ({}) ORDER BY rowid",
    "record": "run IN (SELECT id FROM run WHERE target IN ({})) ORDER BY seq",
    "number": "target IN ({}) ORDER BY target",
    "ledger": "target IN ({}) ORDER BY target, number",
    "restored": "target IN ({}) ORDER BY rowid",
    "undone": "run IN (SELECT id FROM run WHERE target IN ({})) ORDER BY run",
    "request": "target IN ({}) ORDER BY asked, id, step",
    "answer": "request IN (SELECT id FROM request WHERE target IN ({})) ORDER BY at",
    "spent": "request IN (SELECT id FROM request WHERE target IN ({})) ORDER BY at",
    "letter": "target IN ({}) AND kind <> 'digest' ORDER BY id",
}
"""What belongs to some targets, in the order in which one table needs another."""
COLUMNS = {
    "run": (*OPENING, *ENDING, "sealed"),
    "record": ("run", "kind", "key", "at", "body", "n", "prev", "hash"),
    "number": ("target", "last"),
    "ledger": ("target", "number", "commit", "run", "at", "known_good", "covers"),
    "restored": ("run", "target", "number"),
    "undone": ("run", "by"),
    "request": (
        *("id", "step", "target", "digest", "needed", "asker", "asked_by", "asked", "expires"),
        "body",
    ),
    "answer": ("request", "step", "asked_by", "answered_by", "who", "answer", "reason", "at"),
    "spent": ("request", "step", "run", "at"),
    "letter": (
        *("target", "destination", "kind", "key", "title", "body", "created", "incident"),
        *("attempts", "retry_at", "failure", "ended", "outcome"),
    ),
}
"""What of each is carried: `seq` is given anew, only the order within a run counts."""

COUNTED = ("n", "number", "last")
"""The columns that are counted on."""
LARGEST = 2**63
PEOPLE = ("request", "answer", "spent", "letter")
"""What is known by its name wherever it is: what is there already stays."""
TOGETHER = 100
"""So many rows are one statement."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """The contents of such a file."""

    targets: tuple[str, ...]
    rows: Mapping[str, tuple[Row, ...]]

    def lines(self) -> Iterator[str]:
        counts = {table: len(rows) for table, rows in self.rows.items()}
        heading = {"format": FORMAT, "kind": KIND, "schema": len(MIGRATIONS)}
        yield json.dumps({**heading, "targets": list(self.targets), "counts": counts})
        for table, rows in self.rows.items():
            yield from (json.dumps([table, row]) for row in rows)


def pack(db: Tables, target: str | None, *, unfinished: bool = False) -> Packed:
    """All that the journal has of a target, or of all. Raises Held while a run of them is open,
    unless those that are `unfinished` go along; so do messages then that are not delivered, which
    this machine sends otherwise."""
    known = [
        row[0]
        for row in db.execute(
            "SELECT target FROM run UNION SELECT target FROM request ORDER BY target"
        )
    ]
    targets = [name for name in known if target in (None, name)]
    still = () if unfinished else run_rows(db, "outcome IS NULL", ())
    if held := next((run for run in still if run.target in targets), None):
        raise Held(
            f"run {held.id} of {held.target} is unfinished: it can be finished on one machine"
            " only, this one",
            where=held.target,
            state="nothing was written",
            next=held.going_on,
        )
    places = ", ".join("?" * len(targets))
    sent = "" if unfinished else "ended IS NOT NULL AND "
    rows = {
        table: tuple(
            rows_of(db, table, (sent if table == "letter" else "") + which.format(places), targets)
        )
        for table, which in TABLES.items()
    }
    return Packed(tuple(targets), rows)


def rows_of(db: Tables, table: str, where: str, values: Sequence[Any]) -> Iterator[Row]:
    names = COLUMNS[table]
    found = db.execute(f"SELECT {_named(names)} FROM {table} WHERE {where}", values)  # noqa: S608 - our own words
    return (dict(zip(names, row, strict=True)) for row in found.fetchall())


def _named(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def unpack(lines: Iterable[str], file: str) -> Packed:
    """Read it whole. Raises Mistakes for what is no such file or not all of one, Refused for one
    of another Backout."""
    try:
        heading, *rest = (json.loads(line) for line in lines)
        known = heading["kind"] == KIND and heading["format"] == FORMAT
        rows: dict[str, list[Row]] = {table: [] for table in TABLES}
        for table, row in rest:
            rows[table].append({name: row[name] for name in row if name != "seq"})
        counts = dict.fromkeys(PEOPLE, 0) | heading["counts"]  # others' were not carried once
        whole = {table: len(found) for table, found in rows.items()} == counts
        targets, schema = tuple(map(str, heading["targets"])), heading["schema"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _not_one(file, "") from error
    if not (known and whole):
        raise _not_one(file, "" if known else ", or a newer Backout wrote it")
    if schema != len(MIGRATIONS):
        raise Refused(
            f"{file} comes from a journal of version {schema}, this one is {len(MIGRATIONS)}",
            next="the same Backout on both machines, then export and import again",
        )
    return Packed(targets, {table: tuple(found) for table, found in rows.items()})


def _not_one(file: str, more: str) -> Mistakes:
    return Mistakes(
        f"{file} is not a whole export of a journal{more}",
        where="command line",
        next="invoke history.export FILE, on the machine that it is from",
    )


def take_up(db: Tables, packed: Packed) -> tuple[str, ...]:
    """Put the runs into this journal that it does not have, each held against its chain. Gives
    them. Raises Refused where the two have gone different ways, and Mistakes for rows that are no
    rows of a journal, or not as they were written; nothing is written then."""
    _refuse_strange_rows(packed)
    new: dict[str, None] = {}
    for target in packed.targets:
        theirs = {row["id"]: row for row in packed.rows["run"] if row["target"] == target}
        new |= dict.fromkeys(_unknown(db, target, theirs))
    _refuse_numbers(db, packed, new)
    _refuse_changed(packed, new)
    for table, column in (("run", "id"), ("record", "run"), ("ledger", "run"), ("restored", "run")):
        put(db, table, [row for row in packed.rows[table] if row[column] in new])
    put(db, "undone", [row for row in packed.rows["undone"] if row["by"] in new])
    _refuse_undecided(db, new)
    for row in packed.rows["number"]:
        db.execute(
            "INSERT INTO number VALUES (:target, :last)"
            " ON CONFLICT (target) DO UPDATE SET last = excluded.last"
            " WHERE excluded.last > number.last",
            row,
        )
    for table in PEOPLE:
        put(db, table, packed.rows[table], " ON CONFLICT DO NOTHING")
    return tuple(new)


def _refuse_strange_rows(packed: Packed) -> None:
    """Names from a file become words of SQL: they must be this journal's own. What belongs to no
    target or run of the file would be left out, and nobody told."""
    for table, rows in packed.rows.items():
        for row in rows:
            if row.keys() != set(COLUMNS[table]) or not all(map(_plain, row.values())):
                raise _not_one("the file", f": a row of {table} is no such row")
    runs = {row["id"] for row in packed.rows["run"]}
    for table, rows in packed.rows.items():
        for row in rows:
            ours = "target" not in row or row["target"] in packed.targets
            ours &= table in PEOPLE or "run" not in row or row["run"] in runs
            if not (ours and all(type(row.get(name, 0)) is int for name in COUNTED)):
                raise _not_one("the file", f": a row of {table} is of nothing in it")


def _plain(value: Any) -> bool:
    """Whether a database can hold it."""
    match value:
        case str():
            return value.isascii() or not HALF.search(value)
        case int():
            return -LARGEST <= value < LARGEST
        case _:
            return value is None or isinstance(value, float)


def _refuse_changed(packed: Packed, new: Mapping[str, None]) -> None:
    """The way back of each run is what its records say: they are as they were written."""
    found: dict[str, list[chain.Line]] = {run: [] for run in new}
    for row in packed.rows["record"]:
        if row["run"] in new:
            link = chain.Link(row["n"], row["prev"], row["hash"])
            line = chain.Line(row["kind"], row["key"], row["at"], row["body"], link)
            found[row["run"]].append(line)
    for row in packed.rows["run"]:
        opening = chain.Opening(tuple(row[name] for name in OPENING))
        ending = chain.Ending(tuple(row[name] for name in ENDING), row["sealed"])
        try:
            wrong = next(chain.held_together(opening, found.get(row["id"], ()), ending), "")
        except (ValueError, TypeError):
            wrong = "a record is none"
        if wrong:
            raise _not_one("the file", f": of run {row['id']} {wrong}")


def _refuse_undecided(db: Tables, new: Mapping[str, None]) -> None:
    """What the ledger has by now of each run is what was decided then."""
    for run in new:
        if words := next(chain.faults_of(db, run), ""):
            raise _not_one("the file", f": of run {run} {words}")


def _unknown(db: Tables, target: str, theirs: Mapping[str, Row]) -> Sequence[str]:
    """Their runs that come after all of ours."""
    ours = {row["id"]: row for row in rows_of(db, "run", "target = ? ORDER BY rowid", [target])}
    for id in sorted(ours.keys() & theirs.keys()):
        if not _same(ours[id], theirs[id]):
            raise _clash(target, f"run {id} is another one here")
    both = [id for id in theirs if id in ours]
    after = [*theirs][[*theirs].index(both[-1]) + 1 :] if both else [*theirs]
    own = [*ours][[*ours].index(both[-1]) + 1 :] if both else [*ours]
    if after and own:
        raise _clash(target, f"run {own[0]} here and run {after[0]} there do not know each other")
    return after


def _same(ours: Row, theirs: Row) -> bool:
    """One that came here unfinished may have ended since."""
    known = theirs if theirs["outcome"] is not None else dict.fromkeys(OPENING)
    return all(ours[name] == theirs[name] for name in known)


def _refuse_numbers(db: Tables, packed: Packed, new: Mapping[str, None]) -> None:
    for row in packed.rows["ledger"]:
        taken = db.execute(
            "SELECT run FROM ledger WHERE target = :target AND number = :number", row
        ).fetchone()
        if row["run"] in new and taken:
            number, run = row["number"], taken[0]
            raise _clash(row["target"], f"release {number} is of run {run} here")


def _clash(target: str, why: str) -> Refused:
    return Refused(
        f"the two journals of {target} have gone different ways: {why}",
        where=target,
        next=f"go on with one of them: invoke history --target {target} shows this one",
    )


def put(db: Tables, table: str, rows: Sequence[Row], more: str = "") -> None:
    """Many at a time: a database may be far away."""
    for first in range(0, len(rows), TOGETHER):
        some = rows[first : first + TOGETHER]
        row = f"({', '.join('?' * len(some[0]))})"
        words = (
            f"INSERT INTO {table} ({_named(some[0])}) VALUES {', '.join([row] * len(some))}{more}"  # noqa: S608 - our own words
        )
        db.execute(words, [value for each in some for value in each.values()])
