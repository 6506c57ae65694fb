"""`hold`: what a run that is held is to do about one step that failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from backout.adapters.local_lock import LocalLock, owner
from backout.adapters.storage.spoken import Spoken
from backout.commands.claiming import living
from backout.commands.deploy import Operation
from backout.commands.options import Hold as HoldOptions
from backout.commands.options import Resume
from backout.errors import Mistakes, Refused
from backout.model import RunRow
from backout.ports import Said, Screen
from backout.project.freezing import thaw
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.data import held_steps
from backout.reports.states import HoldReport
from backout.runs.holds import ANSWERS, BACK_OUT, Hold, Holds, Question, held_until, typed
from backout.runs.leasing import reached


class Answering:
    """One answer, of one person."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen
        self.operation = Operation(workplace, screen)

    def hold(self, options: HoldOptions) -> Answer:
        answer = _known(options.answer)
        row = self._row(options, answer)
        hold = self._open(row)
        if not answer:
            return Answer("held", _report(row, hold))
        question = _meant(row, hold, options, answer)
        hears = self._is_alive(row)  # asked first: what has heard may be over at once
        now = datetime.now(UTC)
        if now >= hold.until and answer != BACK_OUT:
            raise Refused(
                f"run {row.id} was held until {held_until(hold)}: it takes no other answer now",
                where=row.target,
                next=f"invoke resume --target {row.target}, which backs it out",
            )
        said = Said(question.key, question.asked, answer, owner())
        if not Spoken(self.workplace.journal, row.id).say(said, now):
            raise Refused(
                f"{question.place} was answered already",
                where=f"run {row.id}",
                next=f"invoke status --target {row.target}",
            )
        if hears:
            return Answer("held", _report(row, hold, f"{question.place}: {answer}"))
        return self.operation.resume(Resume(target=row.target, json=options.json, yes=options.yes))

    def _row(self, options: HoldOptions, answer: str) -> RunRow:
        """Raises Mistakes and Refused where there is none that is unfinished."""
        journal = self.workplace.journal
        if options.run:
            row = journal.run(options.run)
            if row.open:
                return row
            raise Refused(f"run {row.id} has ended ({row.outcome})", next=f"invoke show {row.id}")
        target = self.workplace.target_name(self.workplace.target(options.target).name)
        found = journal.open_run_of(target)
        if found is None and answer:
            found = self.operation.elsewhere(target, forward=answer != BACK_OUT)
        if found is None:
            raise Refused(
                f"{target} has no unfinished run here",
                next=f"invoke status --target {target}",
            )
        return found

    def _open(self, row: RunRow) -> Hold:
        """Raises Refused where nothing is asked."""
        hold = Holds.of(self.workplace.journal.recall(row.id)).last
        if hold is None or not hold.open:
            raise Refused(
                f"run {row.id} asks nothing",
                where=row.target,
                next=self.workplace.going_on(row),
            )
        return hold

    def _is_alive(self, row: RunRow) -> bool:
        """Whether whoever holds it hears what is said."""
        if LocalLock(self.workplace.state, row.target).holder() is not None:
            return True
        if self.workplace.journal.driving(row.id).ours:
            return False
        target = thaw(self.workplace, row).target
        hosts, _ = reached(self.workplace.machines(target).reach, tuple(target.hosts))
        return living(hosts, row.id) is not None


def _known(answer: str | None) -> str:
    said = (answer or "").lower().replace(" ", "-")
    if answer is not None and said not in ANSWERS:
        raise Mistakes(
            f"--answer {answer}: it is one of {', '.join(ANSWERS)}",
            where="command line",
            next="invoke --help hold",
        )
    return said


def _meant(row: RunRow, hold: Hold, options: HoldOptions, answer: str) -> Question:
    """The one question that is answered. Raises Mistakes where it is none, or one of several; the
    way back is that of the whole run."""
    found = [
        each
        for each in hold.open
        if options.host in (None, each.host) and options.step in (None, each.step)
    ]
    if len(found) == 1 or (found and answer == BACK_OUT):
        return found[0]
    which = found or hold.open
    raise Mistakes(
        f"which of {len(found)}? {_places(found)}"
        if found
        else f"nothing is asked about that; what is: {_places(hold.open)}",
        where="command line",
        next="\n".join(typed(each, row.id) for each in which),
    )


def _places(questions: Sequence[Question]) -> str:
    return ", ".join(each.place for each in questions)


def _report(row: RunRow, hold: Hold, answered: str = "") -> HoldReport:
    left = tuple(typed(each, row.id) for each in hold.open)
    following = f"invoke status --target {row.target}" if answered else "\n".join(left)
    return HoldReport(row.id, row.target, held_steps((hold,)), answered, following)
