"""One attempt of an act: what came of it, and whether it began at all."""

from __future__ import annotations

from dataclasses import replace

from backout.errors import BackoutError, Interrupted, Unreachable
from backout.model import Result, State, Undo
from backout.ports import StepContext, StepKind


def acted(kind: StepKind, work: StepContext, undo: Undo) -> Result:
    """What came of it. UNREACHABLE says that it never began: where its machine went away in the
    middle, after a command and before a look, say, it is UNKNOWN. Raises Interrupted."""
    if why := work.refused():
        return Result(State.FAILED, reason=why)
    try:
        result = kind.act(work)
    except Unreachable as error:
        result = Result(State.UNREACHABLE, reason=error.what)
    except Interrupted:
        raise
    except BackoutError as error:
        return Result(State.FAILED, reason=error.what)
    away = result.state is State.UNREACHABLE
    return replace(result, state=State.UNKNOWN) if away and _began(work, undo) else result


def undone(kind: StepKind, work: StepContext, undo: Undo) -> Result:
    """What came of taking it back. Raises BackoutError."""
    why = work.refused()
    return Result(State.FAILED, reason=why) if why else kind.undo(work, undo)


def _began(work: StepContext, undo: Undo) -> bool:
    machines = (work.transport, work.here)
    return any(each.began(key) for each in machines for key in undo.keys(work.key))
