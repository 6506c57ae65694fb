"""`approve`: a person says yes."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from backout.errors import Refused
from backout.model import Options, Result, Span, State, Undo
from backout.ports import StepContext
from backout.steps.base import Kind


class ApproveOptions(Options):
    """What the person is asked."""

    short: ClassVar[str] = "question"
    told_fields: ClassVar[tuple[str, ...]] = ("question",)
    question: str
    by: Literal["", "another"] = ""
    """`another`: not whoever began the run, but somebody else, by `invoke approve RUN`."""
    expires: Span = 4 * 3600.0
    """How long another person is waited for."""


class Approve(Kind):
    """A no backs out what was done so far."""

    Options: ClassVar[type[Options]] = ApproveOptions
    changes: ClassVar[bool] = False
    shell: ClassVar[bool] = False

    def asks(self, options: Any) -> bool:
        return not options.by

    def describe(self, work: StepContext) -> str:
        who = " somebody else" if work.options.by else ""
        return f"ask{who}: {work.options.question}"

    def before(self, work: StepContext) -> Undo:  # noqa: ARG002 - the seam's form
        return Undo(text="")

    def act(self, work: StepContext) -> Result:
        if work.options.by:
            return _by_another(work)
        return asked(work, work.options.question, no="it was not approved")

    def recall(self, work: StepContext, undo: Undo) -> Result | None:  # noqa: ARG002 - the seam's form
        """An answer that was not recorded is asked for again."""
        return None


def _by_another(work: StepContext) -> Result:
    if work.second is None:
        return Result(State.FAILED, reason="nobody else can be asked here")
    options = work.options
    place = f" on {work.host.name}" if work.host else ""
    action = work.key.removeprefix(f"{work.run}/").partition("#")[0]  # whichever attempt it is
    key = f"{work.step.name}{place} ({action})"
    why = work.second.agree(key, options.question, options.expires, work.say)
    return Result(State.FAILED, reason=why) if why else Result(State.DONE)


def asked(work: StepContext, question: str, *, no: str) -> Result:
    """The person's answer as a result; nobody there is no yes."""
    try:
        yes = work.operator.confirm(question)
    except Refused as error:
        return Result(State.FAILED, reason=error.what)
    return Result(State.DONE) if yes else Result(State.FAILED, reason=no)
