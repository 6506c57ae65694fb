"""`run`: shell text on a machine."""

from __future__ import annotations

from typing import ClassVar

from backout.errors import Refused
from backout.model import Options, Result, Slips, State, Undo
from backout.ports import StepContext
from backout.steps.base import Kind, command


class RunOptions(Options):
    """POSIX shell, run with `set -e`."""

    short: ClassVar[str] = "script"
    shell_fields: ClassVar[tuple[str, ...]] = ("script",)
    script: str

    def slips(self) -> Slips:
        if not self.script.strip():
            yield "script", "there is nothing to run"


class Run(Kind):
    """The undo stands in the runbook; a `readonly` step needs none."""

    Options: ClassVar[type[Options]] = RunOptions
    brings: ClassVar[bool] = True

    def describe(self, work: StepContext) -> str:
        return str(work.options.script)

    def before(self, work: StepContext) -> Undo:
        """Where its directory is not there it could not begin, and its undo could not either: it
        is left at that."""
        if work.step.cwd and not work.step.readonly:
            seen = work.transport.run(command(work, ":"))
            if seen.state is State.FAILED:
                raise Refused(f"it has not begun: {work.step.cwd} is no directory to be in")
        return super().before(work)

    def act(self, work: StepContext) -> Result:
        key = "" if work.step.readonly else work.key
        return work.transport.run(command(work, work.options.script, key=key))

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        return None if work.step.readonly else super().recall(work, undo)
