"""The verbs that change nothing on a target: plan, verify, status, history, show, lint, unlock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from backout.adapters.local_lock import LocalLock
from backout.adapters.storage import chain
from backout.adapters.storage.approvals import Approvals
from backout.adapters.storage.line import Line, Waiter
from backout.checks import judging
from backout.commands import freezes, whose_ledger
from backout.commands.in_traffic import out_of_traffic
from backout.commands.ledger import by_their_word
from backout.commands.news import untold
from backout.commands.options import History as HistoryOptions
from backout.commands.options import Lint, Show, Status, Unlock, Verify
from backout.commands.status import differences, look_at
from backout.commands.subjects import commit_of, subjects
from backout.commands.unlock import Unlocking
from backout.config import loading
from backout.errors import BackoutError, Mistakes
from backout.model import Driving, Outcome, Release, RunRow, Target, Verdict
from backout.ports import Screen
from backout.project.project import TABLES, Workplace, aimed_at
from backout.reports.answer import Answer
from backout.reports.approvals import Asked, asked
from backout.reports.data import check_rows, freeze_broken, held_steps, stamp
from backout.reports.objects import Chain, ChainFault, History, HistoryLine, Linted
from backout.reports.report import VerifyReport, ends_of
from backout.reports.states import DayOfCheck, HostStatus, InLine, Statuses, StatusReport
from backout.reports.story import story
from backout.runs.holds import Hold, Holds, typed
from backout.runs.leasing import spent
from backout.runs.parts import side_by_side
from backout.runs.plan import large_first


class Inspection:
    """One verb that only looks."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    # --- health --------------------------------------------------------------------------

    def verify(self, options: Verify) -> Answer:
        target = self.workplace.target(options.target)
        machines = self.workplace.machines(target)
        current = self.workplace.journal.current(target.name)
        release = current.release if current else Release(0)
        look = machines.examine("verify", self.screen.listen)
        findings = look(options.check, tuple(target.hosts), (), release)
        verdict = judging.verdict(findings)
        following = _after_verify(target.name, verdict)
        told = VerifyReport(target.name, verdict, check_rows(findings), following)
        if options.junit:
            self._write_junit(Path(options.junit), told)
        return Answer("verify", told, told.exit_code)

    def _write_junit(self, path: Path, told: VerifyReport) -> None:
        from backout.reports.junit import verify_junit

        try:
            path.write_text(self.workplace.redact(verify_junit(told)), encoding="utf-8")
        except OSError as error:
            raise Mistakes(f"--junit {path}: {error.strerror}", where="command line") from error

    # --- status --------------------------------------------------------------------------

    def status(self, options: Status) -> Answer:
        name = aimed_at(options.target)
        names = [name] if name else self._deployed()
        rows = tuple(self._status(self.workplace.target(name)) for name in names)
        told = rows[0] if len(rows) == 1 else Statuses(rows)
        return Answer("status", told, 6 if any(row.differs for row in rows) else 0)

    def _deployed(self) -> list[str]:
        """Every target that has a run here. Raises Mistakes where none has."""
        return list(self.workplace.journal.targets()) or [self.workplace.target(None).name]

    def _status(self, target: Target) -> StatusReport:
        journal = self.workplace.journal
        current = journal.current(target.name)
        machines = self.workplace.machines(target)
        seen = side_by_side(
            lambda host: look_at(machines, host, partial(spent, journal)),
            tuple(target.hosts.values()),
        )
        hosts = dict(zip(target.hosts, seen, strict=True))
        open_run = journal.open_run_of(target.name)
        named = {name: row.run or "" for name, row in hosts.items()}
        newest = journal.newest_on(target.name, hosts)
        known = by_their_word(journal, target.name, named, newest)
        told = [name for name, row in hosts.items() if row.commit]
        code = journal.newest_on(target.name, told, code=True)
        strange = whose_ledger.strange(self.workplace, target)
        differs = [strange] if strange else []
        differs += [
            words
            for name, row in hosts.items()
            for words in differences(
                name, row, known.get(name), code.get(name), open_run, journal.over
            )
        ]
        alive = LocalLock(self.workplace.state, target.name).holder() is not None
        frozen = freezes.now(self.workplace, target)
        whose = journal.driving(open_run.id) if open_run else Driving()
        hold = self._hold(open_run)
        following = "" if alive else _after_status(target.name, open_run, hosts, bool(differs))
        if hold and open_run:
            following = "\n".join(typed(each, open_run.id) for each in hold.open)
        return StatusReport(
            target=target.name,
            release=current.release if current else None,
            known_good=bool(current and current.known_good),
            hosts=hosts,
            differs=tuple(differs),
            out_of_traffic=out_of_traffic(machines, journal, open_run.id if open_run else ""),
            unfinished=_unfinished(open_run, alive, whose) if open_run else None,
            held=held_steps([hold] if hold else ()),
            frozen=frozen.words if frozen else "",
            asked=self._asked(target.name, open_run),
            queue=self._queue(target.name),
            freeze_broken=freeze_broken(journal.recall(current.run)) if current else "",
            health=self._health(target),
            untold=untold(self.workplace, target),
            next=whose_ledger.NEXT if strange else following,
        )

    def _hold(self, open_run: RunRow | None) -> Hold | None:
        """What an unfinished run asks."""
        found = Holds.of(self.workplace.journal.recall(open_run.id)).last if open_run else None
        return found if found and found.open else None

    def _asked(self, target: str, open_run: RunRow | None) -> tuple[Asked, ...]:
        """What waits for somebody's yes: plans, and the step of a run that has not ended."""
        journal, run = self.workplace.journal, open_run.id if open_run else ""
        found, now = Approvals(journal).of_target(target), journal.clock()
        waiting = (
            each for each in found if each.is_open(now) and (each.id == run or not each.step)
        )
        return tuple(asked(each, now) for each in waiting)

    def _queue(self, target: str) -> tuple[InLine, ...]:
        return in_line(Line(self.workplace.journal, target, time.monotonic).look())

    def _health(self, target: Target) -> tuple[DayOfCheck, ...]:
        """The last day of every check, when somebody watches here."""
        from backout.watch import sparkline
        from backout.watch.stores import is_there, open_store

        if not is_there(self.workplace):
            return ()

        with open_store(self.workplace, self.workplace.redact) as store:
            return sparkline.rows(target, store, datetime.now(UTC).timestamp())

    # --- the past ------------------------------------------------------------------------

    def history(self, options: HistoryOptions) -> Answer:
        name = aimed_at(options.target)
        target = self.workplace.target_name(name) if name else None
        if options.check:
            return self._chain(target)
        rows = self.workplace.journal.runs(target, limit=50)
        if name and not rows:
            self.workplace.target_file(name)  # that there is such a target
        said = subjects(rows)
        runs = tuple(_line(row, said.get(commit_of(row), "")) for row in rows)
        return Answer("history", History(runs))

    def _chain(self, target: str | None) -> Answer:
        """Whether the records of every run are those that were written."""
        self.workplace.journal.refuse_damaged()
        runs = self.workplace.journal.runs(target, limit=-1)
        found = self.workplace.journal.look(lambda db: list(chain.faults(db, target)))
        faults = tuple(ChainFault(run, what) for run, what in found)
        return Answer("chain", Chain(target, len(runs), faults), 6 if faults else 0)

    def show(self, options: Show) -> Answer:
        journal = self.workplace.journal
        row = journal.run(options.run)
        going_on = self.workplace.going_on(row)
        return Answer("show", story(row, journal.recall(row.id), going_on))

    # --- files ---------------------------------------------------------------------------

    def lint(self, _: Lint) -> Answer:
        mistakes = loading.lint(self.workplace.root, TABLES)
        if mistakes:
            raise Mistakes(mistakes=mistakes, next="mend these lines, then invoke lint")
        runbooks, inventories = (
            len(loading.names(self.workplace.root / folder))
            for folder in ("runbooks", "inventories")
        )
        return Answer("lint", Linted(runbooks, inventories, notes=tuple(self._notes())))

    def _notes(self) -> Iterator[str]:
        """What is no mistake, and may cost something. What others only extend is not whole."""
        for name in loading.names(self.workplace.root / "inventories"):
            with suppress(BackoutError):
                if words := large_first(self.workplace.target(name)):
                    yield words

    # --- the lock ------------------------------------------------------------------------

    def unlock(self, options: Unlock) -> Answer:
        return Unlocking(self.workplace, self.screen, options).answer()


