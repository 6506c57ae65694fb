"""Which runs a host may name, and what it keeps on record while runs come and go."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backout.model import LedgerRow, Release
from backout.runs.claims import Brought, expected, stranger
from backout.runs.release_file import HostRecord

BOTH = frozenset(("web1", "web2"))


def brought(run: str, hosts: frozenset[str] = BOTH, *, sure: bool = True, **found: str) -> Brought:
    return Brought(frozenset((run,)), hosts, hosts if sure else frozenset(), found)


ONE = brought("r1")


@pytest.mark.parametrize(
    ("last", "known", "undoing", "in_the_way"),
    [
        ("r2", (brought("r2", web1="r1"), ONE), 1, None),
        ("r1", (brought("r2", web1="r1"), ONE), 1, "r1"),
        ("b1", (brought("r2", web1="r1"), ONE), 1, "b1"),
        ("", (brought("r2", web1="r1"), ONE), 1, ""),
        ("r2", (brought("r2", web1="b1"), ONE), 1, "b1"),
        ("r2", (brought("r2"), ONE), 1, None),
        ("r1", (brought("r2", sure=False), ONE), 1, None),
        ("r2", (brought("r2", sure=False), ONE), 1, None),
        ("r3", (brought("r3", web1="r2"), brought("r2", web1="b1"), ONE), 2, "b1"),
        ("r3", (brought("r3", web1="r1"), brought("r2", frozenset(("web2",))), ONE), 2, None),
        ("r1", (brought("r2", frozenset(("web2",))), ONE), 1, None),
        ("r2", (Brought(frozenset(("r2",)), BOTH, BOTH, {"web1": ""}),), 1, None),
    ],
)
def test_a_run_that_the_journal_does_not_expect_stands_in_the_way(
    last: str, known: tuple[Brought, ...], undoing: int, in_the_way: str | None
) -> None:
    assert stranger(known, undoing, "web1", last) == in_the_way


def test_a_release_that_a_rollback_came_back_to_may_be_named_by_either() -> None:
    known = (Brought(frozenset(("r1", "back")), BOTH, BOTH),)
    assert expected(known, "web1") == {"r1", "back"}
    assert expected(known, "web9") == {""}


def test_a_record_names_the_run_that_is_not_done_and_then_what_was_there_again() -> None:
    there = HostRecord().arrived("r1", Release(4, "abc"))
    begun = there.begun("r2", 7)
    assert (there.last, begun.last, begun.before("r2"), begun.highest) == ("r1", "r2", "r1", 7)
    assert begun.release == Release(4, "abc")
    gone = begun.going_back("r2").went_back("r2")
    assert (gone.last, gone.over, gone.highest, gone.back) == ("r1", "r2", 7, False)
    assert gone.arrived("r3", Release(5)).highest == 7
    assert HostRecord().release is None


def test_a_run_that_was_left_half_done_is_named_until_another_arrives() -> None:
    left = HostRecord().arrived("r1", Release(1)).begun("b1", 2)
    over = left.begun("r2", 3)
    assert over.went_back("r2").last == "b1"
    assert over.arrived("r2", Release(3)).during == ()


def test_a_record_goes_back_to_what_the_host_had_and_not_to_what_others_had() -> None:
    there = HostRecord().arrived("r3", Release(3)).begun("back", 0)
    none = there.returned("back", None)
    assert (none.release, none.last, none.over, none.highest) == (None, "", "back", 3)
    row = LedgerRow("prod", 1, "abc", "r1", datetime.now(UTC), True, ("web2",), False, (), "")
    older = there.returned("back", row)
    assert (older.release, older.last, older.over, older.highest) == (row.release, "r1", "back", 3)
