"""Records as they are read from their rows, a few or thousands."""

from __future__ import annotations

import json

import pytest

from backout.adapters.storage.journal_rows import TOGETHER, records
from support.runs import NOW

REFERENCE = "\ue000s\ue001"


def rows(count: int) -> list[tuple[int, str, str, str, str]]:
    return [
        (n, "end", f"web{n}/0", NOW.isoformat(), json.dumps({"step": f"{n}", "host": [n, "é\\"]}))
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, TOGETHER, TOGETHER + 1])
def test_each_row_is_a_record_in_its_place(count: int) -> None:
    found = list(records(rows(count), str))
    assert [(r.seq, r.kind, r.key, r.at) for r in found] == [
        (n, "end", f"web{n}/0", NOW) for n in range(count)
    ]
    assert [r.body for r in found] == [{"step": f"{n}", "host": [n, "é\\"]} for n in range(count)]


def test_what_records_are_told_in_is_held_once_for_all_of_them() -> None:
    one, *others = records(rows(TOGETHER), str)
    words = [id(word) for word in one.body]
    assert all([id(word) for word in other.body] == words for other in others)


def test_a_secret_is_put_into_the_record_that_refers_to_it_and_no_other() -> None:
    kept = [json.dumps({"text": text}) for text in (f"a {REFERENCE}", "plain", "new\nline")]
    known = [(n, "note", "", NOW.isoformat(), text) for n, text in enumerate(kept)]
    found = records(known, lambda text: text.replace(REFERENCE, "s3cret"))
    assert [r.body["text"] for r in found] == ["a s3cret", "plain", "new\nline"]


def test_a_row_that_is_torn_is_no_record() -> None:
    torn = [(1, "note", "", NOW.isoformat(), '{"text": ')]
    with pytest.raises(json.JSONDecodeError):
        list(records(torn, str))
