"""`approve`: the yes, or the no, of somebody else than whoever asked."""

from __future__ import annotations

import os
from datetime import datetime

from backout.adapters.person import person
from backout.adapters.storage.approvals import Approvals
from backout.adapters.storage.journal import RunJournal
from backout.commands.options import Approve
from backout.errors import Mistakes, Refused
from backout.model.people import AnswerGiven, Person, Request
from backout.ports import Screen
from backout.project.project import Workplace
from backout.reports.answer import Answer
from backout.reports.approvals import ApprovalReport, asked, asked_anew, request_text, shown
from backout.reports.plans import PlanReport


class Answering:
    """What was asked of others in a journal, and what they say."""

    def __init__(self, journal: RunJournal) -> None:
        self.journal = journal
        self.store = Approvals(journal)

    def answer(self, request: Request, me: Person, no: str | None) -> None:
        """Durably a yes, or, with its reason, a no. Raises Refused where it is not that person's
        to say, or changes nothing any more."""
        self.refuse(request, me, no)
        answer = AnswerGiven(me, not no, no or "", self.journal.clock())
        if not self.store.answer(request, answer):
            if now := self.store.of(request.id, request.step):
                self.refuse(now, me, no)
            raise _answered(request, me)

    def refuse(self, request: Request, me: Person, no: str | None) -> None:
        """Raises Refused likewise."""
        _refuse(request, me, no, self.journal.clock())
        self._refuse_ended(request)

    def _refuse_ended(self, request: Request) -> None:
        """A step of a run that is over asks nobody any more."""
        if request.step and (row := self.journal.run(request.id)).outcome:
            raise Refused(
                f"run {row.id} has ended ({row.outcome}): its step waits for nobody",
                where=request.target,
                next=f"invoke show {row.id}",
            )


class Approving(Answering):
    """One answer, of one person at a terminal."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        super().__init__(workplace.journal)
        self.screen = screen

    def approve(self, options: Approve) -> Answer:
        request, me, no = self._named(options.run), person(os.environ), options.refuse
        self.refuse(request, me, no)
        if not options.json:
            self.screen.print(request_text(approval_of(request, self.journal.clock())))
        what = f"plan {shown(request.digest)} of {request.asker.name} for {request.target}"
        question = f"refuse {what}?" if no else f"say yes, as {me.name}, to {what}?"
        if not self.screen.operator.confirm(question):
            raise Refused("not confirmed", next=f"invoke approve {request.id}")
        self.answer(request, me, no)
        now = self._named(request.id)
        return Answer("approved", approval_of(now, self.journal.clock(), _following(now)))

    def _named(self, begins: str) -> Request:
        """Of the requests that one run made the last one that is open, or the last. Raises
        Mistakes where the name is none, or that of several runs."""
        found = self.store.named(begins)
        runs = {each.id for each in found}
        if len(runs) != 1:
            known = f" of {len(runs)} runs: {', '.join(sorted(runs)[:5])}" if runs else ""
            raise Mistakes(
                f"{begins!r} is the name{known}, which one?"
                if runs
                else f"nothing was asked of others under {begins!r}",
                where="command line",
                next="invoke status, which names what waits",
            )
        now = self.journal.clock()
        return next((each for each in found if each.is_open(now)), found[0])


def _refuse(request: Request, me: Person, no: str | None, now: datetime) -> None:
    if me.is_same(request.asker):
        raise Refused(
            f"you asked for it yourself, as {request.asker.name} ({request.asker.account}):"
            " it needs somebody else",
            where=f"you are {', '.join(me.names)} ({me.account})",
            next=f"somebody else, from an account of their own: invoke approve {request.id}",
        )
    if any(each.by.is_same(me) and not (each.yes and no) for each in request.answers):
        raise _answered(request, me)
    if not request.is_open(now):
        by = f" by run {request.used_by}" if request.used_by else ""
        raise Refused(
            f"the request of {request.id} is {request.state(now)}{by}",
            where=request.target,
            next=_too_late(request) if no else _anew(request),
        )


def _anew(request: Request) -> str:
    return f"{request.asker.name} can ask anew: {asked_anew(request)}"


def _too_late(request: Request) -> str:
    """What stops what a no does not stop any more."""
    run = request.used_by
    return f"invoke follow {run}, Ctrl-C and stop: it backs out" if run else _anew(request)


def _answered(request: Request, me: Person) -> Refused:
    mine = [each for each in request.answers if each.by.is_same(me)]
    back = f"to take the yes back, while no run has used it: invoke approve {request.id} --refuse …"
    look = f"invoke status --target {request.target}"
    open = mine and mine[-1].yes and not request.used_by
    return Refused(
        f"{me.name} has answered it already", where=request.target, next=back if open else look
    )


def approval_of(request: Request, now: datetime, next: str = "") -> ApprovalReport:
    """A request with all that is agreed to, as it stands now."""
    plan = request.body.get("plan")
    return ApprovalReport(
        request=asked(request, now),
        question=str(request.body.get("question", "")),
        plan=PlanReport.read(plan) if plan else None,
        next=next,
    )


def _following(request: Request) -> str:
    if request.refusal:
        return f"{request.asker.name} has to change it, and can ask anew"
    if len(request.yes_for(request.asker)) < request.needed:
        return f"somebody else still: invoke approve {request.id}"
    if request.step:
        return "it goes on by itself"
    return f"{request.asker.name}: {asked_anew(request)}, as it was typed before"
