"""The chain of a run's records: each carries the hash of the one before it, the first that of the
run's opening. So a record that is missing, changed or put in between is found.

What a step printed is in the hash by its own digest: `prune` may forget it, and nothing else. A
run that ends is sealed: one hash more holds its last record and its end together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backout.adapters.storage.tables import Tables
from backout.ports import TAKEN

PRINTED = ("stdout", "stderr")
"""What `prune` may take out of a record."""
DIGEST = "printed"
"""What stands in a record for what was taken out of it."""
OPENING = ("id", "target", "verb", "runbook", "plan", "owner", "started", "options")
"""The columns of a run's opening."""
ENDING = ("ended", "outcome", "exit_code", "report")
"""The columns of a run's end."""


@dataclass(frozen=True, slots=True)
class Link:
    """The place of a record in the chain of its run."""

    n: int = 0
    """Its number within the run, from 1; 0 where records had no chain yet."""
    prev: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A record as it is written: redacted, with its place in the chain of its run."""

    kind: str
    key: str
    at: str
    body: str
    link: Link


@dataclass(frozen=True, slots=True)
class Opening:
    """A run as it was opened: the columns `OPENING` of its row, as they are written."""

    values: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        return self.values[0]

    @property
    def target(self) -> str:
        return self.values[1]

    @property
    def verb(self) -> str:
        return self.values[2]

    @property
    def runbook(self) -> str:
        return self.values[3]

    @property
    def owner(self) -> str:
        return self.values[5]

    @property
    def started(self) -> str:
        return self.values[6]

    @property
    def hash(self) -> str:
        """What the first record follows."""
        return _hash(list(self.values))


@dataclass(frozen=True, slots=True)
class Ending:
    """A run's end: the columns `ENDING` of its row, and the seal of it; empty for a run that has
    not ended, or did before runs were sealed."""

    values: tuple[Any, ...] = ()
    sealed: str = ""

    def seal(self, last: Link) -> str:
        """What holds the end and the run's last record together."""
        return _hash([last.n, last.hash, *self.values])


def record(prev: str, run: str, kind: str, key: str, at: str, body: str) -> str:
    """The hash of a record that follows `prev`."""
    return _hash([prev, run, kind, key, at, _printed_apart(json.loads(body))])


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that has no place yet; said to the tables, it takes the next one."""

    run: str
    kind: str
    key: str
    at: str
    body: str

    def __call__(self, db: Tables) -> Link:
        return append(db, self.run, self.kind, self.key, self.at, self.body)

    def after(self, last: Link) -> Line:
        """The record as the one that follows that one."""
        about = (self.kind, self.key, self.at, self.body)
        link = Link(last.n + 1, last.hash, record(last.hash, self.run, *about))
        return Line(*about, link)


def append(db: Tables, run: str, kind: str, key: str, at: str, body: str) -> Link:
    """Within a transaction: the next record of a run, and its place."""
    line = Draft(run, kind, key, at, body).after(last_of(db, run))
    put(db, run, line)
    return line.link


def last_of(db: Tables, run: str) -> Link:
    """The place after which a run's next record comes."""
    last = db.execute(
        "SELECT n, hash FROM record WHERE run = ? ORDER BY seq DESC LIMIT 1", (run,)
    ).fetchone()
    return Link(last[0], hash=last[1]) if last else Link(hash=opening_of(db, run).hash)


def opening_of(db: Tables, run: str) -> Opening:
    """A run's opening; an empty one where there is no such run."""
    columns = ", ".join(OPENING)
    row = db.execute(f"SELECT {columns} FROM run WHERE id = ?", (run,)).fetchone()  # noqa: S608 - our own words
    return Opening(tuple(row or ()))


def lines(db: Tables, run: str) -> tuple[Line, ...]:
    """Every record of a run, in order."""
    rows = db.execute(
        "SELECT kind, key, at, body, n, prev, hash FROM record WHERE run = ? ORDER BY seq", (run,)
    )
    return tuple(Line(kind, key, at, body, Link(*link)) for kind, key, at, body, *link in rows)


def put_run(db: Tables, opening: Opening, lines: Sequence[Line]) -> None:
    """Within a transaction: a run, with the records whose places are known."""
    places = ", ".join("?" * len(OPENING))
    db.execute(f"INSERT INTO run ({', '.join(OPENING)}) VALUES ({places})", opening.values)  # noqa: S608 - our own words
    for line in lines:
        put(db, opening.run, line)


def close(db: Tables, run: str, ending: Ending) -> bool:
    """Within a transaction: the run ends so. False when there is no such run."""
    columns = ", ".join(f"{name} = ?" for name in (*ENDING, "sealed"))
    values = (*ending.values, ending.seal(last_of(db, run)), run)
    return bool(db.execute(f"UPDATE run SET {columns} WHERE id = ?", values).rowcount)  # noqa: S608 - our own words


