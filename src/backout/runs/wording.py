"""How an action and its result are put into words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backout.model import Result, State, Step
from backout.runs.plan import Action

UNWANTED = "not wanted: `when`"
"""Why a step was left out."""


def went_well(result: Result) -> bool:
    return result.state in (State.DONE, State.SKIPPED)


def title(action: Action) -> str:
    """`web1: Restart`, or the step's name alone on this machine."""
    return f"{action.host}: {action.step.name}" if action.host else action.step.name


def words_of(result: Result) -> str:
    """Why a result is not what it should be, in one line."""
    words = result.reason or _last_line(result.stderr) or _last_line(result.stdout)
    if not words and result.exit_code is not None:
        return f"exit code {result.exit_code}"
    return words


def trouble(action: Action, result: Result) -> str:
    """`web1: Restart failed: …`."""
    words = words_of(result)
    state = f"{title(action)} {'is ' if result.state is State.UNKNOWN else ''}{result.state}"
    return f"{state}: {words}" if words else state


def leave_it(target: str) -> str:
    """The way on from a rollback that cannot be finished: forward, with another deploy."""
    return (
        f"leave it as it is and go on from there: invoke unlock --target {target} --force,"
        f" then invoke deploy --target {target}"
    )


def _last_line(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1].strip()


def no_way_back(steps: Sequence[Step]) -> Iterator[str]:
    """What cannot be undone, step by step."""
    for step in steps:
        net = f"; right before it must pass: {', '.join(step.net)}" if step.net else ""
        yield f"{step.name} cannot be undone: {step.irreversible}{net}"


def items_of(params: Mapping[str, Any]) -> Iterator[str]:
    """The items of every list that was given, one by one: nobody confirms what they have not
    seen."""
    for name, items in params.items():
        if isinstance(items, list | tuple):
            yield from (f"{name}, {n} of {len(items)}: {item}" for n, item in enumerate(items, 1))
