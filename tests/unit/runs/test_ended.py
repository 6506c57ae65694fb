"""How a run ended is on record while its hosts are still held, and only what is over is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.adapters.storage.journal import SqliteJournal
from backout.model import Finding, HostEnd, HostState, Outcome, Release, Verdict
from backout.runs.decisions import Decisions
from backout.runs.ended import OVER, Ended, on_record, put_on_record
from support.clock import ManualClock

RUN = "run-7"
ON_2 = HostEnd(HostState.WITHDRAWN, Release(2, "abc"), "it failed, within max_failures")
RED = Finding("well", "web2", Verdict.FAIL, 12.0, ("status == 200",), "503", saved={"n": 1})
WHOLE = Ended(
    Outcome.BACKED_OUT,
    4,
    "Ill on web2 failed",
    {
        "web1": HostEnd(HostState.BACKED_OUT, Release(1)),
        "web2": ON_2,
        "web3": HostEnd(HostState.UNCHANGED),
    },
    Release(3, "def"),
    (RED, Finding("whole", None, Verdict.PASS)),
    "the disk is full",
)
BARE = Ended(Outcome.SUCCEEDED, 0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path / "journal.db", str) as journal:
        now = ManualClock().now()
        journal.open_run(RUN, "prod", "deploy", "deploy", {}, "ann@laptop", now, {})
        yield journal


@pytest.mark.parametrize("ended", [WHOLE, BARE], ids=["all there is to say", "next to nothing"])
def test_whoever_goes_on_is_told_how_it_ended_and_all_of_it(
    ended: Ended, journal: SqliteJournal
) -> None:
    decisions = Decisions(RUN, journal)
    assert put_on_record(decisions, ended) is ended
    assert on_record(decisions) == ended
    assert on_record(Decisions(RUN, journal)) == ended, "and by another process"


def test_what_is_incomplete_is_not_over(journal: SqliteJournal) -> None:
    stuck = Ended(Outcome.BACKOUT_INCOMPLETE, 5, "web2 cannot be reached")
    decisions = Decisions(RUN, journal)
    assert put_on_record(decisions, stuck) is stuck
    assert on_record(decisions) is None
    assert [record.kind for record in journal.recall(RUN)] == []


def test_it_is_the_last_word_on_a_run(journal: SqliteJournal) -> None:
    decisions = Decisions(RUN, journal)
    assert on_record(decisions) is None
    put_on_record(decisions, BARE)
    put_on_record(decisions, WHOLE)
    assert on_record(Decisions(RUN, journal)) == WHOLE
    assert [record.kind for record in journal.recall(RUN)] == [OVER, OVER]
