"""A history of checks that was kept for long: no table of it grows beyond its window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backout.adapters.storage import health_change
from backout.adapters.storage.health_change import DAY, HOUR
from support.journals import empty_ledger
from support.postgres import Postgres
from support.year import ZONES, Year

GROWING = {"day", "incident", "revert", "snapshot", "spot"}
"""They are kept for 800 days, and with them what they hang on."""


@pytest.fixture
def year(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Year]:
    """Of a history that keeps things for a tenth of the time, or less."""
    for name, seconds in (("RAW", HOUR), ("HOURS", 3 * DAY), ("LETTERS", 2 * DAY)):
        monkeypatch.setattr(health_change, name, seconds)
    made = Year(empty_ledger(postgres), 3)
    yield made
    made.close()


@pytest.mark.timeout(400)
def test_no_table_holds_more_rows_after_its_window_than_in_it(year: Year) -> None:
    year.minutes(120)
    assert year.sizes()["look"].rows == 3 * 60
    year.minutes(60)
    assert year.sizes()["look"].rows == 3 * 60
    for _ in range(4):
        year.day()
    year.questions(year.keys)
    before = year.sizes()
    assert before["hour"].rows == 3 * 24 * 3
    for _ in range(3):
        year.day()
        year.questions(year.keys)
    after = year.sizes()
    assert after["day"].rows == before["day"].rows + 3 * 3
    assert after["question"].rows == 3 * len(ZONES)
    grown = {name for name, size in after.items() if size.rows > before[name].rows}
    assert grown <= GROWING
    assert after["settled"].rows == 1, "a process leaves one"
