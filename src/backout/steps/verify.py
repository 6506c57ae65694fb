"""`verify`: the target's checks must pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import field_validator

from backout.model import RED, Finding, Options, Result, State, Undo, Verdict
from backout.ports import StepContext
from backout.steps.base import Kind


class VerifyOptions(Options):
    """`all`, one check's name, or a list of names."""

    short: ClassVar[str] = "checks"
    told_fields: ClassVar[tuple[str, ...]] = ("checks",)
    checks: tuple[str, ...] = ()

    @field_validator("checks", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if value == "all":
            return ()
        return (value,) if isinstance(value, str) else value


class Verify(Kind):
    """Reads only. What must pass is decided by the run: see `health.required`."""

    Options: ClassVar[type[Options]] = VerifyOptions
    changes: ClassVar[bool] = False

    def describe(self, work: StepContext) -> str:
        return "verify " + (", ".join(work.options.checks) or "all checks")

    def before(self, work: StepContext) -> Undo:  # noqa: ARG002 - the seam's form
        return Undo(text="")

    def act(self, work: StepContext) -> Result:
        return proved(work.verify(work.options.checks))

    def recall(self, work: StepContext, undo: Undo) -> Result | None:  # noqa: ARG002 - the seam's form
        """Health is never remembered: look again."""
        return None


def proved(red: Sequence[Finding]) -> Result:
    """What it comes to that these had to pass and did not."""
    if not red:
        return Result(State.DONE)
    shown = "\n".join(f"{f.key}: {f.excerpt}" for f in red if f.excerpt)
    saved = {RED: [finding.record() for finding in red]}
    return Result(State.FAILED, stderr=shown, reason="; ".join(map(_told, red)), saved=saved)


def _told(finding: Finding) -> str:
    word = {Verdict.FAIL: "fails"}.get(finding.verdict, f"is {finding.verdict}")
    place = f" on {finding.host}" if finding.host else ""
    return f"check {finding.check}{place} {word}: {finding.reason or ', '.join(finding.failed)}"
