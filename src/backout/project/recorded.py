"""What the ledger knows to be on a host, and what the host itself says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backout.adapters.storage.journal import RunJournal
from backout.errors import Refused, Unreachable
from backout.model import Command, LedgerRow, Release, Target
from backout.ports import Recorded, Transport
from backout.probes.release import without_options
from backout.runs import release_file
from backout.runs.release_file import HostRecord

NEWER = 50
"""So many releases are looked through for one that a host has missed."""
_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class Records:
    """Asked for each host that a check of the kind `release` looks at."""

    opened: Callable[[], RunJournal]
    target: Target
    reach: Callable[[str], Transport]
    _ended: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def journal(self) -> RunJournal:
        """Opened when it is first asked: who looks at machines alone needs none."""
        return self.opened()

    def of(self, host: str, check: str) -> Recorded:
        """For the check of that key. Raises Refused and Unreachable."""
        says = self._says(host)
        name = self.target.name
        known = self.journal.newest_on(name, [host]).get(host)
        code = self.journal.newest_on(name, [host], code=True).get(host)
        return Recorded(
            under_way=self._under_way(host, says),
            release=known.release if known else None,
            code=code.release.commit if code else "",
            says=says.release if says else None,
            same_run=bool(known and says and says.run in (known.run, *known.restored)),
            missed=next(self._missed(host, known), None),
            standing=self._standing(known, check),
        )

    def _says(self, host: str) -> HostRecord | None:
        """The record that lies on the host; None where there is none."""
        transport, home = self.reach(host), self.target.home_on(self.target.hosts[host])
        script = release_file.shown(transport, home)
        read = transport.run(Command(script, timeout=60.0, brief=True))
        if not read.ok:
            raise Unreachable(f"the record on {host} cannot be read: {read.reason}")
        record = release_file.parsed(read.stdout)
        if record is None and read.stdout.strip():
            raise Refused(f"the record on {host} is none of ours")
        return record

    def _under_way(self, host: str, says: HostRecord | None) -> str:
        if row := self.journal.open_run_of(self.target.name):
            return f"run {row.id} ({row.verb}) of {row.owner}"
        during = says.without(self.journal.over).during if says else ()
        return f"run {during[-1]}, which has begun on {host}" if during else ""

    def _missed(self, host: str, known: LedgerRow | None) -> Iterator[Release]:
        """Releases that were brought to others, and ought to have come to this host."""
        for row in self.journal.releases(self.target.name, limit=NEWER):
            if known and row.number <= known.number:
                return
            if not row.undone_by and row.covers and host not in row.covers:
                book = self.journal.run(row.run).plan.get("runbook", {})
                if host in _concerned(self.target, book):
                    yield row.release

    def _standing(self, known: LedgerRow | None, check: str) -> tuple[str, ...] | None:
        """What the last run that led there has found at its end; an older Backout recorded
        credentials of command lines."""
        for run in (*reversed(known.restored), known.run) if known else ():
            found = self._decided(run).get("standing", {}).get(check)
            if found is not None:
                return tuple(map(without_options, found))
        return None

    def _decided(self, run: str) -> Mapping[str, Any]:
        if run not in self._ended:
            records = self.journal.recall(run)
            decided = (each.body for each in records if each.kind == "decided")
            self._ended[run] = next(decided, _NOTHING)
        return self._ended[run]


def _concerned(target: Target, runbook: Mapping[str, Any]) -> frozenset[str]:
    """The hosts that its steps are for, by the inventory as it is."""
    places = {step.get("on") for step in runbook.get("steps", ())} - {None}
    return frozenset(host.name for place in places for host in target.select(place))
