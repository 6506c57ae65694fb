"""The verbs that change nothing on a target: plan, verify, status, history, show, lint, unlock."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from backout.adapters.local_lock import LocalLock
from backout.adapters.storage import chain
from backout.checks import judging
from backout.commands import planning, rehearsals, saved_plan
from backout.commands.chosen import hide_secrets
from backout.commands.consent import picture_of
from backout.commands.news import untold
from backout.commands.options import Diff, Lint, Show, Status, Unlock, Verify
from backout.commands.options import History as HistoryOptions
from backout.commands.options import Plan as PlanOptions
from backout.commands.preview import Preview, Unasked, command_line
from backout.commands.shipment import shipment
from backout.commands.status import differences, look_at
from backout.commands.subjects import commit_of, subjects
from backout.commands.unlock import Unlocking
from backout.config import loading
from backout.errors import Mistakes
from backout.model import Outcome, Release, RunRow, Target, Verdict
from backout.ports import Screen
from backout.project.project import TABLES, Workplace
from backout.reports.answer import Answer
from backout.reports.data import check_rows, stamp
from backout.reports.objects import Chain, ChainFault, History, HistoryLine, Linted
from backout.reports.plans import Difference, Ships
from backout.reports.report import VerifyReport, ends_of
from backout.reports.states import DayOfCheck, HostStatus, Statuses, StatusReport
from backout.reports.story import story
from backout.runs.decisions import Stop
from backout.runs.plan import Plan
from backout.runs.worker import Parts, side_by_side

WORDS = "command line"
NO_SAMPLE = "the sample application is not there yet: the first deploy makes it"


class Inspection:
    """One verb that only looks."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    # --- plan ----------------------------------------------------------------------------

    def plan(self, options: PlanOptions) -> Answer:
        name = options.runbook or "deploy"
        target, runbook, params = planning.load_pair(self.workplace, options, name)
        target = self.workplace.on_its_port(target)
        lacks_sample = self.workplace.lacks_sample(target)
        offline = options.offline or lacks_sample
        if not offline:
            planning.refuse_example(target)
        number = self.workplace.journal.peek_number(target.name)
        made = planning.build(
            self.workplace,
            options,
            "plan",
            target,
            runbook,
            params,
            number,
            planning.new_run(),
        )
        parts = self.workplace.parts(
            target, made.run, self.screen.listen, self.screen.operator, Stop()
        )
        parts = replace(parts, reach=lambda name: Unasked(target, name)) if offline else parts
        told = Preview(made, parts, offline=offline).report()
        found = rehearsals.newest(self.workplace.journal, runbook, datetime.now(UTC))
        notes = ([NO_SAMPLE] if lacks_sample else []) + ([rehearsals.words(found)] if found else [])
        digest, saved = self._saved(options, made, parts, refused=bool(told.refused))
        line = partial(command_line, options=options, target=target.name)
        told = replace(
            told,
            ships=self._ships(target, options.ref),
            notes=(*told.notes, *notes),
            rehearsed=found,
            digest=digest,
            saved=saved,
            next=f"invoke deploy --plan {shlex.quote(saved)}"
            if saved
            else f"mend what is refused above, then {line('plan', name)}"
            if told.refused
            else planning.out_of_the_example(target)
            if target.example
            else line("deploy" if name == "deploy" else "run", name),
        )
        return Answer("plan whole" if options.verbose else "plan", told, 3 if told.refused else 0)

    def _saved(
        self, options: PlanOptions, plan: Plan, parts: Parts, *, refused: bool
    ) -> tuple[str, str]:
        """The plan's digest and the file that it is saved in, where that is wanted. Raises
        Mistakes, and Refused for a plan that cannot be had whole."""
        if not options.out:
            return "", ""
        if options.offline:
            raise Mistakes("--out needs an answer of every host: without --offline", where=WORDS)
        if refused:
            return "", ""
        hide_secrets(self.workplace, plan.target, self.screen)
        picture = picture_of(self.workplace, plan, parts)
        words = saved_plan.Words.of(options, plan.target.name, plan.runbook.name)
        hidden = json.loads(self.workplace.journal_of(plan.target).text_of(asdict(words)))
        saved_plan.write(
            self.workplace.started_in / Path(options.out).expanduser(), hidden, picture
        )
        return picture.digest, options.out

    # --- health --------------------------------------------------------------------------

    def diff(self, options: Diff) -> Answer:
        target = self.workplace.target(options.target)
        ships = self._ships(target, options.ref)
        return Answer("diff", Difference(target=target.name, **_parts(ships)))

    def _ships(self, target: Target, ref: str | None) -> Ships:
        current = self.workplace.journal.current(target.name)
        here = self.workplace.machines(target).reach("")
        return shipment(target, here, current.release if current else None, ref)

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
        from backout.reports.checks_text import verify_junit

        try:
            path.write_text(self.workplace.redact(verify_junit(told)), encoding="utf-8")
        except OSError as error:
            raise Mistakes(f"--junit {path}: {error.strerror}", where="command line") from error

    # --- status --------------------------------------------------------------------------

    def status(self, options: Status) -> Answer:
        names = [options.target] if options.target else self._deployed()
        rows = tuple(self._status(self.workplace.target(name)) for name in names)
        told = rows[0] if len(rows) == 1 else Statuses(rows)
        return Answer("status", told, 6 if any(row.differs for row in rows) else 0)

    def _deployed(self) -> list[str]:
        """Every target that has a run here, or the one that BACKOUT_TARGET names."""
        return list(self.workplace.journal.targets()) or [self.workplace.target(None).name]

    def _status(self, target: Target) -> StatusReport:
        journal = self.workplace.journal
        current = journal.current(target.name)
        machines = self.workplace.machines(target)
        seen = side_by_side(lambda host: look_at(machines, host), tuple(target.hosts.values()))
        hosts = dict(zip(target.hosts, seen, strict=True))
        open_run = journal.open_run_of(target.name)
        known = journal.newest_on(target.name, hosts)
        told = [name for name, row in hosts.items() if row.commit]
        code = journal.newest_on(target.name, told, code=True)
        differs = [
            words
            for name, row in hosts.items()
            for words in differences(name, row, known.get(name), code.get(name), open_run)
        ]
        alive = LocalLock(self.workplace.state, target.name).holder() is not None
        return StatusReport(
            target=target.name,
            release=current.release if current else None,
            known_good=bool(current and current.known_good),
            hosts=hosts,
            differs=tuple(differs),
            unfinished=_unfinished(open_run, alive) if open_run else None,
            health=self._health(target),
            untold=untold(self.workplace, target),
            next="" if alive else _after_status(target.name, open_run, hosts, bool(differs)),
        )

    def _health(self, target: Target) -> tuple[DayOfCheck, ...]:
        """The last day of every check, when somebody watches here."""
        if not (self.workplace.state / "health.db").exists():
            return ()
        from backout.watch import sparkline
        from backout.watch.process import open_store

        with open_store(self.workplace, self.workplace.redact) as store:
            return sparkline.rows(target, store, datetime.now(UTC).timestamp())

    # --- the past ------------------------------------------------------------------------

    def history(self, options: HistoryOptions) -> Answer:
        name = options.target
        target = self.workplace.target_name(name) if name else None
        if options.check:
            return self._chain(target)
        rows = self.workplace.journal.runs(target, limit=50)
        said = subjects(rows)
        runs = tuple(_line(row, said.get(commit_of(row), "")) for row in rows)
        return Answer("history", History(runs))

    def _chain(self, target: str | None) -> Answer:
        """Whether the records of every run are those that were written."""
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
        return Answer("lint", Linted(runbooks, inventories))

    # --- the lock ------------------------------------------------------------------------

    def unlock(self, options: Unlock) -> Answer:
        return Unlocking(self.workplace, self.screen, options).answer()


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
    )


def _parts(ships: Ships) -> dict[str, Any]:
    return {each.name: getattr(ships, each.name) for each in fields(ships)}


def _after_verify(target: str, verdict: Verdict) -> str:
    return "" if verdict is Verdict.PASS else f"invoke status --target {target}"


def _unfinished(row: RunRow, alive: bool) -> str:
    return f"run {row.id} ({row.verb}){', at work on this machine now' if alive else ''}"


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
