"""What was asked of other people, and what they said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from backout.model.people import Request
from backout.reports.data import stamp
from backout.reports.lines import one_line, page
from backout.reports.parts import count_of, next_lines
from backout.reports.plan_text import plan_text
from backout.reports.plans import PlanReport
from backout.reports.told import Told, sometimes

SHORT = 12


@dataclass(frozen=True, slots=True)
class Answered(Told):
    """What one person said."""

    by: str
    account: str
    answer: str
    """`yes` or `no`."""
    at: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Told):
    """A plan, or a step of a run, that waits for other people's yes, or did."""

    run: str
    """The one that asked."""
    target: str
    step: str = ""
    digest: str
    state: str
    """`open`, `approved`, `refused`, `expired` or `used`."""
    asked_by: str
    account: str
    asked_at: str
    expires_at: str
    needed: int
    answers: tuple[Answered, ...] = ()
    used_by: str = ""
    """The run that it was used for."""
    next: str = ""
    """What somebody else types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalReport(Told):
    """`approve`."""

    request: Asked
    question: str = sometimes("")
    """What a step of a run asks."""
    plan: PlanReport | None = None
    next: str = ""


def asked(request: Request, now: datetime) -> Asked:
    """A request, as it is told."""
    return Asked(
        run=request.id,
        target=request.target,
        step=request.step,
        digest=request.digest,
        state=request.state(now),
        asked_by=request.asker.name,
        account=request.asker.account,
        asked_at=stamp(request.asked),
        expires_at=stamp(request.expires),
        needed=request.needed,
        answers=tuple(
            Answered(
                each.by.name,
                each.by.account,
                "yes" if each.yes else "no",
                stamp(each.at),
                each.reason,
            )
            for each in request.answers
        ),
        used_by=request.used_by,
        next=f"invoke approve {request.id}",
    )


def shown(digest: str) -> str:
    """The beginning of a digest, for people."""
    return digest[:SHORT]


def asked_anew(request: Request) -> str:
    """What whoever asked types to ask again, as far as the request tells."""
    body, on = request.body, f"--target {request.target}"
    if request.step:
        return f"invoke show {request.id}"
    if body.get("verb") == "exec":
        return f"invoke exec {on} --changes …"
    if body.get("verb") == "run":
        return f"invoke run --runbook {body['plan']['runbook']} {on}"
    return f"invoke deploy {on}"


def asked_of(request: Request) -> str:
    """How many yeses are missing, of how many."""
    got = len(request.yes_for(request.asker))
    what = f"the step {request.step}" if request.step else request.target
    return f"{what} needs {count_of(request.needed, 'approval')} by somebody else and has {got}"


def approval_text(report: ApprovalReport) -> str:
    """What was asked, and what came of it; the plan stands above, when it was asked about."""
    each = report.request
    return page(
        [_state(each)],
        [_answer(answer) for answer in each.answers],
        next_lines(report.next),
    )


def _state(each: Asked) -> str:
    how = f": run {each.used_by}" if each.used_by else f", {_got(each)} of {each.needed}"
    return f"{_what(each)}: {each.state}{how}."


def _got(each: Asked) -> int:
    """How many say yes, and did not take it back."""
    no = {answer.by for answer in each.answers if answer.answer == "no"}
    return sum(answer.answer == "yes" and answer.by not in no for answer in each.answers)


def _what(each: Asked) -> str:
    what = f"Step {one_line(each.step)} of run {each.run}" if each.step else f"Plan of {each.run}"
    return f"{what} for {one_line(each.target)} ({shown(each.digest)})"


def _answer(answer: Answered) -> str:
    why = f": {one_line(answer.reason)}" if answer.reason else ""
    return f"{answer.at} {answer.answer} by {one_line(answer.by)} ({one_line(answer.account)}){why}"


def request_text(report: ApprovalReport) -> str:
    """All that somebody agrees to, to be read before the answer."""
    each = report.request
    asks = (
        f"{one_line(each.asked_by)} ({one_line(each.account)}) asks for your yes"
        f" since {each.asked_at}, until {each.expires_at}."
    )
    whole = plan_text(report.plan) if report.plan else ""
    question = []
    if report.question:
        so_far = f"What was done so far, and what waits: invoke show {each.run}"
        question = [f"{one_line(each.asked_by)} asks: {one_line(report.question)}", so_far]
    return page([_what(each), asks], question, whole.splitlines())


def waiting_lines(requests: Sequence[Asked]) -> list[str]:
    """A line for each request that stands open."""
    return [
        f"waits for an approval: {_what(each)}, asked by {one_line(each.asked_by)} at"
        f" {each.asked_at}, {_got(each)} of {each.needed}:"
        f" {each.next}"
        for each in requests
    ]
