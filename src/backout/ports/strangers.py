"""What the class of another package promises, and what is said where it does not keep its word.

A plug-in that raises what its seam does not name, leaves the process, or answers with something
else than its seam says, is ill: a step of it failed, a check of it found nothing out, a look of it
knows nothing. What it broke is told with its name, and never ends a run by itself. So is a check
that does not come back: it only looks, and is waited for no longer than its time.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, wraps
from importlib.metadata import EntryPoint
from types import new_class
from typing import Any, NoReturn, get_type_hints

from backout.errors import BackoutError, Refused
from backout.model import Identity, Observation, PoolState, Result, State, Undo
from backout.ports.undisturbed import undisturbed

GRACE = 5.0
"""Seconds beyond its own time that a check is waited for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one method answers, and what is answered in its place: the reason is handed in."""

    kind: type | tuple[type, ...]
    instead: Callable[[str], Any]
    sound: Callable[[Any], bool] = lambda _: True
    """Whether what it carries is what it ought to be."""
    within: Callable[..., float] | None = None
    """How long it may take, by what it is called with; unsaid, as long as it likes."""


class Promise:
    """The methods of a seam; called with a class and its row's name, the class that keeps it."""

    def __init__(self, needs: Sequence[str], answers: Mapping[str, Answer]) -> None:
        self._needs = ("Options", *needs)
        self._answers = answers

    def load(self, row: EntryPoint) -> Any:
        """The class that a row names. Raises TypeError, and what its module raises."""
        with undisturbed():
            return self(row.load(), row.name)

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
            with undisturbed():
                said = _in_time(answer, method, words, named)
        except (BackoutError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit too: a plug-in ends no process
            return answer.instead(f"the plug-in {name!r} raised {type(error).__name__}: {error}")
        if isinstance(said, answer.kind) and _whole(said) and answer.sound(said):
            return said
        what = f"{method.__name__} of the plug-in {name!r}"
        return answer.instead(f"{what} answered {said!r:.80}, which says nothing")

    return asked


def _in_time(
    answer: Answer, method: Callable[..., Any], words: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """What the method answers. Raises what it raises, and TimeoutError."""
    if answer.within is None:
        return method(*words, **named)
    limit, came = answer.within(*words, **named), list[Any]()

    def call() -> None:
        try:
            came.append((method(*words, **named), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked
            came.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(limit)
    if not came:
        raise TimeoutError(f"no answer within {limit:g} s")
    said, error = came[0]
    if error is not None:
        raise error
    return said


def _whole(said: Any) -> bool:
    """Whether each part of it is of its type: else the journal breaks, or whoever reads on."""
    if not is_dataclass(said):
        return True
    from pydantic import ValidationError

    kind: Any = type(said)
    for name, adapter in _adapters(kind).items():
        try:
            adapter.validate_python(getattr(said, name), strict=True)
        except ValidationError:
            return False
    return True


@cache
def _adapters(kind: Any) -> Mapping[str, Any]:
    from pydantic import TypeAdapter

    hints = get_type_hints(kind)
    return {each.name: TypeAdapter(hints[each.name]) for each in fields(kind)}


def _plain(data: Mapping[str, Any]) -> bool:
    """Whether it can be written down."""
    try:
        json.dumps(dict(data), allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _all(kind: type) -> Callable[[Iterable[Any]], bool]:
    return lambda said: all(isinstance(each, kind) for each in said)


def _refused(reason: str) -> NoReturn:
    raise Refused(reason, next="mend the plug-in, or leave it out")


def _failed(reason: str) -> Result:
    return Result(State.FAILED, reason=reason)


def _ended(result: Result | None) -> bool:
    return result is None or (math.isfinite(result.seconds) and _plain(result.saved))


_NOTHING = type(None)
_DOES = Answer(Result, _failed, _ended)
STEP = Promise(
    ("describe", "before", "act", "undo"),
    {
        "describe": Answer(str, _refused),
        "reads": Answer(Sequence, _refused, _all(str)),
        "ready": Answer(_NOTHING, _refused),
        "before": Answer(Undo, _refused, lambda undo: _plain(undo.data)),
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
            within=lambda _probe, look: look.timeout + GRACE,
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
        ),
        "restart": _DOES,
        "stop": _DOES,
        "logs": Answer(str, _refused),
        "streams": Answer(Mapping, _refused, lambda said: _all(str)([*said, *said.values()])),
        "find": Answer(Sequence, lambda _: (), _all(Mapping)),
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
