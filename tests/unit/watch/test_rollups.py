"""Tallies: many looks in a few bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.adapters.storage.health_change import DAY, HOUR, HOURS, RAW
from backout.adapters.storage.health_store import HealthStore
from backout.model import CheckKey, Sample, Streak, Verdict
from backout.watch import rollups
from backout.watch.rollups import Tally, decode, encode, fold, tally

SPOT = CheckKey("prod", "alive")
NOON = 1706616000.0  # 2024-01-30 12:00:00 UTC

samples = st.lists(
    st.builds(
        Sample,
        st.just(SPOT),
        st.just(NOON),
        st.sampled_from(Verdict),
        st.floats(0, 10_000_000, allow_nan=False),
    )
)


def looks(milliseconds: Sequence[float], verdict: Verdict = Verdict.PASS) -> list[Sample]:
    return [Sample(SPOT, NOON, verdict, each) for each in milliseconds]


@given(samples)
def test_a_tally_is_the_same_after_it_was_written(seen: list[Sample]) -> None:
    assert decode(encode(tally(seen))) == tally(seen)


@given(samples, samples)
def test_the_sum_of_two_tallies_is_the_tally_of_all(a: list[Sample], b: list[Sample]) -> None:
    assert tally(a) + tally(b) == tally([*a, *b])
    assert decode(fold(encode(tally(a)), b)) == tally([*a, *b])


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_percentile_is_right_within_three_per_cent(share: float) -> None:
    chance = random.Random(7)
    measured = sorted(chance.lognormvariate(4, 1) for _ in range(5000))
    exact = measured[int(share * len(measured)) - 1]
    told = tally(looks(measured)).percentile(share)
    assert told == pytest.approx(exact, rel=0.03)


def test_uptime_is_the_share_of_looks_that_passed() -> None:
    seen = looks([5.0] * 6) + looks([5.0], Verdict.FAIL) + looks([5.0], Verdict.INCONCLUSIVE)
    counted = tally(seen)
    assert counted.uptime == 0.75
    assert counted.count(Verdict.INCONCLUSIVE) == 1
    assert Tally().uptime is None
    assert Tally().percentile(0.5) is None


def test_a_tally_cannot_grow_beyond_a_kilobyte() -> None:
    everywhere = tuple((bucket, 86_400) for bucket in range(rollups.SIZE))
    worst = Tally((86_400,) * 4, everywhere)
    assert len(encode(worst)) < 1200
    assert rollups.bucket_of(1e12) == rollups.SIZE - 1


# --- in the store ----------------------------------------------------------------------------


def write(store: HealthStore, seen: Sequence[Sample]) -> None:
    with store.write() as change:
        for sample in seen:
            change.look(sample, Streak())


def test_hours_and_days_are_the_same_whenever_they_are_rolled_up(tmp_path: Path) -> None:
    seen = [
        Sample(SPOT, NOON + minute * 60, Verdict.PASS, 5.0 + minute % 7) for minute in range(3000)
    ]
    with HealthStore(tmp_path / "health.db", str, fold) as store:
        write(store, seen[:100])
        store.roll_up(NOON)
        write(store, seen[100:2000])
        store.roll_up(NOON + 2000 * 60)
        store.roll_up(NOON + 2000 * 60)
        write(store, seen[2000:])  # these are not rolled up
        hours = {at: decode(body) for at, body in store.hours(SPOT).items()}
        days = {at: decode(body) for at, body in store.days(SPOT).items()}
    assert hours == {
        at: tally([s for s in seen if s.at // HOUR * HOUR == at])
        for at in {int(s.at // HOUR * HOUR) for s in seen}
    }
    assert days == {
        at: tally([s for s in seen if s.at // DAY * DAY == at])
        for at in {int(s.at // DAY * DAY) for s in seen}
    }


def test_a_look_that_comes_after_its_hour_still_counts_in_it_once(tmp_path: Path) -> None:
    with HealthStore(tmp_path / "health.db", str, fold) as store:
        write(store, [Sample(SPOT, NOON, Verdict.PASS, 5.0)])
        store.roll_up(NOON + 2 * HOUR)
        write(store, [Sample(SPOT, NOON + 1, Verdict.FAIL, 5.0)])  # the clock was set back
        store.roll_up(NOON + 2 * HOUR)
        (hour,) = store.hours(SPOT).values()
    assert decode(hour).verdicts == (1, 1, 0, 0)


def test_a_check_that_is_looked_at_each_minute_stays_below_400_kilobytes(tmp_path: Path) -> None:
    """And needs no more in any further year, but for its days: some 40 kilobytes a year."""
    chance = random.Random(1)
    measured = [chance.lognormvariate(3, 0.5) for _ in range(1440)]
    with HealthStore(tmp_path / "health.db", str, fold) as store:
        empty = live_bytes(store)
        write(
            store,
            [Sample(SPOT, NOON + n * 60, Verdict.PASS, ms) for n, ms in enumerate(measured * 3)],
        )
        looks_alone = live_bytes(store) - empty
        rolled(store, "hour", HOURS // HOUR, measured[:60])
        hours = live_bytes(store) - empty - looks_alone
        rolled(store, "day", 365, measured)
        days = live_bytes(store) - empty - looks_alone - hours
    assert looks_alone < 200_000  # two days and the one that is being written
    assert hours < 120_000
    assert days < 60_000


def rolled(store: HealthStore, table: str, count: int, measured: Sequence[float]) -> None:
    """As many buckets as are ever kept."""
    body = encode(tally(looks(measured)))
    with store.write() as change:
        for n in range(count):
            change._db.execute(f"INSERT INTO {table} VALUES (1, ?, ?)", (n, body))


def test_single_looks_are_forgotten_after_two_days_and_hours_after_thirty_five(
    tmp_path: Path,
) -> None:
    with HealthStore(tmp_path / "health.db", str, fold) as store:
        for day in range(40):
            write(store, [Sample(SPOT, NOON + day * DAY, Verdict.PASS, 5.0)])
            store.roll_up(NOON + day * DAY)
        last = NOON + 39 * DAY
        assert [look.at for look in store.looks(SPOT)] == [last - RAW, last - DAY, last]
        assert min(store.hours(SPOT)) == last - HOURS
        assert len(store.days(SPOT)) == 40


def live_bytes(store: HealthStore) -> int:
    pages, free, size = (
        store._db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
