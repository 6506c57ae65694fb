"""The ledger: the releases of each target, and what a rollback finds in them.

Every question is asked of SQLite by an index and answered by the rows that it needs, so that what
a target was long ago costs nothing today.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any

from backout.adapters.storage.journal_rows import plan_of, runs_since
from backout.adapters.storage.store import JournalStore
from backout.adapters.storage.tables import ALL, Tables
from backout.errors import Mistakes
from backout.model import LedgerRow, RunRow
from backout.model.journaled import Body

IN_FORCE = "NOT EXISTS (SELECT 1 FROM undone WHERE undone.run = ledger.run)"
GOOD = f"known_good <> 0 AND {IN_FORCE}"
WITH_UPDATE = (
    "EXISTS (SELECT 1 FROM run INDEXED BY run_with_update WHERE run.id = ledger.run"
    """ AND instr(run.plan, '"kind": "update"') > 0)"""
)
"""As the journal's index has it; what the words stand in is looked at afterwards."""


def ledger_rows(
    db: Tables, target: str, where: str = "TRUE", *values: Any, limit: int = -1
) -> tuple[LedgerRow, ...]:
    """The target's releases of which `where` is true, newest first."""
    query = (
        'SELECT number, "commit", run, at, known_good, covers,'  # noqa: S608 - our own words
        " coalesce(number = (SELECT number FROM ledger"
        f"  WHERE target = ? AND {IN_FORCE} ORDER BY number DESC LIMIT 1), FALSE),"
        " (SELECT json_group_array(run) FROM (SELECT restored.run FROM restored"
        "  WHERE restored.target = ledger.target AND restored.number = ledger.number"
        "  ORDER BY restored.rowid) AS back),"
        " coalesce((SELECT by FROM undone WHERE undone.run = ledger.run), '')"
        f" FROM ledger WHERE target = ? AND {where} ORDER BY number DESC LIMIT ?"
    )
    rows = db.execute(query, (target, target, *values, limit if limit >= 0 else ALL))
    return tuple(
        LedgerRow(
            target=target,
            number=number,
            commit=commit,
            run=run,
            at=datetime.fromisoformat(at),
            known_good=bool(known_good),
            covers=tuple(json.loads(covers)),
            current=bool(current),
            restored=tuple(json.loads(restored)),
            undone_by=undone_by,
        )
        for number, commit, run, at, known_good, covers, current, restored, undone_by in rows
    )


def newest_on(
    db: Tables, target: str, hosts: Iterable[str], code: bool, without: Collection[str]
) -> Mapping[str, LedgerRow]:
    missing, found = dict.fromkeys(hosts), dict[str, LedgerRow]()
    passed: set[str] = set()
    which = f"target = ? AND {IN_FORCE}" + (f" AND {WITH_UPDATE}" if code else "")
    query = f"SELECT number, covers, run FROM ledger WHERE {which} ORDER BY number DESC"  # noqa: S608 - our own words
    with closing(db.execute(query, (target,))) as rows:
        for number, covers, run in rows:
            if not missing:
                break
            if covers in passed or run in without:
                continue
            if code and not brings_code(plan_of(db, run)):
                continue
            passed.add(covers)
            if new := [each for each in json.loads(covers) or [*missing] if each in missing]:
                (row,) = ledger_rows(db, target, "number = ?", number)
                found |= dict.fromkeys(new, row)
                missing = {each: None for each in missing if each not in found}
    return found


def brings_code(plan: Body) -> bool:
    """Whether a run of that plan has an update: one without leaves the code that was there."""
    runbook = plan.get("runbook", {})
    return any(step["kind"] == "update" for step in runbook.get("steps", ()))


class Ledger(JournalStore):
    """The journal's view of its releases."""

    def releases(self, target: str, limit: int = -1) -> tuple[LedgerRow, ...]:
        """The releases of the target, newest first."""
        return self.look(lambda db: ledger_rows(db, target, limit=limit))

    def release(self, target: str, name: str) -> LedgerRow:
        """A release by its number or the beginning of its commit; releases in force go before
        undone ones. Raises Mistakes when it names none or several."""
        named = self.look(lambda db: _named(db, target, name.lower()))
        named = tuple(row for row in named if not row.undone_by) or named
        if len(named) == 1:
            return named[0]
        wrong = f"{target} has no release {name!r}"
        if named:
            releases = ", ".join(str(row.release) for row in named)
            wrong = f"{name!r} is ambiguous on {target}, say the number: release {releases}"
        raise Mistakes(wrong, next=f"invoke history --target {target}")

    def release_of(self, target: str, run: str) -> LedgerRow | None:
        """The release that a run made."""
        return self._newest(target, "number = (SELECT number FROM ledger WHERE run = ?)", run)

    def current(self, target: str) -> LedgerRow | None:
        """The newest release in force."""
        return self._newest(target, IN_FORCE)

    def known_good(
        self, target: str, before: int | None = None, *, unlike: str | None = None
    ) -> LedgerRow | None:
        """The newest known-good release in force; the newest one before release `before`; the
        newest one of another commit than `unlike`."""
        earlier = f'{GOOD} AND number < coalesce(?, number + 1) AND coalesce("commit" <> ?, TRUE)'
        return self._newest(target, earlier, before, unlike)

    def newest_on(
        self,
        target: str,
        hosts: Iterable[str],
        *,
        code: bool = False,
        without: Collection[str] = (),
    ) -> Mapping[str, LedgerRow]:
        """Host -> the newest release in force that was brought to it; with `code`, of those whose
        run had an update. `without` names runs that do not count. A host that none was brought to
        is left out."""
        return self.look(lambda db: newest_on(db, target, hosts, code, without))

    def since(self, target: str, number: int) -> tuple[RunRow, ...]:
        """The closed runs after that release which changed something and were not undone,
        newest first: what a rollback to it has to undo."""
        return self.look(lambda db: runs_since(db, target, number))

    def _newest(self, target: str, where: str, *values: Any) -> LedgerRow | None:
        found = self.look(lambda db: ledger_rows(db, target, where, *values, limit=1))
        return found[0] if found else None


def _named(db: Tables, target: str, name: str) -> tuple[LedgerRow, ...]:
    by_number = ledger_rows(db, target, "CAST(number AS TEXT) = ?", name) if name else ()
    begins = "substr(\"commit\", 1, ?) = ? AND ? <> ''"
    return by_number or ledger_rows(db, target, begins, len(name), name, name)
