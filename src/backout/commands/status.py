"""What runs where now, asked of the hosts and held against the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from backout.adapters.standings import standings
from backout.commands.unlock import at_work
from backout.errors import BackoutError
from backout.model import Host, LedgerRow, RunRow
from backout.project.machines import Machines
from backout.reports.parts import release_text
from backout.reports.report import Known
from backout.reports.states import HostStatus
from backout.runs import release_file, standing
from backout.runs.release_file import HostRecord


def look_at(machines: Machines, host: Host, over: Callable[[str], bool]) -> HostStatus:
    """What a host says of itself; unreachable is an answer too. A lease of a run that is `over` is
    nobody's."""
    try:
        transport = machines.reach(host.name)
        record = release_file.read(transport, machines.target.home_on(host)) or HostRecord()
        (held,) = standings([transport])
        left, lease = held.left(over), held.lease
        status = HostStatus(
            release=record.release,
            state="reachable",
            run=record.run or None,
            unfinished=tuple(record.during),
            at_work=tuple(map(at_work, held.living)),
            holder=lease.owner if lease and not left else "",
            left=lease.run if lease and left else "",
        )
        if machines.target.service_on(host):
            identity = machines.restarter(host.name).identity()
            up = identity.up if identity.runs is not None else None
            status = replace(status, up=up, uptime=identity.uptime, state=identity.detail)
        return replace(status, commit=standing.commit_on(transport, machines.target))
    except BackoutError as error:
        return HostStatus(None, f"unreachable: {error.what}", reachable=False)


def differences(
    name: str,
    host: HostStatus,
    known: LedgerRow | None,
    code: LedgerRow | None,
    open_run: RunRow | None,
    over: Callable[[str], bool],
) -> Iterator[str]:
    """In words: where a host does not say what the ledger does. It may name a run that is `over`:
    it was away when that ended."""
    release = known.release if known else None
    if not host.reachable:
        yield f"{name} is {host.state}"
        return
    if host.release != release or (known and host.run not in (known.run, *known.restored)):
        says, ledger = _of(host.release, host.run), _of(release, known.run if known else None)
        yield f"{name} says {says}, the ledger {ledger}"
    for run in host.unfinished:
        if (open_run is None or run != open_run.id) and not over(run):
            by = f" by {host.holder}" if host.holder else ""
            yield f"{name}: run {run} has begun there{by} and not ended, and is not open here"
    if code and host.commit and not code.commit.startswith(host.commit):
        yield f"{name} has {host.commit[:10]} on disk, the ledger {code.release}"
    if release and host.up is False:
        yield f"{name}: its service is not up: {host.state}"
    if release and host.up is None:
        yield f"{name}: nobody can tell whether its service is up: {host.state}"


def _of(release: Known, run: str | None) -> str:
    return release_text(release) + (f" of run {run}" if run else "")
