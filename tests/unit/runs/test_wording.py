"""How what is done, and what comes of it, is put into words."""

from __future__ import annotations

import pytest

from backout.model import Result, State, Step
from backout.runs.wording import items_of, no_way_back, words_of


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (Result(State.FAILED, 1, "out", "err", reason="it timed out"), "it timed out"),
        (Result(State.FAILED, 1, "out", "first\nlast \n"), "last"),
        (Result(State.FAILED, 1, "first\nlast\n"), "last"),
        (Result(State.FAILED, 3), "exit code 3"),
        (Result(State.UNKNOWN, None), ""),
    ],
)
def test_what_says_most_of_a_failure_is_its_words(result: Result, words: str) -> None:
    assert words_of(result) == words


def test_what_cannot_be_undone_is_told_with_what_must_pass_before() -> None:
    mail = Step(name="Mail", kind="run", options=None, irreversible="letters are sent")
    drop = mail.model_copy(update={"name": "Drop", "net": ("saved", "read back")})
    assert list(no_way_back((mail, drop))) == [
        "Mail cannot be undone: letters are sent",
        "Drop cannot be undone: letters are sent; right before it must pass: saved, read back",
    ]


def test_whoever_confirms_a_list_sees_each_of_its_items() -> None:
    given = {"ids": [7, 9], "reason": "asked for", "none": []}
    assert list(items_of(given)) == ["ids, 1 of 2: 7", "ids, 2 of 2: 9"]
