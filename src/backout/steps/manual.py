"""`manual`: a person does it, and says so."""

from __future__ import annotations

from typing import Any, ClassVar

from backout.model import Options, Result, State, Undo
from backout.ports import StepContext
from backout.steps.approve import asked
from backout.steps.base import Kind


class ManualOptions(Options):
    """What the person is to do."""

    short: ClassVar[str] = "text"
    told_fields: ClassVar[tuple[str, ...]] = ("text", "undo")
    text: str


class Manual(Kind):
    """Its undo is a text too: what the person is to do to go back."""

    Options: ClassVar[type[Options]] = ManualOptions
    brings: ClassVar[bool] = True
    shell: ClassVar[bool] = False

    def asks(self, options: Any) -> bool:  # noqa: ARG002 - the seam's form
        return True

    def describe(self, work: StepContext) -> str:
        return f"by hand: {work.options.text}"

    def act(self, work: StepContext) -> Result:
        return _by_hand(work, work.options.text)

    def recall(self, work: StepContext, undo: Undo) -> Result | None:  # noqa: ARG002 - the seam's form
        return Result(State.UNKNOWN, reason="nobody has said whether it was done by hand")

    def done(self, work: StepContext) -> bool | None:  # noqa: ARG002 - the seam's form
        """No machine can tell."""
        return None

    def undo(self, work: StepContext, undo: Undo) -> Result:
        return _by_hand(work, undo.text) if undo.text else Result(State.DONE)


def _by_hand(work: StepContext, text: str) -> Result:
    work.say(text)
    place = f" on {work.host.name}" if work.host else ""
    return asked(work, f"Is it done{place}?", no=f"not done by hand{place}: {text}")
