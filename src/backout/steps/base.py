"""What the kinds of step share: a step that is shell text, and the way back that is shell text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from backout.model import Command, NoOptions, Options, Result, State, Undo
from backout.ports import StepContext


class Kind:
    """The usual kind: it acts through one keyed command, and so does its undo."""

    Options: ClassVar[type[Options]] = NoOptions
    changes: ClassVar[bool] = True
    undoes: ClassVar[bool] = False
    reaches: ClassVar[bool] = True
    shell: ClassVar[bool] = True
    brings: ClassVar[bool] = False
    acts_here: ClassVar[bool] = False
    publishes: ClassVar[bool] = False

    def describe(self, work: StepContext) -> str:
        """What would run; pure."""
        return work.step.kind

    def reads(self, work: StepContext) -> Sequence[str]:  # noqa: ARG002 - most bring no file
        """The files of this machine whose content it brings along."""
        return ()

    def settles_first(self, options: Any) -> bool:  # noqa: ARG002 - the seam's form
        """Most are taken back before their host settles again."""
        return False

    def asks(self, options: Any) -> bool:  # noqa: ARG002 - the seam's form
        """Few ask anybody."""
        return False

    def ready(self, work: StepContext, *, made: bool) -> None:
        """Most kinds find out while they resolve their way back."""

    def before(self, work: StepContext) -> Undo:
        """The undo as the runbook words it."""
        return Undo(
            text=work.step.undo or "",
            data=place(work),
            irreversible=work.step.irreversible or "",
        )

    def act(self, work: StepContext) -> Result:
        raise NotImplementedError

    def recall(self, work: StepContext, undo: Undo) -> Result | None:  # noqa: ARG002 - the seam's form
        """The note on the machine knows."""
        return work.transport.recall(work.key, work.step.timeout)

    def done(self, work: StepContext) -> bool | None:
        """The step's `check`, as shell: 0 is done, 1 is not done, anything else cannot tell."""
        if not work.step.check:
            return None
        result = work.transport.run(command(work, work.step.check))
        return {0: True, 1: False}.get(-1 if result.exit_code is None else result.exit_code)

    def unready(self, work: StepContext, undo: Undo) -> str:  # noqa: ARG002 - the seam's form
        """Nothing can be told beforehand."""
        return ""

    def undo(self, work: StepContext, undo: Undo) -> Result:
        """Run the undo's text where the step ran."""
        if not undo.text:
            return Result(State.DONE)
        return work.transport.run(
            Command(
                undo.text,
                cwd=undo.data.get("cwd", ""),
                env=tuple((name, value) for name, value in undo.data.get("env", ())),
                timeout=work.step.timeout,
                key=work.key,
                title=f"the undo of {work.step.name}",
            )
        )


def place(work: StepContext) -> dict[str, object]:
    """Where a command of this step runs, as data for the journal."""
    return {"cwd": work.step.cwd, "env": [list(pair) for pair in work.step.env.items()]}


def command(work: StepContext, script: str, *, key: str = "") -> Command:
    """`script` in the step's directory and environment; without a key it only reads."""
    return Command(
        script,
        cwd=work.step.cwd,
        env=tuple(work.step.env.items()),
        timeout=work.step.timeout,
        key=key,
        title=work.step.name,
    )
