"""Every look counts once on the status page: rolled up or not, and after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backout.adapters.storage.health_store import HealthStore
from backout.adapters.storage.journal import SqliteJournal
from backout.model import CheckKey, Sample, Streak, Verdict
from backout.status_page.facts import DAY, HOUR
from backout.status_page.history import Histories, Ledger
from backout.watch import rollups

START = 1_780_000_000.0 // DAY * DAY
SPOT = CheckKey("prod", "alive", "web1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HealthStore]:
    with HealthStore(tmp_path / "health.db", str, rollups.fold) as opened:
        yield opened


def look(store: HealthStore, at: float, verdict: Verdict = Verdict.PASS, ms: float = 40.0) -> None:
    with store.write() as change:
        change.look(Sample(SPOT, at, verdict, ms), Streak())


def looks(histories: Histories) -> int:
    return sum(tally.looks for tally in histories.days.get(SPOT, {}).values())


def test_looks_are_counted_by_day_and_measured_by_hour(store: HealthStore) -> None:
    histories = Histories(store)
    for minute in range(180):
        look(store, START + minute * 60, Verdict.FAIL if minute == 7 else Verdict.PASS)
    histories.refresh(START + 3 * HOUR)
    (day,) = histories.days[SPOT].values()
    assert (day.looks, day.count(Verdict.FAIL)) == (180, 1)
    medians = [median for median, _ in histories.hours[SPOT].values()]
    assert medians == pytest.approx([40, 40, 40], rel=0.03)
    assert histories.last[SPOT].at == START + 179 * 60


def test_only_what_is_new_is_told_for_the_metrics(store: HealthStore) -> None:
    histories = Histories(store)
    look(store, START)
    assert histories.refresh(START + 1) == ()
    look(store, START + 2)
    assert [sample.at for sample in histories.refresh(START + 3)] == [START + 2]
    assert histories.refresh(START + 4) == ()


def test_rolling_up_and_a_restart_change_nothing_of_what_is_shown(store: HealthStore) -> None:
    before = Histories(store)
    for minute in range(90):
        look(store, START + minute * 60)
        if minute == 30:
            before.refresh(START + minute * 60)
            store.roll_up(START + minute * 60)
    before.refresh(START + 2 * HOUR)
    after = Histories(store)
    after.refresh(START + 2 * HOUR)
    assert looks(before) == looks(after) == 90
    assert before.days == after.days
    assert before.hours == after.hours
    assert before.last == after.last


def test_what_is_too_old_to_be_shown_is_forgotten(store: HealthStore) -> None:
    histories = Histories(store)
    look(store, START)
    histories.refresh(START + 1)
    look(store, START + 100 * DAY)
    histories.refresh(START + 100 * DAY)
    assert list(histories.days[SPOT]) == [(START + 100 * DAY) // DAY]
    assert len(histories.hours[SPOT]) == 1


# --- runs --------------------------------------------------------------------------------------


def test_refused_runs_do_not_fill_the_list(tmp_path: Path) -> None:
    at = datetime(2024, 1, 30, tzinfo=UTC)
    with SqliteJournal(tmp_path / "journal.db", str) as journal:
        for number in range(30):
            run = f"20240130-0000{number:02}-0000000000000000"
            journal.open_run(run, "prod", "deploy", "deploy", {}, "ann@laptop", at, {})
            outcome = "refused" if number else "succeeded"
            journal.close_run(run, outcome, 3 if number else 0, {}, at)
        ledger = Ledger.of(journal, "prod")
    assert [ran.outcome for ran in ledger.runs] == ["succeeded"]
