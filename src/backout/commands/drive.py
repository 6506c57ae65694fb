"""One run, driven by a worker in a process of its own: what `resume` does, under a new epoch.

It leaves nothing but what is in the journal and on the hosts, and acts
for whoever handed the run over.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from backout.adapters.local_lock import owner
from backout.adapters.person import act_as
from backout.commands import freezes, handover, main
from backout.commands.checkout import Checkout
from backout.commands.claiming import note_strange
from backout.commands.deploy import Operation
from backout.commands.freezes import BROKEN
from backout.commands.options import Options
from backout.commands.overheard import BEAT
from backout.commands.shipment import end_of
from backout.errors import BackoutError, Refused
from backout.model import Outcome, RunRow
from backout.model.people import Person
from backout.ports import BACK_OUT, GOES_ON, NEEDS_PERSON, RESCUED, Operator, Screen
from backout.project.freezing import target_of, thaw
from backout.project.project import Workplace
from backout.project.shared_ledger import name_of
from backout.reports.answer import Answer
from backout.reports.data import refused_report, run_report
from backout.reports.watched import Stopped
from backout.runs import picture
from backout.runs.decisions import Decisions, begun
from backout.runs.ended import Ended
from backout.runs.engine import Engine
from backout.runs.picture import Picture
from backout.runs.plan import Plan

SIGNS = 6.0
"""So many signs of life are given within the time after which a driver is gone."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Drive(Options):
    """The words of it, which nobody types."""

    name = "drive"
    room = "backout.commands.drive:Driving.drive"
    run: str = field(metadata={"help": "The run."})


def run(name: str) -> int:
    """In a process of its own: how it left."""
    sys.argv = ["invoke", "drive", name]
    return main.main(Drive(run=name))


