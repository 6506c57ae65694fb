"""Freezes: from when until when, in which zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backout.model import Freeze
from backout.model.freezing import Window, frozen

BERLIN = "Europe/Berlin"


def nightly(zone: str = BERLIN, lasting: float = 8 * 3600.0) -> Window:
    return Window(
        Freeze.model_validate({"why": "night", "cron": "0 22 * * *", "for": lasting}),
        zone,
        "x.yaml",
    )


def span(start: str, end: str, zone: str = "UTC", why: str = "fair") -> Window:
    return Window(Freeze.model_validate({"why": why, "from": start, "until": end}), zone, "x.yaml")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-10T20:59:59+00:00", None),
        ("2026-01-10T21:00:00+00:00", "2026-01-11T05:00:00+00:00"),
        ("2026-01-11T04:59:59+00:00", "2026-01-11T05:00:00+00:00"),
        ("2026-01-11T05:00:00+00:00", None),
        ("2026-07-10T20:00:00+00:00", "2026-07-11T04:00:00+00:00"),  # summer time
        # The night in which the clocks go forward is an hour shorter, the freeze is not.
        ("2026-03-28T21:30:00+00:00", "2026-03-29T05:00:00+00:00"),
    ],
)
def test_a_schedule_holds_in_its_own_zone_for_as_long_as_it_says(
    now: str, until: str | None
) -> None:
    found = frozen([nightly()], at(now))
    assert (found.until.isoformat() if found else None) == until


def test_windows_that_lead_into_one_another_are_one() -> None:
    windows = [
        span("2026-01-01T00:00", "2026-01-01T12:00", why="one"),
        span("2026-01-01T12:00", "2026-01-02T00:00", why="two"),
        span("2026-01-03T00:00", "2026-01-04T00:00", why="three"),
    ]
    found = frozen(windows, at("2026-01-01T01:00:00+00:00"))
    assert found is not None
    assert (found.until, found.why) == (at("2026-01-02T00:00:00+00:00"), "one")


def test_a_time_with_an_offset_is_what_it_says_whatever_the_zone() -> None:
    window = span("2026-01-01T00:00+05:00", "2026-01-01T01:00+05:00", zone=BERLIN)
    found = frozen([window], at("2025-12-31T19:30:00+00:00"))
    assert found is not None
    assert found.words == "until Wed 2025-12-31 21:00 Europe/Berlin (20:00Z): fair"


moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)).map(
    lambda each: each.replace(tzinfo=UTC)
)


@pytest.mark.usefixtures("unhurried")
@settings(max_examples=60)
@given(moments, st.sampled_from(["UTC", BERLIN, "America/New_York"]))
def test_when_a_freeze_is_over_it_is_over(now: datetime, zone: str) -> None:
    windows = [nightly(zone), span("2026-05-01", "2026-05-03", zone)]
    found = frozen(windows, now)
    if found:
        assert found.until > now
        assert frozen(windows, found.until) is None
        assert frozen(windows, found.until - timedelta(seconds=1)) is not None
