"""An unfinished run in the ledger of the team that another working copy drives, taken over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from backout.adapters.standings import Standing, held, standings
from backout.commands.shipment import is_here
from backout.errors import Refused
from backout.model import Driving, RunRow, Target
from backout.ports import READY, Screen, Transport
from backout.project.freezing import thaw
from backout.project.project import Workplace
from backout.runs import release_file
from backout.runs.decisions import FOUND, STRANGE, Decisions
from backout.runs.discreet import secrets_of
from backout.runs.leasing import reached


def claim(
    workplace: Workplace, screen: Screen, row: RunRow, target: Target, *, forward: bool
) -> None:
    """Take the run over from whoever drives it; nothing where that is this working copy. Raises
    Held while they may be alive, and Refused when a person says no, or, `forward`, when this
    machine has not what the run ships, or a secret that it needs."""
    journal = workplace.journal_of(target)
    driving = journal.driving(row.id)
    if driving.ours:
        return
    machines = workplace.machines(target)
    found, away = reached(machines.reach, tuple(target.hosts))
    if alive := living(found, row.id):
        raise held(alive, target.name)
    if forward:
        ends = (record.body for record in journal.recall(row.id) if record.kind == "end")
        refuse_lost_commit(row.id, target, machines.reach(""), ends)
    refuse_without_secrets(workplace, row)
    _confirm(screen, row, driving, away)
    journal.claim(row.id, driving)
    note_strange(target, machines.reach, Decisions(row.id, journal))


def note_strange(target: Target, reach: Callable[[str], Transport], decisions: Decisions) -> None:
    """Durably, by whoever has just taken the run over: the hosts that are the very machine one is
    on, and were another one where the run began. What it did there cannot be told from here, nor
    taken back."""
    if decisions.noted(READY) is None:
        return
    told = decisions.noted(FOUND) or {}
    local = (host for host in target.hosts.values() if host.connection == "local")
    there = (reach(host.name) for host in local if host.name in told)
    strange = [t.host.name for t in there if not _named(t, target.home_on(t.host), decisions.run)]
    if strange or decisions.noted(STRANGE):
        decisions.note(STRANGE, {"hosts": strange})


def _named(transport: Transport, home: str, run: str) -> bool:
    record = release_file.read(transport, home)
    return record is not None and run in (*record.during, record.run, record.over)


def living(hosts: Sequence[Transport], run: str) -> Standing | None:
    """The lease of a run whose process may be alive, as its hosts have it."""
    found = (each for each in standings(hosts) if each.lease and each.lease.run == run)
    return next((each for each in found if not each.expired), None)


def refuse_lost_commit(
    run: str, target: Target, here: Transport, ends: Iterable[Mapping[str, Any]]
) -> None:
    """Raises Refused for a commit that the run made and only its own machine has."""
    made = [str(end["saved"]["commit"]) for end in ends if end["saved"].get("commit")]
    if made and not is_here(target, here, made[-1]):
        raise Refused(
            f"run {run} made commit {made[-1]}, which is not in this working copy",
            where=target.name,
            state="nothing was changed",
            next=f"git fetch, if it was published; else invoke abort --target"
            f" {target.name}, for it is on that machine alone",
        )


def refuse_without_secrets(workplace: Workplace, row: RunRow) -> None:
    """Raises Refused for a secret that the machine which began the run has, and this one has not:
    the way back would end in the middle."""
    if row.verb == "rollback":
        return
    made = thaw(workplace, row)
    try:
        workplace.vault(made.target).fetch(secrets_of(made))
    except Refused as error:
        raise Refused(
            f"{error.what}, and run {row.id} needs it",
            where=row.target,
            state="nothing was changed; the run is as it was",
            next=f"{error.next}, then: {row.going_on}",
        ) from error


def _confirm(screen: Screen, row: RunRow, driving: Driving, away: Iterable[str]) -> None:
    unknown = ", ".join(away)
    question = (
        f"take over run {row.id} ({row.verb} of {row.target}), begun by {row.owner} at"
        f" {row.started:%Y-%m-%d %H:%M:%S} UTC"
        f"{'' if driving.by == row.owner else f', in the hands of {driving.by}'}?"
        f"{f' {unknown} cannot be reached.' if unknown else ''}"
    )
    if not screen.operator.confirm(question):
        raise Refused("not confirmed", next=f"invoke status --target {row.target}")
