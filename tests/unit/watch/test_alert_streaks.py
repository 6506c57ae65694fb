"""Streaks told line by line: p passes, f fails, e errors, i is inconclusive."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.checks.streaks import FLAPS_WITHIN, Policy, Transition, in_doubt, weigh
from backout.model import Check, CheckKey, Finding, Incident, Message, Streak, Verdict
from backout.watch import alerts

VERDICTS = {"p": Verdict.PASS, "f": Verdict.FAIL, "e": Verdict.ERROR, "i": Verdict.INCONCLUSIVE}
SPOT = CheckKey("prod", "alive", "web1")
START = 1_000_000.0


def told(streak: str, policy: Policy, *, every: float = 60.0) -> str:
    """What is told of a streak, under each look: O opens, W worse, R resolves, . nothing."""
    counted, line = Streak(), ""
    for number, letter in enumerate(streak):
        counted, change = weigh(counted, VERDICTS[letter], START + number * every, policy)
        line += {"open": "O", "worse": "W", "resolve": "R"}[change.kind] if change else "."
    return line


@pytest.mark.parametrize(
    ("streak", "expected"),
    [
        ("pppp", "...."),
        ("ffff", "..O."),
        ("ppffpffpff", ".........."),
        ("fffpp", "..O.R"),
        ("fffpfpp", "..O...R"),
        ("fffffffffpp", "..O.......R"),
        ("eee", "..O"),
        ("iii", "..O"),
        ("fei", "..O"),
        ("eeeeffff", "..O...W."),
        ("eeefpfff", "..O....W"),
    ],
)
def test_three_in_a_row_open_and_two_in_a_row_resolve(streak: str, expected: str) -> None:
    assert told(streak, Policy(after=3, recover=2)) == expected


@pytest.mark.parametrize(
    ("streak", "expected"),
    [
        ("fpfpf", "....O"),
        ("fppfpfpp", "........"),
        ("fpfpfpp", "....O.R"),
        ("fpfpfppf", "....O.R."),
        ("fff", "..O"),
    ],
)
def test_three_of_five_open(streak: str, expected: str) -> None:
    assert told(streak, Policy(after=3, of=5, recover=2)) == expected


def test_one_bad_look_opens_when_the_inventory_says_so() -> None:
    assert told("pfp", Policy(after=1, recover=1)) == ".OR"


def test_what_fails_and_what_cannot_be_told_are_worded_differently() -> None:
    counted, policy = Streak(), Policy(after=2)
    _, change = weigh(weigh(counted, Verdict.ERROR, 1, policy)[0], Verdict.INCONCLUSIVE, 2, policy)
    assert change == Transition("open", "unknown", 1)
    _, change = weigh(weigh(counted, Verdict.ERROR, 1, policy)[0], Verdict.FAIL, 2, policy)
    assert change == Transition("open", "fail", 1)


def test_it_is_wrong_since_the_first_bad_look() -> None:
    counted, change = Streak(), None
    for number, letter in enumerate("fppff"):
        counted, change = weigh(counted, VERDICTS[letter], float(number), Policy(after=2))
    assert change == Transition("open", "fail", 3.0)


def test_each_time_it_comes_back_within_the_hour_it_takes_twice_as_many_good_looks() -> None:
    policy = Policy(after=1, recover=1)
    assert told("fpfppfppppf", policy) == "ORO.RO...RO"


def test_a_flapping_check_is_told_of_a_few_times_and_no_more() -> None:
    line = told("fp" * 500, Policy(after=1, recover=1), every=10.0)
    assert line.count("O") + line.count("R") <= 4
    assert told("ffpp" * 250, Policy(after=2, recover=2), every=10.0).count("O") <= 3


def test_an_hour_later_it_is_as_if_it_had_never_flapped() -> None:
    policy = Policy(after=1, recover=1)
    assert told("fpfp", policy, every=FLAPS_WITHIN / 2 + 1) == "OR" * 2


def test_a_check_that_a_deploy_is_to_turn_green_is_quiet_until_it_was_green() -> None:
    quiet = Policy(after=1, recover=1, quiet=True)
    assert told("ffff", quiet) == "...."
    assert told("ffpf", quiet) == "...O"
    assert Policy.of_check(Check(name="x", kind="http", options=None, baseline="fails")).quiet


def test_doubt_is_between_the_first_bad_look_and_the_alert() -> None:
    policy, counted, doubts = Policy(after=3, recover=2), Streak(), ""
    for number, letter in enumerate("pffffpp"):
        counted, _ = weigh(counted, VERDICTS[letter], float(number), policy)
        doubts += "?" if in_doubt(counted, policy) else "."
    assert doubts == ".??..?."


@given(st.text("pfei", max_size=60), st.integers(1, 4), st.integers(1, 4), st.integers(0, 6))
def test_opens_and_resolves_alternate_and_only_passes_resolve(
    streak: str, after: int, recover: int, of: int
) -> None:
    line = told(streak, Policy(after=after, recover=recover, of=max(of, after) if of else 0))
    flips = line.replace(".", "").replace("W", "")
    assert flips == ("OR" * len(flips))[: len(flips)]
    assert all(streak[at] == "p" for at, each in enumerate(line) if each == "R")
    assert all(streak[at] != "p" for at, each in enumerate(line) if each in "OW")


@given(st.text("pfei", max_size=30))
def test_counters_are_the_same_after_a_restart(streak: str) -> None:
    counted = Streak()
    for number, letter in enumerate(streak):
        counted, _ = weigh(counted, VERDICTS[letter], float(number + 1), Policy(of=5))
        assert Streak.of(counted.record()) == counted


# --- reminding ---------------------------------------------------------------------------------

OPEN = Incident(SPOT, "fail", START, START + 120, id=1, told=START + 120)


def word(incident: Incident, after: float, *, silenced: bool = False, waiting: bool = False) -> str:
    policy = Policy(remind=3600.0)
    now = START + 120 + after
    return alerts.due_word(incident, policy, now, silenced=silenced, waiting=waiting)


def test_an_open_alert_is_reminded_of_at_its_interval() -> None:
    assert word(OPEN, 3599) == ""
    assert word(OPEN, 3600) == "remind"
    assert alerts.due_word(OPEN, Policy(), 1e12, silenced=False, waiting=False) == ""


def test_no_reminder_is_sent_of_what_is_acknowledged_silenced_or_still_on_its_way() -> None:
    assert word(replace(OPEN, acked="ann"), 3600) == ""
    assert word(OPEN, 3600, silenced=True) == ""
    assert word(OPEN, 3600, waiting=True) == ""


def test_what_opened_in_silence_is_told_when_the_silence_ends() -> None:
    quiet = replace(OPEN, told=None)
    assert word(quiet, 1, silenced=True) == ""
    assert word(quiet, 1) == "open"


# --- words -------------------------------------------------------------------------------------


def test_the_message_says_all_that_a_person_needs() -> None:
    finding = Finding(
        "alive",
        "web1",
        Verdict.FAIL,
        failed=("status == 200",),
        reason="status == 200 (status is 503)",
        excerpt='503 {"status":"degraded"}',
    )
    check = Check(name="alive", kind="http", options=None, expect=("status == 200",))
    seen = alerts.evidence(finding, check, 3)
    incident = Incident(SPOT, "fail", 1706644800.0, 1706644920.0, seen)
    assert alerts.title(incident, "open") == "[prod] alive@web1 fails"
    assert alerts.body(
        incident, "open", now=1706644920.0, last_deploy="release 42 (3f9c2e1)"
    ).splitlines() == [
        "check alive on web1: fail",
        "since 2024-01-30 20:00:00 UTC, for 2m00s (3 looks in a row)",
        "expected: status == 200",
        "came: status == 200 (status is 503)",
        'evidence: 503 {"status":"degraded"}',
        "last deploy: release 42 (3f9c2e1)",
        "acknowledge: invoke alert.ack --target prod --check alive@web1",
        "next: invoke verify --target prod --check alive",
    ]
    assert alerts.body(incident, "resolve", now=1706645400.0).splitlines() == [
        "check alive on web1",
        "it was wrong for 10m00s, since 2024-01-30 20:00:00 UTC",
    ]


def test_an_alert_that_cannot_tell_never_says_that_something_failed() -> None:
    incident = Incident(SPOT, "unknown", START, START)
    assert alerts.title(incident, "open") == "[prod] alive@web1 cannot be told to be healthy"


def test_a_digest_counts_what_it_holds() -> None:
    letters = [
        Message("prod", "d", kind, str(n), f"[prod] check {n}", "since then\nnext: look", 0.0)
        for n, kind in enumerate(["open", "open", "resolve"])
    ]
    title, body = alerts.digest(letters)
    assert title == "[prod] 3 alerts: 2 new, 1 resolved"
    assert body.count("next: look") == 3
    assert body.index("check 0") < body.index("check 1") < body.index("check 2")
