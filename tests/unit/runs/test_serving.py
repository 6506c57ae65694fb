"""Whether a service runs: three answers, and a moment of doubt is given time to pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import pytest

from backout.errors import Refused
from backout.model import Identity
from backout.ports import Restarter
from backout.runs.serving import DOUBT, serving
from support.clock import ManualClock

UP = Identity(up=True, value="42.1")
DOWN = Identity(up=False)
ABSENT = Identity(up=False, known=False, absent=True)
UNKNOWN = Identity(up=False, known=False, detail="it does not answer")


class Backend:
    """Says one thing after the other, and the last one for ever."""

    def __init__(self, answers: Iterable[Identity]) -> None:
        self.answers = list(answers)

    def identity(self) -> Identity:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def asked(*answers: Identity, patient: bool = False) -> tuple[Identity | None, float]:
    """What is said in the end, and how long that took."""
    clock, backend = ManualClock(), cast("Restarter", Backend(answers))
    if patient:
        seen = serving(lambda: backend, clock, lambda seen: seen.runs is True)
    else:
        seen = serving(lambda: backend, clock)
    return seen, clock.monotonic()


@pytest.mark.parametrize("answer", [UP, DOWN, ABSENT])
def test_who_can_tell_is_asked_once(answer: Identity) -> None:
    assert asked(answer) == (answer, 0.0)


def test_a_moment_in_which_nobody_can_tell_passes() -> None:
    assert asked(UNKNOWN, UNKNOWN, UP) == (UP, DOUBT / 4)


def test_who_cannot_tell_for_that_long_cannot_tell() -> None:
    assert asked(UNKNOWN) == (UNKNOWN, DOUBT)


def test_who_is_to_run_is_given_the_time_to_come_up() -> None:
    assert asked(DOWN, UNKNOWN, UP, patient=True) == (UP, DOUBT / 4)
    assert asked(DOWN, patient=True) == (DOWN, DOUBT)


def test_where_there_is_no_backend_nobody_is_asked() -> None:
    def none() -> Restarter:
        raise Refused("no service")

    assert serving(none, ManualClock()) is None
