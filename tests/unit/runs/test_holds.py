"""What a run that is held waits for, and what became of it: all of that is in its records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from backout.model import Record
from backout.ports import ANSWERED, HELD
from backout.runs.holds import Given, Hold, Holds, Question, held_until, typed

NIGHT = datetime(2024, 1, 30, 3, 4, 5, tzinfo=UTC)
UNTIL = NIGHT + timedelta(hours=2)
BAD = Question("steps/1@web1", 1, "Bad", "web1", "no space left", ("web1", "web2"))
GOOD = Question("steps/0@web2", 1, "Good", "web2", "exit code 1")
PROOF = Question("proof", 2, "Prove", "", "check whole fails")
numbers = count()


def record(kind: str, body: dict[str, Any], key: str = "") -> Record:
    """As it comes back from a journal."""
    return Record(next(numbers), kind, key, NIGHT, json.loads(json.dumps(body)))


def held(number: int, *questions: Question) -> Record:
    return record(HELD, Hold(number, NIGHT, "ann@laptop", UNTIL, questions).record())


def answered(question: Question, answer: str) -> Record:
    return record(ANSWERED, {"key": question.key, "answer": answer, "by": "bob@desk"})


def after(*records: Record) -> tuple[tuple[Question, ...], dict[str, str]]:
    """What is waited for, and the answers on which nobody has acted yet."""
    known = Holds.of(records)
    return known.open, {key: given.answer for key, given in known.pending.items()}


def ended(question: Question) -> Record:
    return record("end", {}, question.key)


def test_a_hold_comes_back_whole_from_its_record() -> None:
    (hold,) = Holds.of([held(7, BAD, PROOF)]).all
    assert hold == Hold(7, NIGHT, "ann@laptop", UNTIL, (BAD, PROOF))


def test_who_answered_what_and_when_comes_back_too() -> None:
    known = Holds.of([held(1, BAD, GOOD), answered(BAD, "again"), answered(GOOD, "done")])
    assert known.pending == {
        BAD.key: Given("again", "bob@desk", NIGHT),
        GOOD.key: Given("done", "bob@desk", NIGHT),
    }
    assert known.last is not None
    assert known.last.answers == known.pending


@pytest.mark.parametrize(
    ("more", "waits", "pending"),
    [
        ((), (GOOD,), {BAD.key: "again"}),
        ((answered(GOOD, "done"),), (), {BAD.key: "again", GOOD.key: "done"}),
        ((ended(BAD),), (GOOD,), {}),
        ((ended(GOOD),), (GOOD,), {BAD.key: "again"}),
        ((answered(GOOD, "done"), ended(BAD)), (), {GOOD.key: "done"}),
        ((record("begin", {}, BAD.key),), (GOOD,), {BAD.key: "again"}),
        ((held(2, GOOD, PROOF),), (GOOD, PROOF), {BAD.key: "again"}),
        ((held(2, BAD, GOOD),), (BAD, GOOD), {}),
        ((held(2, PROOF), answered(PROOF, "done")), (), {BAD.key: "again", PROOF.key: "done"}),
        ((record("lost", {}),), (GOOD,), {BAD.key: "again"}),
        ((record("back_out", {"why": "it failed"}),), (), {}),
        ((record("decided", {}),), (), {}),
    ],
)
def test_an_answer_waits_until_it_was_acted_upon_and_a_question_until_it_is_answered(
    more: tuple[Record, ...], waits: tuple[Question, ...], pending: dict[str, str]
) -> None:
    """And what fails again is asked again, as long as the run has not gone either way."""
    assert after(held(1, BAD, GOOD), answered(BAD, "again"), *more) == (waits, pending)


def test_only_the_last_hold_is_open() -> None:
    known = Holds.of([held(1, BAD), held(2, BAD, GOOD), held(3, BAD)])
    assert [each.number for each in known.all] == [1, 2, 3]
    assert [each.over for each in known.all] == [True, True, False]
    assert [each.open for each in known.all] == [(), (), (BAD,)]
    for more in (answered(BAD, "again"), record("back_out", {})):
        assert [each.number for each in known.after(more).all] == [1, 2, 3]
    assert [each.over for each in known.after(record("back_out", {})).all] == [True] * 3


def test_where_nothing_was_asked_nothing_is_open() -> None:
    for each in (answered(BAD, "again"), ended(BAD), record("decided", {})):
        known = Holds.of([each])
        assert (known, known.last, known.open) == (Holds(), None, ())


def test_a_question_says_where_and_what_to_type_until_when() -> None:
    assert (BAD.place, PROOF.place) == ("Bad on web1", "Prove on this machine")
    words = "invoke hold r7{} --answer again|done|back-out"
    assert typed(BAD, "r7") == words.format(" --host web1")
    assert typed(PROOF, "r7") == words.format("")
    assert held_until(Hold(1, NIGHT, "", UNTIL, ())) == "2024-01-30 05:04:05Z"
