"""The objects that verbs answer: told as JSON, read back, and documented, all from their types."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from backout.commands.options import VERBS
from backout.reports.report import Report
from backout.reports.told import Told, key_of
from support import json_page


def test_the_page_of_the_objects_is_made_from_their_types() -> None:
    assert json_page.PAGE.read_text() == json_page.page(), "in tests/: python -m support.json_page"


def test_every_verb_says_what_it_answers() -> None:
    assert set(json_page.ANSWERS) == {each.name for each in VERBS}


@pytest.mark.parametrize("kind", json_page.kinds(), ids=lambda kind: kind.__name__)
def test_what_is_told_is_read_back_as_the_same_object(kind: type[Told]) -> None:
    made, known = json_page.example(kind), kind
    told = json.loads(json.dumps(made.to_data()))
    assert kind.read(told) == made
    noun: Any = known
    assert set(told) == {key_of(each) for each in fields(noun)}


def test_what_an_older_version_did_not_say_has_its_default_and_its_words_stay() -> None:
    told = {"run": "r", "target": "t", "runbook": "b", "outcome": "succeeded", "exit_code": 0}
    report = Report.read({**told, "release": {"from": "41 (aaaaaaa)", "to": None}})
    assert (report.ends.start, report.previous, report.steps) == ("41 (aaaaaaa)", None, ())
    assert report.to_data()["release"] == {"from": "41 (aaaaaaa)", "to": None}


def test_what_says_nothing_may_be_left_out() -> None:
    report = Report.read({"run": "r", "target": "t", "runbook": "b", "outcome": "refused",
                          "exit_code": 3})  # fmt: skip
    assert {"error", "by", "records", "notes", "rehearsal"}.isdisjoint(report.to_data())
