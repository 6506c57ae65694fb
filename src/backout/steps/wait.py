"""`wait`: a while, or until something holds."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from backout.errors import Unreachable
from backout.model import Duration, Options, Result, Span, State, TemplateText, Undo
from backout.ports import StepContext
from backout.steps.base import Kind, command
from backout.steps.script import words


class WaitOptions(Options):
    """How long; with `until`, at most so long, asking `every` so often."""

    short: ClassVar[str] = "for"
    shell_fields: ClassVar[tuple[str, ...]] = ("until",)
    for_: Duration | TemplateText = Field(alias="for")
    until: str = ""
    every: Span | TemplateText = 2.0


class Wait(Kind):
    """Reads only. While it waits, a machine may be out of reach: it may be rebooting."""

    Options: ClassVar[type[Options]] = WaitOptions
    changes: ClassVar[bool] = False

    def describe(self, work: StepContext) -> str:
        limit = f"{work.options.for_:g} s" if isinstance(work.options.for_, float) else "a while"
        return (
            f"wait {limit} at most until: {work.options.until}"
            if work.options.until
            else (f"wait {limit}")
        )

    def before(self, work: StepContext) -> Undo:  # noqa: ARG002 - the seam's form
        return Undo(text="")

    def act(self, work: StepContext) -> Result:
        if work.options.until:
            return _until(work)
        work.clock.sleep(work.options.for_)
        return Result(State.DONE)

    def recall(self, work: StepContext, undo: Undo) -> Result | None:  # noqa: ARG002 - the seam's form
        """Time is never remembered: wait again."""
        return None


def _until(work: StepContext) -> Result:
    limit = work.clock.monotonic() + work.options.for_
    while True:
        seen = _look(work, limit - work.clock.monotonic())
        left = limit - work.clock.monotonic()
        if seen.ok:
            return replace(seen, reason="")
        if left <= 0:
            said = words(seen) or seen.reason
            reason = f"it did not hold within {work.options.for_:g} s: {said}"
            return replace(seen, state=State.FAILED, reason=reason)
        work.clock.sleep(min(work.options.every, left))


def _look(work: StepContext, left: float) -> Result:
    asked = command(work, work.options.until)
    try:
        return work.transport.run(replace(asked, timeout=max(1.0, min(asked.timeout, left))))
    except Unreachable as error:
        return Result(State.UNREACHABLE, reason=error.what)