class Driving:
    """One run that was handed over."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def drive(self, options: Drive) -> Answer:
        """Nothing where another one drives it, or it has ended. Raises Held where a process of this
        machine does, Foreign for a plan that this Backout does not know, and what a resume
        raises."""
        journal = self.workplace.journal
        row = journal.run(options.run)
        handed = handover.handed(self.workplace, row.id)
        worker = owner()
        act_as(Person.of(handed["who"]))
        operation = _Driven(self.workplace, _Unattended(self.screen, yes=handed["yes"]), worker)
        operation.going_on = row.going_on
        with operation.local_lock(row.target, row.id):
            seen = journal.driving(row.id)
            if not row.open or not (seen.free or seen.ours):
                return Answer("nothing", Stopped())
            target_of(row)  # what it does not know it leaves to a worker who does
            if not seen.ours:
                journal.claim(row.id, seen, seen.zone)
            return self._driven(operation, row, handed, ours=seen.ours)

    def _driven(
        self, operation: _Driven, row: RunRow, handed: Mapping[str, Any], *, ours: bool
    ) -> Answer:
        checkout: Checkout | None = None
        try:
            made = thaw(self.workplace, row)
            if handed.get("copy"):
                self._only_here(handed["copy"])
            else:
                checkout = Checkout(self.workplace, made.target, row.id, made.release.commit)
                self.workplace.move(checkout.made())
            if not ours:
                reach = operation.parts(made.target, row.id).reach
                note_strange(made.target, reach, Decisions(row.id, self.workplace.journal))
            self._hold(operation, row, made, handed)
        except BackoutError as error:
            return self._undriven(operation, row, error)
        try:
            self.workplace.journal_of(made.target).note(row.id, GOES_ON, {})
            return operation.run_engine(row, made, self._how(row))
        finally:
            self._tidy(row, checkout)

    def _only_here(self, copy: str) -> None:
        if name_of(self.workplace.state) != copy:
            raise Refused(
                f"{self.workplace.home} is not the working copy any more that it was asked for in",
                next="the same command again, in this one",
            )

    def _tidy(self, row: RunRow, checkout: Checkout | None) -> None:
        os.chdir(self.workplace.home)
        with suppress(BackoutError):
            if checkout and not self.workplace.journal.run(row.id).open:
                checkout.remove()

    def _hold(
        self, operation: Operation, row: RunRow, made: Plan, handed: Mapping[str, Any]
    ) -> None:
        """Before the first change: what is read here is what was read where it was asked for, and
        no freeze has begun meanwhile but one that was to be broken."""
        if self._begun(row):
            return
        records = self.workplace.journal.recall(row.id)
        reason = next((str(r.body["reason"]) for r in records if r.kind == BROKEN), None)
        freezes.refuse(self.workplace, made.target, reason)
        parts = operation.parts(made.target, row.id)
        then, now = {"files": handed["files"]}, {"files": picture.files(made, parts)}
        if handed.get("copy"):
            ships = "the commit that ships"
            then["commits"] = {ships: made.release.commit}
            now["commits"] = {ships: end_of(made.target, parts.reach(""))}
        if error := handover.moved(made.target, Picture(then), Picture(now)):
            raise error

    def _how(self, row: RunRow) -> Callable[[Engine], Ended]:
        rescued = [r.body for r in self.workplace.journal.recall(row.id) if r.kind == RESCUED]
        back = bool(rescued) and rescued[-1]["how"] == BACK_OUT
        return Engine.abort if back and self._begun(row) else Engine.resume

    def _begun(self, row: RunRow) -> bool:
        return begun(self.workplace.journal.recall(row.id))

    def _undriven(self, operation: _Driven, row: RunRow, error: BackoutError) -> Answer:
        """It cannot be driven here at all. What has changed something waits for a person; anything
        else is over."""
        journal = self.workplace.journal
        operation.sign(error)
        if self._begun(row):
            asked = {"why": error.what, "next": row.going_on, "hosts": []}
            journal.note(row.id, NEEDS_PERSON, asked)
            raise error
        now = datetime.now(UTC)
        ended = Ended(Outcome.REFUSED, error.exit_code, error.what)
        report = refused_report(
            run_report(
                run=row.id,
                verb=row.verb,
                target=row.target,
                runbook=row.runbook,
                started=row.started,
                ended=now,
                previous=None,
                made=None,
                outcome=ended,
                records=(),
            ),
            error,
        )
        journal.close_run(row.id, ended.outcome, ended.exit_code, report.to_data(), now)
        return Answer("refused", report, error.exit_code)


class _Driven(Operation):
    """The verbs that change a target, where a worker is at work."""

    def __init__(self, workplace: Workplace, screen: Screen, worker: str) -> None:
        super().__init__(workplace, screen)
        self.worker = worker
        self.screen.beat = min(BEAT, workplace.shared.workers.after / SIGNS)
        self.screen.heeds_all = True

    def sign(self, error: BackoutError) -> None:
        """Where it was refused: not where it was asked for."""
        error.state = f"{error.state}; it was to be driven by worker {self.worker}".lstrip("; ")

    def refused(self, row: RunRow, made: Plan, error: BackoutError) -> Answer:
        self.sign(error)
        return super().refused(row, made, error)


class _Nobody:
    """`ports.Operator`: nobody is there. What `--yes` answers was answered where it was said."""

    asking = False
    present = False

    def __init__(self, *, yes: bool) -> None:
        self._yes = yes

    def ask(self, question: str) -> str | None:  # noqa: ARG002 - the seam's form
        return None

    def line(self, question: str, over: Callable[[], bool]) -> str | None:  # noqa: ARG002 - likewise
        return None

    def confirm(self, question: str, *, typed: str = "") -> bool:  # noqa: ARG002 - likewise
        if not self._yes:
            raise Refused(f"not confirmed: {question}", where="nobody is asked at a worker")
        return True


class _Unattended:
    """`ports.Screen`: the worker's own, with nobody before it."""

    def __init__(self, screen: Screen, *, yes: bool) -> None:
        self.operator: Operator = _Nobody(yes=yes)
        self.live = False
        self.print, self.listen, self.over = screen.print, screen.listen, screen.over
        self.interrupted, self.left = screen.interrupted, screen.left
