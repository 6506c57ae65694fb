"""A new run, from the wish to begin it to its report: frozen? whose turn? who agrees?"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from backout.adapters.local_lock import LocalLock, owner
from backout.adapters.standings import held, standings
from backout.commands import freezes, handover, rehearsals, whose_ledger
from backout.commands.asking import Asking, Unapproved, foretold, tell
from backout.commands.chosen import know_secrets
from backout.commands.consent import Consent
from backout.commands.handover import Along, HandOver
from backout.commands.held import refuse_unattended
from backout.commands.news import about_run, telling
from backout.commands.options import Starting
from backout.commands.planning import build, new_run
from backout.commands.saved_plan import SavedPlan
from backout.commands.waiting import APPROVAL, Waiting, patience
from backout.errors import BackoutError, ExitCode, Held, Refused, Unreachable
from backout.model import Event, Outcome, Runbook, RunRow, Target
from backout.model.people import Request
from backout.project.freezing import freeze
from backout.reports.answer import Answer
from backout.reports.data import refused_report, run_report
from backout.reports.plans import PlanReport
from backout.reports.ships_text import commit_lines
from backout.runs.discreet import secrets_of
from backout.runs.ended import Ended
from backout.runs.engine import Engine
from backout.runs.plan import Plan

if TYPE_CHECKING:
    from backout.commands.deploy import Operation

REHEARSE = "rehearse"
"""The verb that nothing is asked to have been rehearsed for."""
HOSTS = 5.0
"""Seconds between two looks at the leases of the hosts."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run."""

    verb: str
    target: Target
    runbook: Runbook
    params: Mapping[str, Any]
    options: Starting
    saved: SavedPlan | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A run in the ledger, on its way to workers."""

    by: HandOver
    row: RunRow
    along: Along


class Start:
    """Begins one run, now or when it is its turn."""

    def __init__(self, operation: Operation, wanted: Wanted) -> None:
        self.operation = operation
        self.workplace, self.screen = operation.workplace, operation.screen
        self.wanted, self.target = wanted, wanted.target
        self.hand_over: HandOver | None = None
        """To workers, where they are to drive it."""
        self._hosts_seen: tuple[float, Held | None] = (-HOSTS, None)

    def answer(self) -> Answer:
        """Raises Refused and Held."""
        options = self.wanted.options
        refuse_unattended(options, self.target, self.screen.operator)
        freezes.refuse(self.workplace, self.target, options.break_freeze)
        whose_ledger.refuse(self.workplace, self.target, self.screen.operator)
        if self.wanted.verb != REHEARSE:
            rehearsals.refuse(self.workplace, self.target, self.wanted.runbook)
        if handover.wanted(self.workplace, options, attended=self.screen.operator.present):
            self.hand_over = HandOver.of(self.operation, options, self.target)
        elif not (options.wait or self.target.protection.approvals):
            self.workplace.machines(self.target).call_ahead()
        limit = patience(options.wait)
        with Waiting(self.workplace, self.screen, self.target.name, limit) as waiting:
            while True:
                answer = self._attempt(waiting)
                if isinstance(answer, Answer):
                    return answer
                if isinstance(answer, Opened):
                    return answer.by.done(answer.row, answer.along)
                waiting.until(_once(answer), "lock")

    def _attempt(self, waiting: Waiting) -> Answer | Opened | Held:
        """Held only where that is waited for."""
        waiting.turn(self._busy)
        run = new_run()
        if self.target.protection.approvals:
            self._agreed(run, waiting)
            waiting.turn(self._busy)
        try:
            answer = self._begin(run, waiting)
        except Held as error:
            if waiting.patience is None:
                raise
            return error
        if isinstance(answer, Opened):
            return answer
        again = answer.exit_code == ExitCode.HELD and waiting.patience is not None
        return Held(f"{self.target.name} is held", where=self.target.name) if again else answer

    def _begin(self, run: str, waiting: Waiting) -> Answer | Opened:
        wanted, operation = self.wanted, self.operation
        broken = freezes.refuse(self.workplace, self.target, wanted.options.break_freeze)
        with operation.local_lock(self.target.name, run):
            operation.nothing_open(self.target.name)
            made = self._plan(run, self.workplace.journal.next_number(self.target.name))
            if not self.hand_over:  # else they are fetched where it is driven
                know_secrets(self.workplace, made.target, secrets_of(made))
            along = self.hand_over.look(made) if self.hand_over else None
            ships = operation.say_what_ships(made, wanted.options.ref)
            told = {"ships": ships, "break_freeze": broken.get("reason", "")}
            row = operation.open(made.run, wanted.verb, made, freeze(made), told)
            waiting.leave()
            self._say_broken(row, broken)
            if wanted.saved:
                Consent(self.workplace, row).hold_to(wanted.saved, self.target)
            if self.hand_over and along:
                return self._opened(self.hand_over, row, made, along)
            return operation.run_engine(row, made, Engine.deploy)

    def _opened(self, by: HandOver, row: RunRow, made: Plan, along: Along) -> Answer | Opened:
        try:
            by.confirmed(row, made)
        except Refused as error:
            return self.operation.refused(row, made, error)
        return Opened(by, row, along)

    def _plan(self, run: str, number: int) -> Plan:
        wanted = self.wanted
        return build(
            self.workplace,
            wanted.options,
            wanted.verb,
            self.target,
            wanted.runbook,
            wanted.params,
            number,
            run,
        )

    def _say_broken(self, row: RunRow, broken: Mapping[str, str]) -> None:
        """A freeze that is broken is on record before anything else is."""
        if broken:
            self.workplace.journal.note(row.id, freezes.BROKEN, broken)
            words = f"the freeze {broken['freeze']} is broken by {broken['by']}: {broken['reason']}"
            self.screen.listen(Event(datetime.now(UTC), "warning", words))

    # --- what is in the way ----------------------------------------------------------------

    def _busy(self) -> Held | None:
        """Who holds the target, as far as can be seen without holding it."""
        name = self.target.name
        if alive := LocalLock(self.workplace.state, name).refusal():
            return alive
        try:
            self.operation.nothing_open(name)
        except Held as error:
            return error
        return self._held_on_hosts()

    def _held_on_hosts(self) -> Held | None:
        at, known = self._hosts_seen
        if time.monotonic() - at < HOSTS:
            return known
        machines = self.workplace.machines(self.target)
        found: Held | None = None
        for name in self.target.hosts:
            try:
                (standing,) = standings([machines.reach(name)])
            except Unreachable:
                continue
            if not standing.free:
                found = held(standing, self.target.name)
                break
        self._hosts_seen = (time.monotonic(), found)
        return found

    # --- who agrees ------------------------------------------------------------------------

    def _agreed(self, run: str, waiting: Waiting) -> None:
        """Raises Refused where nobody else has said yes to exactly this plan."""
        made = self._plan(run, self.workplace.journal.peek_number(self.target.name))
        parts = self.operation.parts(made.target, run)
        told, picture = foretold(self.workplace, made, parts, self.wanted.options.ref)
        if Asking(self.workplace, self.target).granted(picture.digest):
            return
        row = self._row(made, told)
        about, listen = about_run(row, made), self.screen.listen
        with telling(self.workplace, row, self.target, about, listen) as news:
            asking = Asking(self.workplace, self.target, news.announce)
            request = asking.ask(run, self.wanted.verb, picture, told)
            tell(self.screen, request)
            try:
                waiting.until(partial(_missing, asking, request), APPROVAL)
            except Refused as error:
                if request.id == run:
                    self._on_record(row, made, error)
                raise

    def _row(self, made: Plan, told: PlanReport) -> RunRow:
        """A run that has not begun."""
        return RunRow(
            id=made.run,
            target=self.target.name,
            verb=self.wanted.verb,
            runbook=made.runbook.name,
            plan=freeze(made),
            owner=owner(),
            started=datetime.now(UTC),
            options={
                "argv": sys.argv[1:],
                "ships": commit_lines(told.ships) if told.ships else [],
            },
        )

    def _on_record(self, row: RunRow, made: Plan, error: BackoutError) -> None:
        """A run that never began, in the history."""
        report = run_report(
            run=row.id,
            verb=row.verb,
            target=row.target,
            runbook=row.runbook,
            started=row.started,
            ended=datetime.now(UTC),
            previous=made.previous,
            made=None,
            outcome=Ended(Outcome.REFUSED, error.exit_code, error.what),
            records=(),
        )
        ended = replace(
            row,
            ended=datetime.now(UTC),
            outcome=Outcome.REFUSED,
            exit_code=error.exit_code,
            report=refused_report(report, error).to_data(),
        )
        self.workplace.journal_of(self.target).look_back(ended, ())


def _missing(asking: Asking, request: Request) -> Unapproved | None:
    """Raises Refused where it can come to nothing any more."""
    if asking.is_granted(request.id):
        return None
    return Unapproved(asking.of(request.id) or request)


def _once(error: Held) -> partial[Held | None]:
    """An obstacle that is there when it is looked at first, and not again."""
    found = [error]
    return partial(lambda: found.pop() if found else None)
