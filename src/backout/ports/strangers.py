"""What the class of another package promises, and what is said where it does not keep its word.

A plug-in that raises what its seam does not name, leaves the process, or answers with something
else than its seam says, is ill: a step of it failed, a check of it found nothing out, a look of it
knows nothing. What it broke is told with its name, and never ends a run by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from types import new_class
from typing import Any, NoReturn

from backout.errors import BackoutError, Refused
from backout.model import Identity, Observation, PoolState, Result, State, Undo


@dataclass(frozen=True, slots=True)
class Answer:
    """What one method answers, and what is answered in its place: the reason is handed in."""

    kind: type | tuple[type, ...]
    instead: Callable[[str], Any]
    sound: Callable[[Any], bool] = lambda _: True
    """Whether what it carries is what it ought to be."""


class Promise:
    """The methods of a seam; called with a class and its row's name, the class that keeps it."""

    def __init__(self, needs: Sequence[str], answers: Mapping[str, Answer]) -> None:
        self._needs = ("Options", *needs)
        self._answers = answers

    def __call__(self, found: Any, name: str) -> Any:
        """Raises TypeError for what is no class of the seam."""
        missing = [each for each in self._needs if not hasattr(found, each)]
        if not isinstance(found, type) or missing:
            raise TypeError(f"it is no class with {', '.join(missing or self._needs)}")
        kept = {
            method: _kept(getattr(found, method), answer, name)
            for method, answer in self._answers.items()
            if hasattr(found, method)
        }
        return new_class(found.__name__, (found,), exec_body=lambda body: body.update(kept))


def _kept(method: Callable[..., Any], answer: Answer, name: str) -> Callable[..., Any]:
    @wraps(method)
    def asked(*words: Any, **named: Any) -> Any:
        try:
            said = method(*words, **named)
        except (BackoutError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit too: a plug-in ends no process
            return answer.instead(f"the plug-in {name!r} raised {type(error).__name__}: {error}")
        if isinstance(said, answer.kind) and answer.sound(said):
            return said
        what = f"{method.__name__} of the plug-in {name!r}"
        return answer.instead(f"{what} answered {said!r:.80}, which says nothing")

    return asked


def _refused(reason: str) -> NoReturn:
    raise Refused(reason, next="mend the plug-in, or leave it out")


def _failed(reason: str) -> Result:
    return Result(State.FAILED, reason=reason)


def _ended(result: Result | None) -> bool:
    return result is None or isinstance(result.state, State)


def _journaled(undo: Undo) -> bool:
    """Whether it can be written down before the step acts."""
    try:
        json.dumps(dict(undo.data))
    except (TypeError, ValueError):
        return False
    return isinstance(undo.text, str) and isinstance(undo.irreversible, str)


_NOTHING = type(None)
_DOES = Answer(Result, _failed, _ended)
STEP = Promise(
    ("describe", "before", "act", "undo"),
    {
        "describe": Answer(str, _refused),
        "reads": Answer(Sequence, _refused),
        "ready": Answer(_NOTHING, _refused),
        "before": Answer(Undo, _refused, _journaled),
        "act": _DOES,
        "undo": _DOES,
        "recall": Answer((Result, _NOTHING), lambda why: Result(State.UNKNOWN, reason=why), _ended),
        "done": Answer((bool, _NOTHING), lambda _: None),
        "unready": Answer(str, str),
        "settles_first": Answer(bool, lambda _: False),
        "asks": Answer(bool, lambda _: False),
    },
)
PROBE = Promise(
    ("observe",),
    {
        "observe": Answer(
            Observation,
            lambda why: Observation(error=why),
            lambda seen: isinstance(seen.facts, Mapping) and isinstance(seen.error, str),
        )
    },
)
RESTARTER = Promise(
    ("identity", "restart", "stop", "logs", "find"),
    {
        "__init__": Answer(_NOTHING, _refused),
        "identity": Answer(
            Identity,
            lambda why: Identity(up=False, known=False, detail=why),
            lambda seen: isinstance(seen.up, bool) and isinstance(seen.value, str),
        ),
        "restart": _DOES,
        "stop": _DOES,
        "logs": Answer(str, _refused),
        "streams": Answer(Mapping, _refused),
        "find": Answer(Sequence, lambda _: ()),
        "still": Answer(bool, lambda _: False),
        "mark": Answer(str, lambda _: ""),
        "bears": Answer(bool, lambda _: False),
    },
)
BALANCER = Promise(
    ("look", "apply", "spelled"),
    {
        "__init__": Answer(_NOTHING, _refused),
        "look": Answer(PoolState, _refused),
        "apply": _DOES,
        "spelled": Answer(str, _refused),
    },
)
