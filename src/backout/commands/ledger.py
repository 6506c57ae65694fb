"""What the journal knows to be on the hosts of a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backout.adapters.storage.journal import RunJournal
from backout.errors import Refused
from backout.model import LedgerRow, Release
from backout.runs.claims import Brought
from backout.runs.decisions import FOUND
from backout.runs.plan import Plan


def below(journal: RunJournal, undoing: Sequence[Plan]) -> Mapping[str, LedgerRow]:
    """Host -> the newest release in force below the runs that are to be undone: what it comes back
    to. A host that none was brought to is left out."""
    without = [plan.run for plan in undoing]
    return journal.newest_on(undoing[0].target.name, _hosts(undoing), without=without)


def _hosts(undoing: Sequence[Plan]) -> tuple[str, ...]:
    named = (*undoing[0].target.hosts, *(h for plan in undoing for h in plan.hosts))
    return tuple(dict.fromkeys(named))


def brought(
    journal: RunJournal, undoing: Sequence[Plan], below: Mapping[str, LedgerRow]
) -> tuple[Brought, ...]:
    """The runs that are to be undone, newest first, and what is `below` them: what came before it
    on a host is not asked for."""
    target, hosts = undoing[0].target, _hosts(undoing)

    def known(plan: Plan) -> Brought:
        row = journal.release_of(target.name, plan.run)
        sure = (row.covers or hosts) if row else ()
        notes = (record.body for record in journal.recall(plan.run) if record.kind == FOUND)
        return Brought(
            runs=frozenset((plan.run, *(row.restored if row else ()))),
            hosts=frozenset((*plan.hosts, *sure)),
            sure=frozenset(sure),
            found=next(notes, {}),
        )

    rows = {row.number: row for row in below.values()}
    return (*map(known, undoing), *(_below(rows[n], hosts) for n in sorted(rows, reverse=True)))


def _below(row: LedgerRow, hosts: Sequence[str]) -> Brought:
    sure = frozenset(row.covers or hosts)
    return Brought(runs=frozenset((row.run, *row.restored)), hosts=sure, sure=sure)


def same_code(journal: RunJournal, to: Release, target: str) -> str:
    """What is to be said of going back to a release of the very commit that runs: the code stays.
    Nothing where it is another commit."""
    current = journal.current(target)
    runs = current.release if current else to
    if not to.commit or runs.commit != to.commit or runs.number == to.number:
        return ""
    other = journal.known_good(target, before=to.number, unlike=to.commit)
    there = "there is no good one of another commit before it"
    if other:
        typed = f"invoke rollback --target {target} --to {other.number}"
        there = f"the newest good one of another commit is release {other.release}: {typed}"
    return f"release {to} is of the very commit that runs, so the code stays; {there}"


def named(current: LedgerRow | None) -> str:
    """Names the release in force, and the run that brought it, to be known again; empty where
    there is none."""
    return f"{current.number} {current.run}" if current else ""


def refuse_moved(journal: RunJournal, target: str, shown: str) -> None:
    """Raises Refused where another release is in force than the one that somebody was shown."""
    if named(journal.current(target)) != shown:
        raise Refused(
            f"{target} is not on the release any more that was shown",
            state="nothing was changed",
            next=f"invoke status --target {target}",
        )