def in_line(waiting: Sequence[Waiter]) -> tuple[InLine, ...]:
    """Those who wait for a target, in order."""
    return tuple(
        InLine(n, w.person, w.machine, w.waits_for, stamp(w.since))
        for n, w in enumerate(waiting, start=1)
    )


def _line(row: RunRow, subject: str) -> HistoryLine:
    return HistoryLine(
        run=row.id,
        target=row.target,
        verb=row.verb,
        runbook=row.runbook,
        outcome=Outcome(row.outcome) if row.outcome else None,
        exit_code=row.exit_code,
        started_at=stamp(row.started),
        seconds=(row.ended - row.started).total_seconds() if row.ended else None,
        ends=ends_of(row),
        by=row.owner,
        subject=subject,
        marks=tuple(_marks(row.report or {})),
    )


def _marks(report: Mapping[str, Any]) -> Iterator[str]:
    if report.get("freeze_broken"):
        yield "freeze broken"
    for by in report.get("approved_by", ()):
        yield f"approved by {by.partition(' ')[0]}"


def _after_verify(target: str, verdict: Verdict) -> str:
    return "" if verdict is Verdict.PASS else f"invoke status --target {target}"


def _unfinished(row: RunRow, alive: bool, whose: Driving) -> str:
    by = "" if whose.ours else f", in the hands of {whose.by}"
    return f"run {row.id} ({row.verb}){', at work on this machine now' if alive else by}"


def _after_status(
    target: str, unfinished: RunRow | None, hosts: Mapping[str, HostStatus], differs: bool
) -> str:
    if unfinished:
        return unfinished.going_on
    if any(row.unfinished for row in hosts.values()):
        return (
            f"invoke resume --target {target}, or invoke abort --target {target}: where it was"
            " started, or here, which takes it over"
        )
    return f"invoke deploy --target {target}" if differs else ""
