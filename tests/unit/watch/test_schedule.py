"""What is due, to the second; no test waits."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.watch.schedule import LATE, Rhythm, Tick, Timetable, overdue, share

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2024, 1, 30, 12, 0, tzinfo=ZoneInfo("UTC")).timestamp()
MINUTELY = Rhythm("alive", 60.0)

rhythms = st.builds(Rhythm, st.text(max_size=5), st.floats(0.5, 100_000))
moments = st.floats(1.6e9, 1.9e9)


def local(*when: int) -> float:
    return datetime(*when, tzinfo=BERLIN).timestamp()  # type: ignore[arg-type,misc]


def cron_ticks(cron: str, start: float, end: float, zone: str = "Europe/Berlin") -> list[str]:
    """Local times, without the seconds by which checks are spread."""
    rhythm, ticks, at = Rhythm("nightly", cron=cron, zone=zone), [], start
    while (at := rhythm.after(at)) <= end:
        ticks.append(datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%d %H:%M %Z"))
    return ticks


def due(table: Timetable[str], now: float) -> list[Tick[str]]:
    return table.take(now)


@given(rhythms, moments)
def test_the_next_tick_is_after_now_and_at_most_an_interval_and_its_jitter_away(
    rhythm: Rhythm, now: float
) -> None:
    following = rhythm.after(now)
    assert now < following <= now + rhythm.every * 1.06 + 0.001


@given(rhythms, moments, st.integers(1, 50))
def test_ticks_counted_are_the_ticks_that_come(rhythm: Rhythm, now: float, count: int) -> None:
    at = now
    for _ in range(count):
        at = rhythm.after(at)
    assert rhythm.between(now, at) == count
    assert rhythm.last(now, at) == at


def test_checks_of_one_interval_are_spread_evenly_over_it() -> None:
    firsts = sorted(Rhythm(f"check {n}", 60.0).after(NOON) - NOON for n in range(1000))
    per_second = [sum(s <= first < s + 6 for first in firsts) for s in range(0, 60, 6)]
    assert min(per_second) > 50
    assert max(per_second) < 150


def test_a_restart_changes_no_tick() -> None:
    before, after = Timetable[str](), Timetable[str]()
    before.plan({"alive": MINUTELY}, NOON)
    after.plan({"alive": MINUTELY}, NOON + 3600)
    (expected,) = {t.due for t in due(before, NOON + 3661) if t.runs}
    assert expected == MINUTELY.last(NOON, NOON + 3661)
    assert after.next() == MINUTELY.after(NOON + 3600)


def test_a_check_that_still_runs_is_not_started_again() -> None:
    table = Timetable[str]()
    table.plan({"slow": MINUTELY}, NOON)
    first = MINUTELY.after(NOON)
    assert [t.runs for t in due(table, first)] == [True]
    second = MINUTELY.after(first)
    assert [(t.runs, t.overlapped) for t in due(table, second)] == [(False, True)]
    table.ended("slow")
    assert [t.runs for t in due(table, MINUTELY.after(second))] == [True]


def test_after_a_sleep_the_newest_tick_runs_and_the_missed_ones_are_counted() -> None:
    table = Timetable[str]()
    table.plan({"alive": MINUTELY}, NOON)
    (tick,) = due(table, NOON + 600)
    assert tick.runs
    assert tick.missed == 9
    assert tick.due == MINUTELY.last(NOON, NOON + 600)
    assert due(table, NOON + 600) == []


def test_a_tick_that_is_more_than_a_minute_late_is_skipped() -> None:
    daily = Rhythm("daily", cron="0 3 * * *")
    table = Timetable[str]()
    table.plan({"daily": daily}, NOON)
    at = daily.after(NOON)
    (tick,) = due(table, at + LATE + 1)
    assert tick.late
    assert not tick.runs
    assert table.next() == daily.after(at + LATE + 1)


def test_while_in_doubt_a_check_is_looked_at_sooner() -> None:
    table = Timetable[str]()
    table.plan({"alive": MINUTELY}, NOON)
    first = MINUTELY.after(NOON)
    due(table, first)
    table.ended("alive")
    table.hasten("alive", first + MINUTELY.quick())
    assert MINUTELY.quick() == 15.0
    assert [t.due for t in due(table, first + 15)] == [first + 15]
    assert table.next() == MINUTELY.after(first + 15)


def test_a_hastened_look_that_comes_with_the_next_tick_has_missed_nothing() -> None:
    table = Timetable[str]()
    table.plan({"alive": MINUTELY}, NOON)
    first = MINUTELY.after(NOON)
    table.hasten("alive", first - 0.1)
    (tick,) = due(table, first + 0.1)
    assert (tick.due, tick.missed, tick.runs) == (first, 0, True)
    table.ended("alive")
    (tick,) = due(table, MINUTELY.after(MINUTELY.after(first)))
    assert tick.missed == 1, "this one was not hastened"


def test_a_tick_at_the_heels_of_a_hastened_look_is_left_out() -> None:
    table = Timetable[str]()
    table.plan({"alive": MINUTELY}, NOON)
    first = MINUTELY.after(NOON)
    table.hasten("alive", first - 0.1)
    (tick,) = due(table, first - 0.1)
    assert tick.runs
    assert table.next() == MINUTELY.after(first)
    table.hasten("alive", first + 30)
    due(table, first + 30)
    assert table.next() == MINUTELY.after(first), "half an interval is time enough"


def test_a_tick_of_a_calendar_is_never_left_out() -> None:
    daily = Rhythm("daily", cron="0 3 * * *")
    table = Timetable[str]()
    table.plan({"daily": daily}, NOON)
    table.hasten("daily", daily.after(NOON) - 1)
    due(table, daily.after(NOON) - 1)
    assert table.next() == daily.after(NOON)


def test_quick_is_never_slower_than_usual_nor_faster_than_five_seconds() -> None:
    assert Rhythm("x", 2.0).quick() == 2.0
    assert Rhythm("x", 8.0).quick() == 5.0
    assert Rhythm("x", 3600.0).quick() == 900.0
    assert Rhythm("x", cron="0 3 * * *").quick() == 15.0


def test_when_the_clock_goes_back_the_schedule_goes_on_at_once() -> None:
    table = Timetable[str]()
    table.plan({"alive": MINUTELY}, NOON)
    table.replan(NOON - 3600)
    following = MINUTELY.after(NOON - 3600)
    assert following < NOON - 3500
    assert [t.runs for t in due(table, following)] == [True]


def test_a_changed_rhythm_takes_effect_and_a_running_check_stays_running() -> None:
    table = Timetable[str]()
    table.plan({"a": MINUTELY, "b": Rhythm("b", 60.0)}, NOON)
    due(table, MINUTELY.after(NOON))
    faster = Rhythm("alive", 10.0)
    table.plan({"a": faster}, NOON + 70)
    assert table.entries.keys() == {"a"}
    (tick,) = due(table, faster.after(NOON + 70))
    assert tick.overlapped


def test_a_check_is_overdue_when_two_ticks_passed_without_it() -> None:
    last = MINUTELY.after(NOON)
    second = MINUTELY.after(MINUTELY.after(last))
    assert not overdue(MINUTELY, last, second + 30, 30)
    assert overdue(MINUTELY, last, second + 31, 30)


# --- daylight saving ---------------------------------------------------------------------------


def test_half_past_one_fires_once_when_the_clocks_go_back() -> None:
    day = local(2024, 10, 27), local(2024, 10, 28)
    assert cron_ticks("30 2 * * *", *day) == ["27 02:30 CEST"]


def test_half_past_two_fires_at_three_when_the_clocks_skip_it() -> None:
    day = local(2024, 3, 31), local(2024, 4, 1)
    assert cron_ticks("30 2 * * *", *day) == ["31 03:00 CEST"]


@pytest.mark.parametrize(("start", "hours"), [((2024, 10, 27), 25), ((2024, 3, 31), 23)])
def test_every_half_hour_fires_through_a_change(start: tuple[int, int, int], hours: int) -> None:
    begin = local(*start)
    end = local(*start) + hours * 3600
    rhythm, count, at = Rhythm("x", cron="*/30 * * * *", zone="Europe/Berlin"), 0, begin - 60
    gaps = set()
    while (following := rhythm.after(at)) < end - 10:
        gaps.add(round(following - at))
        at, count = following, count + 1
    assert count == hours * 2
    assert gaps - {1800} <= {round(rhythm.after(begin - 60) - begin + 60)}


def test_an_interval_knows_no_daylight_saving() -> None:
    rhythm, at = Rhythm("x", 3600.0), local(2024, 10, 27)
    ticks = [at := rhythm.after(at) for _ in range(25)]
    gaps = {round(b - a) for a, b in itertools.pairwise(ticks)}
    assert all(3595 <= gap <= 3605 for gap in gaps)


def test_cron_checks_of_one_minute_do_not_all_start_in_its_first_second() -> None:
    firsts = {
        round(Rhythm(f"check {n}", cron="0 13 * * *").after(NOON) - NOON - 3600, 3)
        for n in range(100)
    }
    assert min(firsts) >= 0
    assert max(firsts) < 5
    assert len(firsts) > 90


def test_two_weeks_of_a_check_each_minute_are_20160_ticks() -> None:
    table, seen, now = Timetable[str](), 0, NOON
    table.plan({"alive": MINUTELY}, now)
    while (now := table.next() or 0) <= NOON + timedelta(days=14).total_seconds():
        seen += sum(tick.runs and not tick.missed for tick in due(table, now))
        table.ended("alive")
    assert seen == 20160


def test_a_share_is_always_the_same() -> None:
    assert share("prod/alive") == share("prod/alive")
    assert 0 <= share("prod/alive") < 1
    assert share("a", 1) != share("a", 2)
