"""`follow`: a run live, from another terminal or another machine."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from backout.adapters.local_lock import LocalLock
from backout.adapters.person import person
from backout.adapters.storage.telling import STOP, Telling, Wish
from backout.commands.options import Follow
from backout.commands.signals import heard
from backout.errors import BackoutError, ExitCode, Interrupted, Refused
from backout.model import Driving, Event, Outcome, RunRow
from backout.ports import NEEDS_PERSON, Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.report import Report
from backout.reports.story import story

PAUSE = 0.2
"""Seconds between two looks at a journal here; a ledger elsewhere is asked less often."""
STILL = 20.0
"""After so many seconds without a sign of life the owner seems to be gone."""
LEAVE_OR_STOP = "Leave it running (Enter), or stop it, which backs it out (type stop)?"


class Following:
    """One who follows one run."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen
        self.journal = workplace.journal
        self.telling = Telling(workplace.journal)
        self._seen = 0
        self._signals: list[str] = []
        self._wished = False

    def follow(self, options: Follow) -> Answer:
        row = self._row(options)
        owner = Owner(self.workplace, row, self.telling)
        pause = 1.0 if self.journal.shared else PAUSE
        with heard() as self._signals:
            while True:
                ended = self.telling.outcome(row.id) is not None
                gone = "" if ended else owner.gone()
                self._tell(row.id)
                if ended or (gone and self.telling.outcome(row.id)):
                    self._tell(row.id)
                    return _answer(self.journal.run(row.id))
                if gone:
                    return self._unfinished(row, gone)
                self._heed(row)
                self._warn(owner.doubt)
                time.sleep(pause)

    def _row(self, options: Follow) -> RunRow:
        """Raises Mistakes, and Refused where the target has no open run."""
        if options.run:
            return self.journal.run(options.run)
        target = self.workplace.aimed(options.target) or self.workplace.target(None).name
        row = self.journal.open_run_of(target)
        if row is None:
            raise Refused(
                f"{target} has no open run",
                state="nothing runs that could be followed",
                next=f"invoke history --target {target}",
            )
        return row

    def _tell(self, run: str) -> None:
        while found := self.telling.told(run, self._seen):
            for self._seen, event in found:
                self.screen.listen(event)

    # --- the end -------------------------------------------------------------------------

    def _unfinished(self, row: RunRow, gone: str) -> Answer:
        """Raises Interrupted, but for a run that had come to where it needs a person."""
        records = self.journal.recall(row.id)
        if records and records[-1].kind == NEEDS_PERSON:
            why = str(records[-1].body["why"])
            report = story(row, records, row.going_on)
            code, outcome = ExitCode.INCOMPLETE, Outcome.BACKOUT_INCOMPLETE
            return Answer("run", replace(report, outcome=outcome, exit_code=code, reason=why), code)
        raise Interrupted(
            f"run {row.id} ({row.verb}) has not ended, and {gone}",
            where=row.target,
            state="it is journaled, and holds the target; commands that had started may still run",
            next=row.going_on,
        )

    def _warn(self, doubt: str) -> None:
        if doubt:
            self.screen.listen(Event(datetime.now(UTC), "warning", doubt))

    # --- the person ----------------------------------------------------------------------

    def _heed(self, row: RunRow) -> None:
        """Raises Interrupted where the run is left running."""
        if not self._signals:
            return
        how = self._signals.pop()
        operator = self.screen.operator
        ask = how == "SIGINT" and operator.present and not self._wished
        if ask and (operator.ask(LEAVE_OR_STOP) or "").lower() == "stop":
            self._stop(row)
            return
        raise Interrupted(
            f"followed no further ({'Ctrl-C' if how == 'SIGINT' else how})",
            where=f"run {row.id}",
            state=f"the {row.verb} of {row.target} goes on",
            next=f"invoke follow {row.id}",
        )

    def _stop(self, row: RunRow) -> None:
        me = person(os.environ)
        who = f"{me.name} ({me.account})"
        self.telling.wish(Wish(secrets.token_hex(8), row.id, STOP, who, datetime.now(UTC)))
        self._wished = True
        words = "asked to stop: what has begun is awaited, then everything is backed out"
        self.screen.listen(Event(datetime.now(UTC), "note", words))


class Owner:
    """Whoever drives a run, as far as can be seen from here: on this machine the kernel knows
    whether its process lives, of another one only its signs of life are seen."""

    def __init__(
        self,
        workplace: Workplace,
        row: RunRow,
        telling: Telling,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal, self._row, self._telling = workplace.journal, row, telling
        self._lock = LocalLock(workplace.state, row.target)
        self._monotonic = monotonic
        self._beat, self._since = -1, monotonic()
        self._doubted = False
        self.doubt = ""
        """What is new about it, told once: it is there, and gives no sign."""

    def gone(self) -> str:
        """Why it seems that nobody drives the run; nothing while somebody does."""
        self.doubt = ""
        silent = self._silent()
        driving = self._journal.driving(self._row.id)
        if driving.zone:
            return self._of_workers(driving, silent)
        if driving.ours:
            holder = self._lock.holder()
            if holder is None or holder.get("run", self._row.id) != self._row.id:
                return f"its process on this machine is gone (it was begun by {self._row.owner})"
            words = (
                f"no sign of life of the run for {STILL:.0f}s, though its process"
                f" {holder.get('pid', '?')} is there: is it stopped?"
            )
            self._doubt(silent, words)
            return ""
        by = driving.by or self._row.owner
        return f"{by} has given no sign of life for {STILL:.0f}s: it seems dead" if silent else ""

    def _of_workers(self, driving: Driving, silent: bool) -> str:
        """Another worker goes on with it, unless it has come to where a person decides."""
        if silent and self._asks():
            return "a person decides how it goes on"
        where = f"a worker of zone {driving.zone}"
        gone = f"{driving.by} gives no sign of life: {where} takes it over when one is there"
        words = f"waits for {where}" if driving.free else gone
        self._doubt(silent, f"{words} (invoke workers)")
        return ""

    def _asks(self) -> bool:
        records = self._journal.recall(self._row.id)
        return bool(records) and records[-1].kind == NEEDS_PERSON

    def _doubt(self, silent: bool, words: str) -> None:
        if silent and not self._doubted:
            self.doubt = words
        self._doubted = silent

    def _silent(self) -> bool:
        beat, now = self._telling.beat(self._row.id), self._monotonic()
        if beat != self._beat:
            self._beat, self._since = beat, now
        return now - self._since > STILL


def _answer(row: RunRow) -> Answer:
    """As its owner's terminal shows it."""
    if row.report is None:
        raise BackoutError(f"run {row.id} has ended ({row.outcome}), and left no report")
    kind = "refused" if row.outcome in (Outcome.REFUSED, Outcome.TAKEN_OVER) else "run"
    return Answer(kind, Report.read(row.report), ExitCode(row.exit_code or 0))
