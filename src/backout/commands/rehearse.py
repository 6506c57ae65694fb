"""`rehearse`: the way back, proved by walking it after every step."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from backout import __version__
from backout.adapters.local_lock import owner
from backout.commands.deploy import Operation
from backout.commands.old_code import KEY, Seen, acted, seen
from backout.commands.options import Rehearse
from backout.commands.planning import as_it_is, new_run
from backout.commands.rehearsals import CERTIFICATE, digest
from backout.errors import BackoutError, ExitCode, Refused
from backout.model import (
    Command,
    Event,
    HostEnd,
    HostState,
    Outcome,
    Release,
    Runbook,
    RunRow,
    Step,
    Target,
)
from backout.ports import Screen
from backout.project.machines import Machines
from backout.project.project import TABLES, Workplace
from backout.reports.answer import Answer
from backout.reports.data import again, run_report, stamp
from backout.reports.report import Known, Rehearsed, Report, Returned
from backout.runs import standing
from backout.runs.ended import Ended
from backout.runs.parts import side_by_side
from backout.runs.rehearsal import OLD_CODE, Point, no_return, old_code, points, strict

VERB = "rehearse"
"""Of the runs that fail on purpose."""
ENDS: Mapping[int, Outcome] = {
    ExitCode.DONE: Outcome.SUCCEEDED,
    ExitCode.REFUSED: Outcome.REFUSED,
    ExitCode.BACKED_OUT: Outcome.BACKED_OUT,
    ExitCode.INCOMPLETE: Outcome.BACKOUT_INCOMPLETE,
    ExitCode.INTERRUPTED: Outcome.INTERRUPTED,
    ExitCode.INCONCLUSIVE: Outcome.FAILED,
}
Standing = Mapping[str, tuple[HostEnd, str]]
"""What each host says of itself: its release, and the code on its disk."""


@dataclass(slots=True)
class _Story:
    """What has been shown so far, and why it went no further."""

    rows: list[Returned]
    code: ExitCode = ExitCode.DONE
    reason: str = ""
    last: Report | None = None
    """The report of the last run."""
    crossed: tuple[Step, ...] = ()
    seen: Seen | None = None
    """The old code beside what was not undone."""

    def stopped(self, code: int, reason: str) -> None:
        self.code, self.reason = ExitCode(code), reason


class Rehearsing:
    """One rehearsal, for one operator at one screen."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen
        self.operation = Operation(workplace, screen)

    def rehearse(self, options: Rehearse) -> Answer:
        told = self.rehearsed(options)
        return Answer("rehearsed", told, told.exit_code)

    def rehearsed(self, options: Rehearse) -> Rehearsed:
        """Raises Mistakes, and Refused and Held where the first of its runs does."""
        name = options.runbook or "deploy"
        target, runbook, params = self.operation.ready(options, name)
        book = as_it_is(runbook) if options.ref else runbook
        shell = TABLES.steps["run"].Options
        places = tuple(points(book, shell))
        if options.old_code:
            _refuse_old_code(target, book)
            places = (*places, old_code(book, shell))
        _refuse(target, book, places)
        self._confirm(target, book, len(places))
        started, story = self.operation.workplace.journal.clock(), _Story([])
        machines = self.workplace.machines(target)
        before = _stand(machines, target)
        for point in places:
            answer = self._fail_at(point, target, params, options, story)
            if answer is None:
                break
            row = _shown(point, answer, before, _stand(machines, target))
            if point.name == OLD_CODE:
                row = self._cross(row, target, book, params, machines, story)
            story.rows.append(row)
            self._take_up(target, machines, story)
            if story.code:
                break
        left = [Returned(point.name, reason="not reached") for point in places[len(story.rows) :]]
        past = () if options.old_code else no_return(book)
        left += [Returned(s.name, reason="past a point of no return") for s in past]
        return self._ended(target, runbook, story, started, left)

    def _confirm(self, target: Target, runbook: Runbook, times: int) -> None:
        """Once, for all of its runs."""
        question = f"rehearse {runbook.name} on {target.name}: deploy, fail, go back {times} times?"
        if target.protected and not self.screen.operator.confirm(question, typed=target.name):
            raise Refused("not confirmed", next=f"invoke plan --target {target.name}")

    def _fail_at(
        self,
        point: Point,
        target: Target,
        params: Mapping[str, Any],
        options: Rehearse,
        story: _Story,
    ) -> Answer | None:
        """One run that fails at that point; None where it could not begin, and others had."""
        self._say("phase", f"rehearsal: fail after {point.name}")
        try:
            answer = self.operation.start(VERB, strict(target), point.runbook, params, options)
        except BackoutError as error:
            if not story.rows:
                raise
            story.stopped(error.exit_code, error.what)
            return None
        story.last = report = _report_of(answer)
        if answer.exit_code != ExitCode.BACKED_OUT:
            story.stopped(answer.exit_code, report.reason)
        elif itself := _by_itself(point, report):
            story.stopped(ExitCode.BACKED_OUT, itself)
        return answer

    def _cross(
        self,
        row: Returned,
        target: Target,
        book: Runbook,
        params: Mapping[str, Any],
        machines: Machines,
        story: _Story,
    ) -> Returned:
        """What the run past the points of no return has shown of the code before them."""
        report = story.last
        if not row.returned or report is None:
            return row
        story.crossed = acted(report, book.steps)
        if not story.crossed:
            return replace(row, returned=None, reason="nothing that cannot be undone did anything")
        start, end = (_commit(each) for each in (report.ends.start, report.ends.to))
        story.seen = seen(target, machines.reach(""), start, end, story.crossed, params)
        return row

    def _take_up(self, target: Target, machines: Machines, story: _Story) -> None:
        """The change that the way back has reverted, in the working copy again: the next run has
        something to ship, and so has whoever deploys after the rehearsal."""
        run = story.rows[-1].run or ""
        command = again(self.workplace.journal_of(target).recall(run))
        if not command or story.code not in (ExitCode.DONE, ExitCode.BACKED_OUT):
            return
        done = machines.reach("").run(Command(command, title="Take the change up again"))
        if done.ok:
            self._say("note", f"the reverted change is taken up again: {command}")
        else:
            why = done.reason or done.stderr.strip()
            story.stopped(
                ExitCode.INCONCLUSIVE, f"the change could not be taken up again ({command}): {why}"
            )

    def _say(self, kind: str, text: str) -> None:
        self.screen.listen(Event(datetime.now(UTC), kind, text))

    # --- the end -------------------------------------------------------------------------

    def _ended(
        self,
        target: Target,
        runbook: Runbook,
        story: _Story,
        started: datetime,
        left: Sequence[Returned],
    ) -> Rehearsed:
        rows = (*story.rows, *left)
        _judge(story, rows)
        told = Rehearsed(
            rehearsal=new_run(),
            target=target.name,
            runbook=runbook.name,
            digest=digest(runbook),
            version=__version__,
            outcome=str(ENDS.get(story.code, Outcome.FAILED)),
            exit_code=int(story.code),
            reason=story.reason,
            release=story.rows[-1].release if story.rows else None,
            started_at=stamp(started),
            ended_at=stamp(datetime.now(UTC)),
            steps=rows,
            next=_next(story, target, runbook),
            trouble=story.last if story.code else None,
            crossed=tuple(step.name for step in story.crossed),
        )
        if any(row.returned is not None for row in story.rows):
            self._certify(target, told, story, started)
        return told

    def _certify(self, target: Target, told: Rehearsed, story: _Story, started: datetime) -> None:
        """The rehearsal as a line of the history."""
        outcome, ended = Outcome(told.outcome), datetime.now(UTC)
        report = run_report(
            run=told.rehearsal,
            verb=CERTIFICATE,
            target=told.target,
            runbook=told.runbook,
            started=started,
            ended=ended,
            previous=None,
            made=None,
            outcome=Ended(outcome, told.exit_code, told.reason),
            records=(),
        )
        report = replace(
            report,
            checks=story.last.checks if story.last else (),
            hosts=story.last.hosts if story.last else {},
            rehearsal=replace(told, trouble=None),
            notes=tuple(map(line_of, told.steps)),
        )
        row = RunRow(
            id=told.rehearsal,
            target=told.target,
            verb=CERTIFICATE,
            runbook=told.runbook,
            plan={"digest": told.digest, "version": told.version, **_kept(story.seen)},
            owner=owner(),
            started=started,
            options={"argv": sys.argv[1:]},
            ended=ended,
            outcome=told.outcome,
            exit_code=told.exit_code,
            report=report.to_data(),
        )
        self.workplace.journal_of(target).look_back(row, ())


