"""`approve`: a person says yes."""

from __future__ import annotations

from typing import ClassVar

from backout.errors import Refused
from backout.model import Options, Result, State, Undo
from backout.ports import Work
from backout.steps.base import Kind


class ApproveOptions(Options):
    """What the person is asked."""

    short: ClassVar[str] = "question"
    told_fields: ClassVar[tuple[str, ...]] = ("question",)
    question: str


class Approve(Kind):
    """A no backs out what was done so far."""

    Options: ClassVar[type[Options]] = ApproveOptions
    changes: ClassVar[bool] = False
    shell: ClassVar[bool] = False

    def describe(self, work: Work) -> str:
        return f"ask: {work.options.question}"

    def before(self, work: Work) -> Undo:  # noqa: ARG002 - the seam's form
        return Undo(text="")

    def act(self, work: Work) -> Result:
        return asked(work, work.options.question, no="it was not approved")

    def recall(self, work: Work, undo: Undo) -> Result | None:  # noqa: ARG002 - the seam's form
        """An answer that was not recorded is asked for again."""
        return None


def asked(work: Work, question: str, *, no: str) -> Result:
    """The person's answer as a result; nobody there is no yes."""
    try:
        yes = work.operator.confirm(question)
    except Refused as error:
        return Result(State.FAILED, reason=error.what)
    return Result(State.DONE) if yes else Result(State.FAILED, reason=no)
