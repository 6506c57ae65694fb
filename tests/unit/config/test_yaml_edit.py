"""A YAML text says something else, and what people wrote around it is still there."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.config import yaml_tree
from backout.config.yaml_edit import edited
from backout.documents.files import dumped

TEXT = """\
# head
summary: "A thing"   # why

steps:
  # of the first
  - name: One   # behind
    run: |
      echo a
      # no comment
    undo: bin/undo
    follows: {lines: 4, sha256: aa}

  # of the second
  - name: Two
    run: echo two # c2
    irreversible: "undecided"
settle:
- {name: Prove it, verify: all}
# the end
"""


def says(text: str) -> Any:
    return yaml_tree.parse(text, "x", []).data()


def changed(**keys: Any) -> str:
    return edited(TEXT, {**says(TEXT), **keys}, dumped)


def test_what_says_the_same_is_the_same_text() -> None:
    assert changed() == TEXT


def test_only_the_value_that_differs_is_written_anew() -> None:
    assert changed(summary="B") == TEXT.replace('"A thing"', "B")
    steps = copy.deepcopy(says(TEXT)["steps"])
    steps[0]["follows"]["lines"] = "7-8"
    assert changed(steps=steps) == TEXT.replace("lines: 4", "lines: 7-8")


def test_a_key_comes_and_goes_and_its_neighbours_stay() -> None:
    steps = copy.deepcopy(says(TEXT)["steps"])
    del steps[1]["irreversible"]
    steps[1]["undo"] = "bin/back"
    wanted = TEXT.replace('irreversible: "undecided"', "undo: bin/back")
    assert changed(steps=steps) == wanted


def test_steps_come_go_and_move_with_their_comments() -> None:
    one, two = says(TEXT)["steps"]
    text = changed(steps=[two, {"name": "New", "run": "a\nb\n"}, one])
    assert [step["name"] for step in says(text)["steps"]] == ["Two", "New", "One"]
    assert "  # of the second\n  - name: Two\n    run: echo two # c2\n" in text
    assert "  - name: New\n    run: |\n      a\n      b\n" in text
    assert "# of the second" in changed(steps=[one]), "a comment is people's"


def test_a_comment_does_not_become_a_part_of_a_longer_text() -> None:
    steps = copy.deepcopy(says(TEXT)["steps"])
    steps[1]["run"] = "echo two\necho three\n"
    text = changed(steps=steps)
    assert says(text)["steps"] == steps
    assert "# c2" in text


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\n",
        "a: &x\n  b: 1\nc:\n  <<: *x\n  d: 2\n",
        "{a: 1, b: [1, 2]}\n",
        "a: 1",
    ],
)
def test_anchors_and_flow_are_no_obstacle(text: str) -> None:
    wanted = {**says(text), "c": {"b": 7, "e": [1]}, "new": "x"}
    assert says(edited(text, wanted, dumped)) == wanted


VALUES = st.recursive(
    st.one_of(st.integers(0, 9), st.text("ab#:- \n'\"", max_size=6), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("nmxy"), inner, max_size=3)
    ),
    max_leaves=8,
)
WHOLE = st.dictionaries(st.sampled_from(["steps", "n", "q", "z"]), VALUES, min_size=1, max_size=4)


@pytest.mark.usefixtures("unhurried")
@given(WHOLE, WHOLE)
def test_whatever_is_wanted_is_said_then(before: dict[str, Any], wanted: dict[str, Any]) -> None:
    text = dumped(before)
    assert says(edited(text, wanted, dumped)) == wanted