def line_of(row: Returned) -> str:
    """One step, in words."""
    verdict = {True: "returned", False: "DID NOT RETURN", None: "not proved"}[row.returned]
    return f"after {row.name}: {verdict}{f': {row.reason}' if row.reason else ''}"


def _commit(release: Known) -> str:
    return release.commit if isinstance(release, Release) else ""


def _kept(seen: Seen | None) -> dict[str, Any]:
    return {KEY: asdict(seen)} if seen else {}


def _refuse_old_code(target: Target, runbook: Runbook) -> None:
    """Raises Refused where there is nothing that older code would have to live with."""
    if not any(step.irreversible for step in runbook.steps):
        why = f"every step of {runbook.name} can be undone: there is nothing to leave behind"
        raise Refused(why, where=target.file or target.name, next="invoke --help rehearse")


def _refuse(target: Target, runbook: Runbook, places: Sequence[Point]) -> None:
    """Raises Refused for what a rehearsal could not prove."""
    final = next((step for step in runbook.settle if step.irreversible), None)
    why = ""
    if target.protection.approvals:
        why = f"{target.name} needs approvals: each run of a rehearsal would ask for its own"
    elif not target.checks:
        why = f"{target.name} has no check: nothing would prove that it is healthy again"
    elif final:
        why = f"{final.name} in `settle` cannot be undone: {final.irreversible}"
    elif not places:
        first = runbook.steps[:1]
        words = f"the first step cannot be undone: {first[0].name}" if first else "it has no step"
        why = f"there is no way back to rehearse in {runbook.name}: {words}"
    if why:
        raise Refused(why, where=target.file or target.name, next="invoke --help rehearse")


