"""The same for many, side by side: in order, never too many at once, and none after a failure."""

from __future__ import annotations

import threading

import pytest

from backout.ports.abreast import abreast


def test_outcomes_stand_in_the_order_of_the_items_whoever_is_first() -> None:
    last = threading.Event()

    def do(n: int) -> int:
        if n == 9:
            last.set()
        assert n != 0 or last.wait(10), "the first waits for the last"
        return n * n

    assert abreast(do, range(10), 2) == [n * n for n in range(10)]


@pytest.mark.parametrize("items", [[], ["one"]])
def test_where_there_is_no_choice_nothing_is_started(items: list[str]) -> None:
    here = [threading.get_ident()] * len(items)
    assert abreast(lambda _: threading.get_ident(), items, 8) == here


def test_so_many_are_at_work_at_once_and_no_more() -> None:
    together, at_work = threading.Barrier(3), list[int]()

    def do(n: int) -> int:
        at_work.append(n)
        together.wait(10)
        busy = len(at_work)
        together.wait(10)
        at_work.remove(n)
        together.wait(10)
        return busy

    assert abreast(do, range(9), 3) == [3] * 9


def test_after_one_that_fails_nothing_begins_and_the_first_items_error_is_raised() -> None:
    together, begun = threading.Barrier(2), list[int]()

    def do(n: int) -> None:
        begun.append(n)
        together.wait(10)
        raise ValueError(n)

    with pytest.raises(ValueError, match=r"^0$"):
        abreast(do, range(100), 2)
    assert sorted(begun) == [0, 1]


def test_what_has_begun_when_one_fails_is_awaited() -> None:
    failed, ended = threading.Event(), list[int]()

    def do(n: int) -> None:
        if n == 0:
            assert failed.wait(10)
            ended.append(n)
            return
        failed.set()
        raise ValueError(n)

    with pytest.raises(ValueError, match=r"^1$"):
        abreast(do, range(100), 2)
    assert ended == [0]
