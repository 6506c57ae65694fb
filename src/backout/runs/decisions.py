"""What a run has decided: records in the journal, so that whoever goes on decides the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from backout.errors import BackoutError
from backout.model import Finding, Record
from backout.ports import HEARD, READY, TAKEN, Journal

PATIENCE = 2.0
"""Seconds that a signal handler may wait for its wish to be on record."""


class Decisions:
    """The newest decision of each kind. A body may be empty: ask whether it `is None`."""

    def __init__(self, run: str, journal: Journal) -> None:
        self.run = run
        self._journal = journal
        self._known = {record.kind: record.body for record in journal.recall(run)}

    def note(self, kind: str, body: Mapping[str, Any]) -> None:
        """Durable when this returns."""
        self._journal.note(self.run, kind, body)
        self._known[kind] = body

    def noted(self, kind: str) -> Mapping[str, Any] | None:
        return self._known.get(kind)

    def took(self, kind: str, body: Mapping[str, Any]) -> None:
        """One that the journal has recorded together with something else."""
        self._known[kind] = body


FOUND = "found"
"""The record of what each host had on record before any named this run."""
OLDER = "older"
"""The record that a host knows more of the run than this journal, which is an older copy."""
STRANGE = "strange"
"""The record of the hosts that are another machine for whoever goes on with the run now."""
UNNAMED = "unnamed"
"""The record that no host names a run any more that was refused after all."""


def begun(records: Iterable[Record]) -> bool:
    """Whether a run may have changed something."""
    return any(record.kind in (READY, "back_out") for record in records)


def stays_open(records: Iterable[Record]) -> bool:
    """Whether a refusal does not end the run: it may have changed something, hosts name it, or
    what became of it there is not known here."""
    records = tuple(records)
    return begun(records) or named(records) or any(record.kind == OLDER for record in records)


def named(records: Iterable[Record]) -> bool:
    """Whether hosts may name the run, and it has changed nothing."""
    kinds = (FOUND, UNNAMED, READY, "back_out")
    return [record.kind for record in records if record.kind in kinds][-1:] == [FOUND]


UNHEARD = (
    "{} was away when the run was taken over, or has nothing of it any more: what was done there"
    " is not known"
)


def unheard(decisions: Decisions) -> tuple[str, ...]:
    """The hosts that did not tell what they have of the run when it was taken over, and have not
    done so since: what was done there is not known."""
    taken, heard = decisions.noted(TAKEN), decisions.noted(HEARD)
    strange = (decisions.noted(STRANGE) or {}).get("hosts", ())
    if taken is None:
        return tuple(strange)
    told = heard if heard is not None and heard["claim"] == taken["claim"] else taken
    return (*strange, *told["away"])


def note_red(decisions: Decisions, red: Sequence[Finding]) -> None:
    """The old release did not prove itself: a person is needed."""
    before = decisions.noted("red")
    times = 1 if before is None else int(before["times"]) + 1
    decisions.note("red", {"times": times, "checks": [finding.key for finding in red]})


def turn_of(decisions: Decisions) -> str:
    """Names the settling on the way back. After a red proof a person has put something right, so
    all is settled anew, once for each such time."""
    red = decisions.noted("red")
    return "" if red is None else f"{int(red['times']) + 1}/"


class Stop:
    """The wish to stop, from a signal: no step starts after it."""

    def __init__(self) -> None:
        self.reason = ""
        self._wishes: SimpleQueue[str | None] = SimpleQueue()
        self._recording = False
        self._recorded = Event()

    def __call__(self, reason: str) -> None:
        """Safe in a signal handler: it waits only shortly for the record."""
        self.reason = self.reason or reason
        self._wish(reason)

    def leave(self) -> None:
        """The process leaves at once, and a person decides later: it was no wish to go back."""
        self._wish("")

    def _wish(self, reason: str) -> None:
        self._recorded.clear()
        self._wishes.put(reason)
        if self._recording:
            self._recorded.wait(PATIENCE)

    @contextmanager
    def recorded(self, note: Callable[[str], None]) -> Iterator[None]:
        """Meanwhile every wish is noted, by a thread of its own: a signal handler may interrupt
        whoever writes to the journal."""
        thread = Thread(target=self._record, args=(note,), name="stop", daemon=True)
        thread.start()
        self._recording = True
        try:
            yield
        finally:
            self._recording = False
            self._wishes.put(None)
            thread.join()

    def _record(self, note: Callable[[str], None]) -> None:
        while (reason := self._wishes.get()) is not None:
            with suppress(BackoutError):
                note(reason)
            self._recorded.set()
