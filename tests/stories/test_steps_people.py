"""`wait`, `approve` and `manual`: time and people."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from backout.adapters.clock import SystemClock
from backout.errors import Unreachable
from backout.model import Command, Result, State
from support.clock import ManualClock
from support.work import Bench, Person, Trial


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def slept(bench: Bench) -> list[float]:
    return cast(ManualClock, bench.clock).slept


def test_it_waits_so_long(bench: Bench) -> None:
    assert bench.step("wait", {"for": "1m30s"}).act().ok
    assert slept(bench) == [90.0]


def test_it_waits_until_something_holds(bench: Bench, tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"echo x >>'{count}'; test $(wc -l <'{count}') -ge 3"

    assert bench.step("wait", {"until": script, "for": "1m", "every": "5s"}).act().ok

    assert slept(bench) == [5.0, 5.0]


def test_what_never_holds_fails_with_the_last_words(bench: Bench) -> None:
    options = {"until": "echo not yet >&2; false", "for": "12s", "every": "5s"}

    result = bench.step("wait", options).act()

    assert (result.state, result.reason) == (
        State.FAILED,
        "it did not hold within 12 s: not yet",
    )
    assert slept(bench) == [5.0, 5.0, 2.0]


def test_a_question_that_hangs_does_not_outlast_the_wait(bench: Bench) -> None:
    bench.clock = SystemClock()

    result = bench.step("wait", {"until": "sleep 60", "for": "1s"}).act()

    assert result.state is State.FAILED
    assert "did not hold within 1 s" in result.reason


def test_a_machine_that_reboots_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = bench.step("wait", {"until": "true", "for": "1m", "every": "10s"})
    away = ["connection refused", "connection refused"]
    run = trial.work.transport.run

    def rebooting(command: Command) -> Result:
        if away:
            raise Unreachable(away.pop())
        return run(command)

    monkeypatch.setattr(trial.work.transport, "run", rebooting)

    assert trial.act().ok
    assert slept(bench) == [10.0, 10.0]


def test_a_yes_goes_on_and_a_no_fails(bench: Bench) -> None:
    bench.person = Person(True, False)
    trial = bench.step("approve", {"question": "Is the window open?"})

    assert trial.act().ok
    again = trial.again()

    assert (again.state, again.reason) == (State.FAILED, "it was not approved")
    assert bench.person.asked == ["Is the window open?"] * 2


def test_nobody_there_is_no_yes(bench: Bench) -> None:
    result = bench.step("approve", {"question": "Go on?"}).act()

    assert (result.state, result.reason) == (State.FAILED, "nobody is at the terminal")


def manual(bench: Bench, *answers: bool) -> Trial:
    bench.person = Person(*answers)
    return bench.step("manual", {"text": "Pull the lever."}, undo="Push the lever back.")


def test_a_person_is_shown_what_to_do_and_says_that_it_is_done(bench: Bench) -> None:
    trial = manual(bench, True, True)

    assert trial.act().ok
    assert trial.undo().ok

    assert bench.said == ["Pull the lever.", "Push the lever back."]
    assert bench.person.asked == ["Is it done?"] * 2


def test_work_that_was_not_done_by_hand_fails_and_so_does_its_undo(bench: Bench) -> None:
    trial = manual(bench, False, False)

    assert trial.act().reason == "not done by hand: Pull the lever."
    assert trial.undo().reason == "not done by hand: Push the lever back."


def test_nobody_can_tell_whether_an_interrupted_person_was_done(bench: Bench) -> None:
    trial = manual(bench)
    trial.before()

    recalled = trial.recall()

    assert recalled is not None
    assert recalled.state is State.UNKNOWN
    assert trial.kind.done(trial.work) is None


def test_each_kind_says_what_it_would_do(bench: Bench) -> None:
    trials = [
        bench.step("wait", {"for": 5}),
        bench.step("wait", {"for": 60, "until": "test -e x"}),
        bench.step("approve", {"question": "Go on?"}),
        manual(bench),
    ]

    assert [trial.kind.describe(trial.work) for trial in trials] == [
        "wait 5 s",
        "wait 60 s at most until: test -e x",
        "ask: Go on?",
        "by hand: Pull the lever.",
    ]