def put_ended(db: Tables, opening: Opening, drafts: Sequence[Draft], ending: Ending) -> None:
    """Within a transaction: a run that is over, and was never open."""
    lines, last = list[Line](), Link(hash=opening.hash)
    for draft in drafts:
        lines.append(draft.after(last))
        last = lines[-1].link
    columns = (*OPENING, *ENDING, "sealed")
    places = ", ".join("?" * len(columns))
    values = (*opening.values, *ending.values, ending.seal(last))
    db.execute(f"INSERT INTO run ({', '.join(columns)}) VALUES ({places})", values)  # noqa: S608 - our own words
    for line in lines:
        put(db, opening.run, line)


def put(db: Tables, run: str, line: Line) -> None:
    """Within a transaction: a record whose place is known."""
    link = line.link
    db.execute(
        "INSERT INTO record (run, kind, key, at, body, n, prev, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (run, line.kind, line.key, line.at, line.body, link.n, link.prev, link.hash),
    )


def without_output(body: Mapping[str, Any]) -> dict[str, Any]:
    """A record that has forgotten what was printed; its hash stays what it was."""
    return {**body, **dict.fromkeys(PRINTED, ""), DIGEST: _digest(body)}


def faults(db: Tables, target: str | None) -> Iterator[tuple[str, str]]:
    """Every run whose records are not what they were when they were written, and why."""
    runs = db.execute("SELECT id FROM run WHERE ? IN (target, '') ORDER BY rowid", (target or "",))
    for (run,) in runs.fetchall():
        for words in faults_of(db, run):
            yield run, words


def faults_of(db: Tables, run: str) -> Iterator[str]:
    """Why the records of a run are not what they were when they were written, nor what the ledger
    has of it what was decided then."""
    found = lines(db, run)
    columns = ", ".join((*ENDING, "sealed"))
    *values, sealed = db.execute(f"SELECT {columns} FROM run WHERE id = ?", (run,)).fetchone()  # noqa: S608 - our own words
    yield from held_together(opening_of(db, run), found, Ending(tuple(values), sealed))
    for line in found:
        if line.kind == "decided" and "ledger" in (decided := json.loads(line.body)):
            yield from _entered(db, run, decided["ledger"])


def _entered(db: Tables, run: str, decided: Mapping[str, Any]) -> Iterator[str]:
    query = 'SELECT number, "commit", known_good FROM ledger WHERE run = ?'
    there = db.execute(query, (run,)).fetchone()
    made = decided["release"]
    if there != (made and (made["number"], made["commit"], int(decided["known_good"]))):
        yield "its release is not the one that was decided"
    back = db.execute("SELECT number FROM restored WHERE run = ?", (run,)).fetchone()
    if (back and back[0]) != decided["restored"]:
        yield "what it came back to is not what was decided"


def held_together(
    opening: Opening, found: Sequence[Line], ending: Ending | None = None
) -> Iterator[str]:
    """Why those are not the records of that run, in order, as they were written, up to its
    `ending`. A run that was taken over may lack what never left the machine it was taken from; what
    is from before records had a chain tells nothing, and neither does a run whose records were
    forgotten."""
    taken = max((i for i, line in enumerate(found) if line.kind == TAKEN), default=-1)
    before, last = opening.hash, 0
    for place, line in enumerate(found):
        link = line.link
        if not link.n:
            if last:
                yield f"a record ({line.kind}) after record {last} has no place"
            before = link.hash
            continue
        name = f"record {link.n} ({line.kind}{f' {line.key}' if line.key else ''})"
        if record(link.prev, opening.run, line.kind, line.key, line.at, line.body) != link.hash:
            yield f"{name} was changed"
        elif link.prev != before and place > taken:
            missing = f": {last + 1} to {link.n - 1} are missing" if link.n > last + 1 else ""
            yield f"{name} does not follow the one before it{missing}"
        before, last = link.hash, link.n
    if found and ending and ending.sealed and ending.seal(found[-1].link) != ending.sealed:
        yield f"its end was changed, or records after {last} are missing"


def _printed_apart(body: Any) -> Any:
    if not isinstance(body, dict) or not any(stream in body for stream in PRINTED):
        return body
    rest = {name: value for name, value in body.items() if name not in (*PRINTED, DIGEST)}
    forgotten = DIGEST in body and not any(body.get(stream) for stream in PRINTED)
    return {**rest, DIGEST: body[DIGEST] if forgotten else _digest(body)}


def _digest(body: Mapping[str, Any]) -> str:
    return _hash([body.get(stream, "") for stream in PRINTED])


def _hash(value: Any) -> str:
    return hashlib.sha256(_CANONICAL.encode(value).encode()).hexdigest()


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
