"""The verbs that change a target: deploy, run, rollback, resume, abort."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from backout.adapters.local_lock import LocalLock, owner
from backout.adapters.own_directory import refuse_tracked
from backout.adapters.storage.journal import RunJournal
from backout.adapters.storage.store import silent
from backout.commands import saved_plan, whose_ledger
from backout.commands.afterwards import advice_of, as_it_stands, following
from backout.commands.claiming import claim
from backout.commands.consent import Consent
from backout.commands.going_back import GoingBack
from backout.commands.ledger import refuse_moved
from backout.commands.news import News, about_rollback, about_run, person, taken_back, telling
from backout.commands.options import Abort, Deploy, Resume, Rollback, Run, Shipping, Starting
from backout.commands.options.base import shown_to
from backout.commands.overheard import Overheard
from backout.commands.planning import load_pair, new_run, refuse_example
from backout.commands.saved_plan import SavedPlan
from backout.commands.shipment import shipment
from backout.commands.signals import interruptible
from backout.commands.start import Start, Wanted
from backout.commands.takeover import Takeover
from backout.config import loading
from backout.errors import (
    BackoutError,
    ExitCode,
    Held,
    Interrupted,
    Mistakes,
    Refused,
    TakenOver,
)
from backout.model import Event, Outcome, Release, Runbook, RunRow, Target
from backout.model.operands import at_home
from backout.ports import GOES_ON, NEEDS_PERSON, Screen
from backout.project import needs
from backout.project.freezing import thaw
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import again, refused_report, run_report
from backout.reports.report import Report
from backout.reports.ships_text import commit_lines, ships_lines
from backout.runs import rollback
from backout.runs.decisions import Stop, stays_open
from backout.runs.destination import Return
from backout.runs.ended import Ended
from backout.runs.engine import Engine
from backout.runs.parts import Parts
from backout.runs.plan import Plan

Words = Mapping[str, Any]
Going = Callable[[rollback.Rollback], Ended]
"""What is done with a rollback: on with it, or forward again."""
BY_ITSELF = "by itself: checks went bad while the release baked"
"""What people are told of a rollback that nobody typed."""


class Operation:
    """One verb that changes a target, for one operator at one screen."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = Overheard(screen)
        self.back = GoingBack(workplace, self.screen)
        self.stop = Stop()
        self.going_on = ""
        """What goes on with the run, once it is on record."""
        self.leaves = False
        """Whether a run that is held is left to others where nobody is asked here."""
        self.whole = False
        """Whether all that commands write is told while they run."""
        self.news: News | None = None
        """Who is told of the run that is under way."""

    # --- the verbs -----------------------------------------------------------------------

    def deploy(self, options: Deploy) -> Answer:
        if options.plan is not None:
            return self._as_planned(options, options.plan)
        return self._start("deploy", "deploy", options)

    def run(self, options: Run) -> Answer:
        if not options.runbook:
            known = ", ".join(loading.names(self.workplace.root / "runbooks")) or "none"
            raise Mistakes(f"which runbook? runbooks/ has: {known}", where="command line")
        return self._start("run", options.runbook, options)

    def resume(self, options: Resume) -> Answer:
        self.whole = options.follow
        return self._continue("resume", options.target, shown_to(options))

    def abort(self, options: Abort) -> Answer:
        self.whole = options.follow
        return self._continue("abort", options.target, shown_to(options))

    def rollback(self, options: Rollback, *, only: str = "") -> Answer:
        """With `only`, that run and no other is taken back, or nothing is."""
        self.whole = options.follow
        target = self.back.target(options.target)
        run = new_run()
        with self.local_lock(target.name, run):
            self.nothing_open(target.name)
            if shown := shown_to(options):
                refuse_moved(self.workplace.journal, target.name, shown)
            whose_ledger.refuse(self.workplace, target, self.screen.operator)
            if not only and target.hosts:
                Takeover(self.workplace, self.screen, target).history()
            back = self.back.to(target, run, options.to, only)
            because = BY_ITSELF if only else ""
            told = {"ships": taken_back(back, self._rolled_from), "because": because}
            row = self.open(back.run, "rollback", back.undoing[0], _rollback_record(back), told)
            return self._run_rollback(row, back, rollback.Rollback.run)

    # --- starting ------------------------------------------------------------------------

    def _start(self, verb: str, runbook_name: str, options: Deploy | Run) -> Answer:
        self.whole = options.follow
        return self.start(verb, *self.ready(options, runbook_name), options)

    def _as_planned(self, options: Deploy, file: str) -> Answer:
        """What a saved plan says, or nothing."""
        self.whole = options.follow
        saved = saved_plan.read(self.workplace.started_in / at_home(file))
        vault = self.workplace.vault(self.workplace.target(saved.words.target))
        words = saved_plan.again(saved, options, vault.reveal)
        verb = "deploy" if saved.words.runbook == "deploy" else "run"
        return self.start(verb, *self.ready(words, saved.words.runbook), words, saved)

    def ready(
        self, options: Shipping, runbook_name: str
    ) -> tuple[Target, Runbook, Mapping[str, Any]]:
        """What a run is started with. Raises Mistakes, and Refused for what can not be run."""
        target, runbook, params = load_pair(self.workplace, options, runbook_name)
        refuse_example(target)
        needs.refuse_missing((*needs.of_target(target), *needs.of_runbook(runbook)), target.name)
        return self.workplace.ensure_sample(target), runbook, params

    def start(
        self,
        verb: str,
        target: Target,
        runbook: Runbook,
        params: Mapping[str, Any],
        options: Starting,
        saved: SavedPlan | None = None,
    ) -> Answer:
        """A new run of that runbook, from its lock to its report; of what is `saved`, or of
        nothing."""
        return Start(self, Wanted(verb, target, runbook, params, options, saved)).answer()

    def say_what_ships(self, made: Plan, ref: str | None) -> list[str]:
        """And hand back the commits, for whoever is told of the run."""
        here = self.workplace.machines(made.target).reach("")
        ships = replace(shipment(made.target, here, made.previous, ref), unknown="")
        lines = ships_lines(ships)
        told = [("phase", "what ships"), *(("note", line) for line in lines)] if lines else []
        for kind, text in told:
            self.screen.listen(Event(datetime.now(UTC), kind, text))
        return commit_lines(ships)

    def _continue(self, verb: str, target: str | None, shown: str = "") -> Answer:
        """The unfinished run; the one that was `shown`, or none."""
        target_name = _named(self.workplace, target)
        journal = self.workplace.journal
        forward = verb == "resume"
        row = journal.open_run_of(target_name) or self.elsewhere(target_name, forward=forward)
        if row is None or shown not in ("", row.id):
            raise Refused(
                f"run {shown} has ended" if row else f"{target_name} has no unfinished run",
                next=f"invoke status --target {target_name}",
            )
        self.going_on, self.leaves = row.going_on, True
        with self.local_lock(target_name, row.id):
            if row.verb == "rollback":
                going = rollback.Rollback.run if forward else rollback.Rollback.abort
                return self._rollback_again(row, going)
            made = thaw(self.workplace, row)
            self._taken_on(row, made.target, forward=forward)
            return self.run_engine(row, made, Engine.resume if forward else Engine.abort)

    def elsewhere(self, target: str, *, forward: bool) -> RunRow | None:
        """An unfinished run of another machine, which only the hosts know."""
        found = self.workplace.target(target)
        takeover = Takeover(self.workplace, self.screen, found)
        return takeover.unfinished(forward=forward) if found.hosts else None

    def _rollback_again(self, row: RunRow, go: Going) -> Answer:
        back = self.back.again(row)
        self._taken_on(row, back.target, forward=False)
        return self._run_rollback(row, back, go)

    def _taken_on(self, row: RunRow, target: Target, *, forward: bool) -> None:
        """This machine goes on with it, with all that can be known of it."""
        claim(self.workplace, self.screen, row, target, forward=forward)
        Takeover(self.workplace, self.screen, target).completed(row.id)
        self.workplace.journal_of(target).note(row.id, GOES_ON, {})

    def open(self, run: str, verb: str, made: Plan, frozen: Words, told: Words) -> RunRow:
        journal = self.workplace.journal_of(made.target)
        journal.open_run(
            run,
            made.target.name,
            verb,
            made.runbook.name,
            frozen,
            owner(),
            datetime.now(UTC),
            {"argv": sys.argv[1:], **told},
        )
        row = journal.run(run)
        self.going_on = row.going_on
        return row

    @contextmanager
    def local_lock(self, target: str, run: str) -> Iterator[None]:
        """No other process here has the target, and signals are the run's."""
        refuse_tracked(self.workplace.state)
        lock = LocalLock(self.workplace.state, target)
        with lock.hold(run), interruptible(self.stop, self.screen, lambda: self.going_on):
            yield

    def nothing_open(self, target: str) -> None:
        row = self.workplace.journal.open_run_of(target)
        if row is not None:
            driving = self.workplace.journal.driving(row.id)
            whose = "" if driving.ours else f", in the hands of {driving.by},"
            raise Held(
                f"run {row.id} ({row.verb}) of {target}{whose} is unfinished",
                state="it is journaled, and holds the target until it is finished or backed out",
                next=row.going_on,
            )

    # --- running -------------------------------------------------------------------------

    @property
    def _follow(self) -> str:
        """What is told of a command while it runs; see `Workplace.parts`."""
        return "whole" if self.whole else "last" if self.screen.live else ""

    def _followed(self, target: Target, run: str) -> AbstractContextManager[None]:
        """Meanwhile others can follow the run, and stop it."""
        return self.screen.followed(self.workplace.journal_of(target), run, self.stop)

    def _await_ledger(self, row: RunRow) -> None:
        """A ledger that is gone is awaited from now on: a run is under way."""

        def warn(text: str) -> None:
            self.screen.listen(Event(datetime.now(UTC), "warning", text))

        self.workplace.journal.under_way(warn, row.going_on)

    def run_engine(self, row: RunRow, made: Plan, go: Callable[[Engine], Ended]) -> Answer:
        about, listen = about_run(row, made), self.screen.listen
        with telling(self.workplace, row, made.target, about, listen) as self.news:
            return self._engine_run(row, made, go)

    def _engine_run(self, row: RunRow, made: Plan, go: Callable[[Engine], Ended]) -> Answer:
        self._await_ledger(row)
        parts = self.parts(made.target, row.id)
        engine = Engine(made, parts, Consent(self.workplace, row))
        try:
            with self._followed(made.target, row.id):
                ended = go(engine)
        except Interrupted as error:
            raise as_it_stands(error, engine.worker.saga) from error
        except (Refused, Held) as error:
            return self.refused(row, made, error)
        report = self._report(row, made, ended, engine.worker.release)
        self._settle(row, made, ended, report)
        return Answer("run", report, ended.exit_code)

    def _run_rollback(self, row: RunRow, back: Return, go: Going) -> Answer:
        about = about_rollback(row, back, self._rolled_from(back.undoing[0]))
        with telling(self.workplace, row, back.target, about, self.screen.listen) as self.news:
            return self._rollback_run(row, back, go)

    def _rollback_run(self, row: RunRow, back: Return, go: Going) -> Answer:
        self._await_ledger(row)
        parts = self.parts(back.target, row.id)
        if back.remark:
            self.screen.listen(Event(datetime.now(UTC), "warning", back.remark))
        going = rollback.Rollback(back, parts)
        try:
            with self._followed(back.target, row.id):
                ended = go(going)
        except Interrupted as error:
            raise as_it_stands(error, going.saga) from error
        except (Refused, Held) as error:
            return self.refused(row, back.undoing[0], error)
        ended = replace(ended, advice=ended.advice or back.remark)
        report = self._report(row, back.undoing[0], ended, back.to)
        self._settle(row, back.undoing[0], ended, report)
        return Answer("run", report, ended.exit_code)

    def parts(self, target: Target, run: str) -> Parts:
        return self.workplace.parts(
            target,
            run,
            self.screen.listen,
            self.screen.operator,
            self.stop,
            self._follow,
            self.news.announce if self.news else silent,
            leaves=self.leaves,
        )

    def _journal(self, target: Target) -> RunJournal:
        """As the target sees it; people are told of what is recorded."""
        return self.workplace.journal_of(target).told_by(
            self.news.announce if self.news else silent
        )

    def _settle(self, row: RunRow, made: Plan, ended: Ended, report: Report) -> None:
        """It is over, or it stays open until a person has done something."""
        if ended.exit_code != ExitCode.INCOMPLETE:
            self._close(row, made, ended, report)
            return
        with suppress(BackoutError):  # what it says of itself matters more
            self._journal(made.target).note(row.id, NEEDS_PERSON, person(report))

    def refused(self, row: RunRow, made: Plan, error: BackoutError) -> Answer:
        """Nothing was changed by this process. A run that had changed something stays open, unless
        it is another machine's by now."""
        journal = self.workplace.journal
        stays = stays_open(journal.recall(row.id))
        outcome = Outcome.INTERRUPTED if stays else Outcome.REFUSED
        if isinstance(error, TakenOver):
            outcome, stays = Outcome.TAKEN_OVER, not journal.driving(row.id).ours
            if journal.shared and not stays:
                error = TakenOver(
                    f"{error.what}, which the ledger does not know: is it an older copy?",
                    where=error.where,
                    state=error.state,
                    next=error.next,
                )
        ended = Ended(outcome, error.exit_code, error.what)
        report = refused_report(self._report(row, made, ended, None), error)
        if not stays:
            self._close(row, made, ended, report)
        return Answer("refused", report, error.exit_code)

    def _close(self, row: RunRow, made: Plan, ended: Ended, report: Report) -> None:
        """The run is history. The journal has what it printed, without its secrets."""
        now = datetime.now(UTC)
        journal = self._journal(made.target)
        journal.close_run(row.id, ended.outcome, ended.exit_code, report.to_data(), now)
        self.workplace.forget_output(row.id)

    def _report(self, row: RunRow, made: Plan, ended: Ended, release: Release | None) -> Report:
        previous = self._rolled_from(made) if row.verb == "rollback" else made.previous
        records = self.workplace.journal_of(made.target).recall(row.id)
        return run_report(
            run=row.id,
            verb=row.verb,
            target=row.target,
            runbook=row.runbook,
            started=row.started,
            ended=datetime.now(UTC),
            previous=previous,
            made=release,
            outcome=ended,
            records=records,
            advice=advice_of(made.runbook, ended),
            next=following(row, made.target.name, ended, again(records)),
        )

    def _rolled_from(self, newest: Plan) -> Release:
        """The release that the newest run made which a rollback undoes."""
        made = self.workplace.journal.release_of(newest.target.name, newest.run)
        return made.release if made else newest.release


def _named(workplace: Workplace, target: str | None) -> str:
    """The target's name, also when its file is broken or gone: the journal knows it."""
    name = workplace.aimed(target)
    if name and workplace.journal.open_run_of(name):
        return name
    return workplace.target(target).name


def _rollback_record(back: Return) -> dict[str, Any]:
    return {
        "undoing": [made.run for made in back.undoing],
        "to": {"number": back.to.number, "commit": back.to.commit},
        "crossing": list(back.crossing),
        "one_way": not back.hosts,
    }
