"""Whether a host is the machine that is meant: it is, it is not, and nobody knows."""

from __future__ import annotations

from typing import cast

import pytest

from backout.errors import Unreachable
from backout.model import Host, Result, State
from backout.ports import Transport
from backout.runs.right_machine import wrong_machine
from support.transports import Told

MEANT = Host.model_validate({"name": "web1", "is": "grep -q prod /etc/role"})


def asked(*answers: Result | Unreachable, host: Host = MEANT) -> str:
    return wrong_machine(host, cast("Transport", Told(*answers)))


def test_where_nothing_is_said_of_it_nothing_is_asked() -> None:
    assert asked(host=Host(name="web1")) == ""


def test_the_machine_that_is_meant_says_so() -> None:
    assert asked(Result(State.DONE, 0)) == ""


@pytest.mark.parametrize(
    ("out", "err", "words"),
    [
        ("", "", "says no"),
        ("this is stage\n", "", "says no: this is stage"),
        ("out\n", "look:\nthis is stage\n", "says no: this is stage"),
    ],
)
def test_another_machine_says_no_and_its_last_words_are_heard(
    out: str, err: str, words: str
) -> None:
    said = asked(Result(State.FAILED, 1, out, err))
    assert said == f"web1 is not the machine that is meant: 'grep -q prod /etc/role' {words}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Unreachable("nothing listens on web1:22"), "nothing listens on web1:22"),
        (Result(State.UNKNOWN, None, reason="timed out after 30 s"), "timed out after 30 s"),
        (Result(State.UNKNOWN, None), "unknown"),
    ],
)
def test_no_answer_is_no_yes(answer: Result | Unreachable, why: str) -> None:
    assert asked(answer) == f"whether web1 is the machine that is meant is not known: {why}"
