"""`parse-schema`: can Parse Server write the tables that its schema promises?

Parse keeps its own schema in the table `_SCHEMA` and writes each field into the column of that
name, a pointer as the bare objectId. A table that somebody else changed may not take that. What
the catalogue shows is held against `_SCHEMA`; the surest proof is an INSERT as Parse words it, in
a transaction that is rolled back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from backout.model import Observation, Options, TemplateText, Words
from backout.ports import ProbeRequest
from backout.probes.base import EXCERPT, Kind
from backout.probes.catalogue import Finds, Table, changed, held, tables
from backout.probes.parse_insert import Tried, attempt
from backout.probes.postgres import Unanswered, session

UNTOLD = ("08", "25", "53", "55", "57", "58", "XX", "42501", "23505")
"""How SQLSTATEs begin that say nothing about the table: no link, a read-only server, no room, a
lock, no permission, or a row that happens to be there already."""


class ParseSchemaOptions(Options):
    """Which classes to look at (all when none is named), and into which to INSERT for a moment."""

    database: str
    classes: tuple[str, ...] | TemplateText = ()
    insert: tuple[str, ...] | TemplateText = ()


class ParseSchema(Kind):
    """Passes by itself when nothing was found that makes Parse fail."""

    Options: ClassVar[type[Options]] = ParseSchemaOptions
    connects: ClassVar[bool] = True
    names: ClassVar[Mapping[str, str]] = {
        "problems": "what makes Parse fail, each as `Class.field: SQLSTATE what`",
        "sqlstates": "the SQLSTATEs of the problems",
        "generated": "Class.field of generated columns, which Parse would write",
        "missing": "Class.field of fields that have no column",
        "required": "Class.column of NOT NULL columns that Parse does not know",
        "prefixed": "Class.column of `_p_…` columns: MongoDB's form of a pointer",
        "inserted": "the classes that took an INSERT, and gave it back as it was written",
        "drift": "lines of the snapshot that came (+) or went (-) since the last good release",
        "snapshot": "every field and column, a line each",
        "elapsed_ms": "the whole look in milliseconds",
    }
    expects: ClassVar[Words] = ("size(problems) == 0",)
    judges_itself: ClassVar[bool] = True

    def observe(self, look: ProbeRequest) -> Observation:
        """Read the catalogue, then try the INSERTs; what was found is in the facts."""
        started = time.monotonic()
        try:
            known = _catalogue(look)
            tried = [_tried(look, name, known) for name in look.options.insert]
        except Unanswered as error:
            elapsed = (time.monotonic() - started) * 1000
            codes = {"sqlstates": [error.sqlstate] if error.sqlstate else []}
            return Observation(codes, error=_reason(error), elapsed_ms=elapsed)
        elapsed = (time.monotonic() - started) * 1000
        found = held(known.values(), proved=[each.name for each in tried if each.well])
        facts = {**_facts(found, tried, known), **_drift(look, known), "elapsed_ms": elapsed}
        lines = [*facts["problems"], *found.notes, *facts.get("drift", ())]
        return Observation(facts, elapsed_ms=elapsed, excerpt="\n".join(lines)[:EXCERPT])


def _catalogue(look: ProbeRequest) -> Mapping[str, Table]:
    """The tables by class. Raises Unanswered."""
    with session(look) as connection:
        known = tables(connection)
    names = look.options.classes or tuple(known)
    unknown = [name for name in (*names, *look.options.insert) if name not in known]
    if unknown:
        raise Unanswered(f"Parse's schema has no class {', '.join(dict.fromkeys(unknown))}")
    return {name: known[name] for name in dict.fromkeys((*names, *look.options.insert))}


def _tried(look: ProbeRequest, name: str, known: Mapping[str, Table]) -> Tried:
    """Raises Unanswered for a refusal that says nothing about the table."""
    with session(look, read_only=False) as connection:
        tried = attempt(connection, known[name])
    if tried.sqlstate.startswith(UNTOLD):
        raise Unanswered(f"cannot tell whether {name} takes an INSERT: {tried.words}")
    return tried


def _facts(found: Finds, tried: Sequence[Tried], known: Mapping[str, Table]) -> dict[str, Any]:
    problems = [*found.problems, *(line for each in tried for line in each.problems)]
    codes = (line.partition(": ")[2].partition(" ")[0] for line in problems)
    return {
        "problems": problems,
        "sqlstates": list(dict.fromkeys(code for code in codes if len(code) == 5)),
        "generated": list(found.generated),
        "missing": list(found.missing),
        "required": list(found.required),
        "prefixed": list(found.prefixed),
        "inserted": [each.name for each in tried if each.well],
        "snapshot": list(_snapshot(known)),
    }


def _snapshot(known: Mapping[str, Table]) -> Iterator[str]:
    for name in sorted(known):
        yield from known[name].lines


def _drift(look: ProbeRequest, known: Mapping[str, Table]) -> dict[str, Any]:
    """Held against the last known-good release, else against the first look of this watch."""
    now = list(_snapshot(known))
    before = look.known_good or look.memory.get("snapshot")
    if before:
        return {"drift": changed(before, now)}
    look.memory["snapshot"] = now
    return {}


def _reason(error: Unanswered) -> str:
    if error.sqlstate == "42P01":
        return "this database has no _SCHEMA: Parse Server has not been started on it"
    return str(error)
