"""The file on a host that says which release is there, which run brought it, and which runs are
not done with it; `status` and every verb that goes back or on hold it against the journal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from backout.model import Command, LedgerRow, Release, Result
from backout.model.operands import shell_path
from backout.ports import Transport

NAME = "release.json"


@dataclass(frozen=True, slots=True)
class HostRecord:
    """What a host has on record."""

    number: int = 0
    commit: str = ""
    run: str = ""
    """The run that put the release there, or that came back to it; empty before the first."""
    highest: int = 0
    """The highest number that any run was given here."""
    during: tuple[str, ...] = ()
    """Runs that change something here and have not ended, the newest last."""
    back: bool = False
    """The newest of them is on its way back."""
    over: str = ""
    """The last run that ended here, well or backed out."""

    @property
    def release(self) -> Release | None:
        return Release(self.number, self.commit) if self.run else None

    @property
    def last(self) -> str:
        """The last run that changed something here and was not taken back; empty when none."""
        return self.during[-1] if self.during else self.run

    def before(self, run: str) -> str:
        """The last run, as it was before `run` began."""
        return self.unnamed(run).last

    def without(self, over: Callable[[str], bool]) -> HostRecord:
        """The same, but for the runs that are over: the host could not be told so."""
        left = tuple(run for run in self.during if not over(run))
        return replace(self, during=left, back=self.back and left[-1:] == self.during[-1:])

    def begun(self, run: str, number: int) -> HostRecord:
        """Before the first change of `run`, or of what goes on with it."""
        during = (*self.unnamed(run).during, run)
        return replace(self, during=during, highest=max(self.highest, number), back=False)

    def unnamed(self, run: str) -> HostRecord:
        """Without `run`: it was refused before it changed anything."""
        return replace(self, during=tuple(each for each in self.during if each != run))

    def going_back(self, run: str) -> HostRecord:
        """Before the first undo of `run`."""
        return replace(self.begun(run, 0), back=True)

    def went_back(self, run: str) -> HostRecord:
        """All that `run` did is undone: what was there is there again."""
        return replace(self.unnamed(run), back=False, over=run)

    def returned(self, run: str, to: LedgerRow | None) -> HostRecord:
        """`run` came back to `to`, which its own run had put there; None is where nothing was."""
        if to is None:
            return HostRecord(highest=self.highest, over=run)
        return replace(self.arrived(to.run, to.release), over=run)

    def arrived(self, run: str, release: Release) -> HostRecord:
        """`release` is there, whatever was half done before it."""
        highest = max(self.highest, release.number)
        return HostRecord(release.number, release.commit, run, highest, over=run)


def write(transport: Transport, home: str, record: HostRecord) -> Result:
    """Put it on record, whole and on the disk, or not at all. Raises Unreachable."""
    path, text = _path(transport, f"{home}/{NAME}"), shlex.quote(json.dumps(asdict(record)))
    script = f"printf '%s\\n' {text}"
    return transport.run(Command(script, timeout=60.0, fenced=True, puts=path, brief=True))


def read(transport: Transport, home: str) -> HostRecord | None:
    """What is on record, or None. Raises Unreachable."""
    return parsed(transport.run(Command(shown(transport, home), timeout=60.0, brief=True)).stdout)


def shown(transport: Transport, home: str) -> str:
    """Shell text that prints what is on record."""
    return f"cat {_path(transport, f'{home}/{NAME}')} 2>/dev/null || true"


def parsed(text: str) -> HostRecord | None:
    """The record that the text is, or None."""
    try:
        return _record(json.loads(text))
    except (ValueError, KeyError, TypeError):
        return None


def _record(data: Mapping[str, Any]) -> HostRecord:
    """A Backout of before wrote number, commit and run alone."""
    number = int(data["number"])
    return HostRecord(
        number,
        str(data["commit"]),
        str(data["run"]),
        max(number, int(data.get("highest", 0))),
        tuple(str(run) for run in data.get("during", ())),
        bool(data.get("back", False)),
        str(data.get("over", "")),
    )


def _path(transport: Transport, path: str) -> str:
    return shell_path(path, here=transport.host.connection == "local")
