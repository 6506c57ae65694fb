"""What is the same for every host is asked once, by whoever comes first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backout.runs.once import Asked


def test_everybody_who_asks_meanwhile_has_the_first_ones_answer() -> None:
    once, asked, all_there = Asked(), list[int](), threading.Barrier(8)

    def ask(number: int) -> int:
        def answer() -> int:
            asked.append(number)
            return number

        all_there.wait()
        return once("remote", answer)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert answers == asked * 8


def test_each_question_has_its_own_answer() -> None:
    once = Asked()
    assert (once("one", lambda: 1), once("two", lambda: 2), once("one", lambda: 3)) == (1, 2, 1)


def test_a_question_that_failed_is_asked_again() -> None:
    once = Asked()
    with pytest.raises(ZeroDivisionError):
        once("ratio", lambda: 1 / 0)
    assert once("ratio", lambda: 1) == 1
