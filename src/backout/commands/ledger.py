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
    without, target = [plan.run for plan in undoing], undoing[0].target.name
    known = journal.newest_on(target, _hosts(undoing), without=without)
    named = {host: run for plan in undoing for host, run in _found(journal, plan).items()}
    left = {host: run for host, run in named.items() if run not in without}
    return by_their_word(journal, target, left, known)


def by_their_word(
    journal: RunJournal, target: str, named: Mapping[str, str], known: Mapping[str, LedgerRow]
) -> Mapping[str, LedgerRow]:
    """What is `known`; and of the hosts that are not, for they were called otherwise when they were
    deployed: host -> the release in force of the run that it names."""
    if not (strange := named.keys() - known.keys()):
        return known
    rows = {
        run: row
        for row in journal.releases(target)
        if not row.undone_by
        for run in (row.run, *row.restored)
    }
    return {**known, **{host: rows[named[host]] for host in strange if named[host] in rows}}


def _found(journal: RunJournal, plan: Plan) -> Mapping[str, str]:
    """Host -> the run that it named before that one; as far as that was noted."""
    notes = (record.body for record in journal.recall(plan.run) if record.kind == FOUND)
    return next(notes, {})


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
        return Brought(
            runs=frozenset((plan.run, *(row.restored if row else ()))),
            hosts=frozenset((*plan.hosts, *sure)),
            sure=frozenset(sure),
            found=_found(journal, plan),
        )

    def under(row: LedgerRow) -> Brought:
        there = (host for host, its in below.items() if its.number == row.number)
        sure = frozenset((*(row.covers or hosts), *there))
        return Brought(runs=frozenset((row.run, *row.restored)), hosts=sure, sure=sure)

    rows = {row.number: row for row in below.values()}
    return (*map(known, undoing), *(under(rows[n]) for n in sorted(rows, reverse=True)))


def refuse_renamed(undoing: Sequence[Plan], to: Release) -> None:
    """Raises Refused where a machine has two names in these runs, newest first: each knows it by
    the one that it had then."""
    newest, *older = undoing
    hosts = newest.target.hosts.items()
    names: dict[object, str] = {host.machine: name for name, host in hosts if host.machine}
    for plan in older:
        for was, host in plan.target.hosts.items():
            if (name := names.setdefault(host.machine, was)) != was and host.machine:
                back = f"invoke rollback --target {newest.target.name} --to"
                raise Refused(
                    f"{name} was called {was} in release {plan.release.number}: no one rollback"
                    " goes past that",
                    where=newest.target.name,
                    state="nothing was changed",
                    next=f"{back} {plan.release.number}; then: {back} {to.number}",
                )


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
