"""What the journal knows to be on the hosts of a target."""

from __future__ import annotations

from collections.abc import Sequence

from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.storage.journal_rows import LedgerRow
from backout.model import Release
from backout.runs.claims import NOTE, Brought
from backout.runs.plan import Plan


def brought(journal: SqliteJournal, undoing: Sequence[Plan]) -> tuple[Brought, ...]:
    """The runs that are to be undone, newest first, and the releases in force below them."""
    target = undoing[0].target
    rows = {row.run: row for row in journal.releases(target.name)}
    over = {plan.run for plan in undoing}
    below = (row for row in rows.values() if not row.undone_by and row.run not in over)

    def known(run: str, at_work: Sequence[str] = ()) -> Brought:
        row = rows.get(run)
        sure = (row.covers or tuple(target.hosts)) if row else ()
        notes = (record.body for record in journal.recall(run) if record.kind == NOTE)
        return Brought(
            runs=frozenset((run, *(row.restored if row else ()))),
            hosts=frozenset((*at_work, *sure)),
            sure=frozenset(sure),
            found=next(notes, {}),
        )

    undone = (known(plan.run, plan.hosts) for plan in undoing)
    return (*undone, *(known(row.run) for row in below))


def newest_on(releases: Sequence[LedgerRow], host: str) -> LedgerRow | None:
    """The newest release in force that was brought to the host."""
    there = (row for row in releases if not row.undone_by and host in (row.covers or (host,)))
    return next(there, None)


def same_code(releases: Sequence[LedgerRow], to: Release, target: str) -> str:
    """What is to be said of going back to a release of the very commit that runs: the code stays.
    Nothing where it is another commit."""
    runs = next((row.release for row in releases if row.current), to)
    if not to.commit or runs.commit != to.commit or runs.number == to.number:
        return ""
    others = (row.release for row in releases if row.known_good and not row.undone_by)
    other = next((r for r in others if r.number < to.number and r.commit != to.commit), None)
    there = f"; the newest good one of another commit is release {other}: " if other else ""
    typed = f"invoke rollback --target {target} --to {other.number}" if other else ""
    none = "" if other else "; there is no good one of another commit before it"
    return f"release {to} is of the very commit that runs, so the code stays{there}{typed}{none}"
