"""What runs where now, asked of the hosts and held against the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backout.adapters.standings import standings
from backout.commands.unlock import command_row
from backout.errors import BackoutError
from backout.model import Host, LedgerRow, RunRow
from backout.project.machines import Machines
from backout.reports.parts import release_text
from backout.runs import release_file, standing
from backout.runs.release_file import HostRecord

Words = Mapping[str, Any]


def look_at(machines: Machines, host: Host) -> dict[str, Any]:
    """What a host says of itself; unreachable is an answer too."""
    try:
        transport = machines.reach(host.name)
        record = release_file.read(transport, machines.target.home_on(host)) or HostRecord()
        (held,) = standings([transport])
        row: dict[str, Any] = {
            "release": record.release.to_data() if record.release else None,
            "run": record.run or None,
            "unfinished": list(record.during),
            "state": "reachable",
            "at_work": [command_row(each) for each in held.living],
        }
        if machines.target.service_on(host):
            identity = machines.restarter(host.name).identity()
            up = identity.up if identity.runs is not None else None
            row |= {"up": up, "uptime": identity.uptime, "state": identity.detail}
        row["commit"] = standing.commit_on(transport, machines.target)
    except BackoutError as error:
        return {"release": None, "run": None, "state": f"unreachable: {error.what}"}
    return row


def differences(
    name: str,
    row: Words,
    known: LedgerRow | None,
    code: LedgerRow | None,
    open_run: RunRow | None,
) -> Iterator[str]:
    release = known.release if known else None
    recorded = release.to_data() if release else None
    if row["state"].startswith("unreachable"):
        yield f"{name} is {row['state']}"
        return
    if row["release"] != recorded or (known and row["run"] not in (known.run, *known.restored)):
        says, ledger = _of(row["release"], row["run"]), _of(recorded, known.run if known else None)
        yield f"{name} says {says}, the ledger {ledger}"
    for run in row["unfinished"]:
        if open_run is None or run != open_run.id:
            yield f"{name}: run {run} has begun there and not ended, and is not open here"
    there = row.get("commit")
    if code and there and not code.commit.startswith(there):
        yield f"{name} has {there[:10]} on disk, the ledger {code.release}"
    if release and row.get("up") is False:
        yield f"{name}: its service is not up: {row['state']}"
    if release and row.get("up", False) is None:
        yield f"{name}: nobody can tell whether its service is up: {row['state']}"


def _of(release: Words | None, run: str | None) -> str:
    return release_text(release) + (f" of run {run}" if run else "")