def _stand(machines: Machines, target: Target) -> Standing:
    def ask(name: str) -> tuple[HostEnd, str]:
        host = target.hosts[name]
        end = standing.told(HostEnd(HostState.UNCHANGED), host, target, machines.reach)
        try:
            return end, standing.commit_on(machines.reach(name), target)
        except BackoutError:
            return end, ""

    names = tuple(target.hosts)
    return dict(zip(names, side_by_side(ask, names), strict=True))


def _report_of(answer: Answer) -> Report:
    assert isinstance(answer.told, Report), "a run answers with its report"  # noqa: S101
    return answer.told


def _by_itself(point: Point, report: Report) -> str:
    """What failed before the failure on purpose, if something did."""
    ways = ("do", "settle", "proof", "preflight")
    bad = [f for f in report.failures or () if f.phase in ways]
    own = next((f for f in bad if f.name != point.fails), None)
    if own:
        return f"{own.host + ': ' if own.host else ''}{own.name} failed: {own.reason}"
    return "" if bad else f"it never came to {point.fails}: {report.reason}"


def _shown(point: Point, answer: Answer, before: Standing, now: Standing) -> Returned:
    report = _report_of(answer)
    proof = tuple(c.name for c in report.checks if c.verdict == "pass")
    moved = [name for name in before if _differs(before[name], now[name])]
    returned: bool | None = None
    if answer.exit_code == ExitCode.INCOMPLETE:
        returned, reason = False, report.reason
    elif answer.exit_code != ExitCode.BACKED_OUT:
        reason = report.reason
    elif reason := _by_itself(point, report):
        pass
    elif moved:
        returned, reason = False, f"not what it was before: {', '.join(moved)}"
    elif not proof:
        reason = "no check passed before, so nothing proves it"
    else:
        returned = True
    release = report.ends.start
    took = _seconds(report)
    return Returned(point.name, report.run, returned, reason, release, proof, took)


def _differs(before: tuple[HostEnd, str], now: tuple[HostEnd, str]) -> bool:
    return (before[0].release, before[1]) != (now[0].release, now[1])


def _seconds(report: Report) -> float:
    if not report.ended_at:
        return 0.0
    began, ended = map(datetime.fromisoformat, (report.started_at, report.ended_at))
    return round((ended - began).total_seconds(), 3)


def _judge(story: _Story, rows: Sequence[Returned]) -> None:
    """What all of it comes to, where nothing went wrong on the way."""
    if story.code:
        return
    if lost := [row for row in rows if row.returned is False]:
        story.stopped(ExitCode.INCOMPLETE, line_of(lost[0]))
    elif unproved := [row for row in rows if row.returned is None]:
        story.stopped(ExitCode.INCONCLUSIVE, line_of(unproved[0]))


def _next(story: _Story, target: Target, runbook: Runbook) -> str:
    if story.code in (ExitCode.INCOMPLETE, ExitCode.INTERRUPTED, ExitCode.REFUSED):
        told = story.last.next if story.last else ""
        return told or f"invoke status --target {target.name}"
    if story.code:
        run = next((row.run for row in reversed(story.rows) if row.run), "")
        return f"invoke show {run}"
    book = "" if runbook.name == "deploy" else f" --runbook {runbook.name}"
    return f"invoke plan --target TARGET{book} (it says how old this rehearsal is)"
