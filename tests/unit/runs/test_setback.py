"""What a rollback takes for a reason to go forward again: what was well before it, and is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from backout.errors import Unreachable
from backout.model import Finding, Result, State, Verdict
from backout.runs.baseline import Baseline
from backout.runs.setback import Found, Seen

HOSTS = ("web1", "web2")
WHOLE = Finding("whole", None, Verdict.PASS)
WELL = tuple(Finding("well", host, Verdict.PASS) for host in HOSTS)
UP = dict.fromkeys(HOSTS, True)


def red(check: str, host: str | None) -> Finding:
    return Finding(check, host, Verdict.FAIL, reason="no")


class Lines:
    """Hosts that can be asked, but for some; and how many were. `cut` is for how many seconds
    nobody can be asked."""

    def __init__(self, away: str = "", half: str = "", cut: float = 0.0) -> None:
        self.away, self.half, self.cut = away, half, cut
        self.asked = 0
        self.clock = SimpleNamespace(sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.cut -= seconds

    def reach(self, host: str) -> Any:
        self.asked += 1
        if host == self.away or self.cut > 0:
            raise Unreachable(f"{host} is away", next="")
        result = Result(State.UNKNOWN) if host == self.half else Result(State.DONE, 0)
        return SimpleNamespace(run=lambda command: result if command.script else None)


def found(before: Baseline, lines: Lines | None = None, ill: str = "") -> Found:
    """A rollback that found this before, and where a host did not settle."""
    note = {**before.record(), "one_way": ""}
    decisions = SimpleNamespace(noted=lambda _: note)
    ways = [SimpleNamespace(ill={ill}), SimpleNamespace(ill=set[str]())]
    return Found(cast("Any", lines or Lines()), cast("Any", decisions), cast("Any", ways), HOSTS)


def why(of: Found, *findings: Finding, down: Any = (), stuck: Any = None) -> str:
    setback = of.setback(Seen(HOSTS, stuck or {}, down, findings))
    return setback.why if setback else ""


def test_what_passed_right_before_and_does_not_is_a_reason() -> None:
    assert why(found(Baseline(WELL)), red("well", "web1")) == "check well@web1 is red: no"


def test_what_was_red_before_is_none() -> None:
    before = Baseline((red("well", "web1"), WELL[1]))
    assert why(found(before), red("well", "web1")) == ""


def test_a_service_that_ran_right_before_and_does_not_is_a_reason() -> None:
    before, down = Baseline(up={"web1": True, "web2": False}), [red("service app", "web1")]
    assert why(found(before), down=down) == "check service app@web1 is red: no"
    assert why(found(before), down=[red("service app", "web2")]) == ""


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (Baseline(), "web1: no"),
        (Baseline(up=UP, well=UP), "web1: no"),
        (Baseline(up=UP), "web1: no"),
        (Baseline(up=UP, well={"web1": False}), ""),
        (Baseline(up={"web1": False}), ""),
        (Baseline((red("well", "web2"),)), "web1: no"),
        (Baseline((red("well", "web1"),)), ""),
    ],
)
def test_a_host_that_was_well_and_did_not_settle_is_a_reason(before: Baseline, reason: str) -> None:
    assert why(found(before, ill="web1"), stuck={"web1": "no"}) == reason


def test_a_host_that_is_stuck_in_another_way_or_is_not_asked_about_is_none() -> None:
    assert why(found(Baseline()), stuck={"web1": "no"}) == ""
    assert why(found(Baseline(), ill="web1"), stuck={}) == ""
    assert found(Baseline(), ill="web1").setback(Seen(["web2"], {"web1": "no"})) is None


@pytest.mark.parametrize("lines", [Lines(away="web2"), Lines(half="web2")])
def test_a_host_that_is_away_says_nothing_of_the_release(lines: Lines) -> None:
    before = Baseline((*WELL, WHOLE), up=UP)
    gone = [red("well", "web2"), red("whole", None)]
    down = [red("service app", "web2")]
    assert why(found(before, lines), *gone, down=down) == ""
    assert why(found(before, lines, ill="web2"), *gone, stuck={"web2": "no"}) == ""
    there = why(found(before, lines), red("well", "web1"), *gone, down=down)
    assert there == "check well@web1 is red: no"
    assert why(found(before), red("whole", None)) == "check whole is red: no"


@pytest.mark.parametrize(("seconds", "reason"), [(2.5, "check well@web1 is red: no"), (60.0, "")])
def test_a_link_that_is_cut_for_a_moment_is_no_reason_to_stay(seconds: float, reason: str) -> None:
    assert why(found(Baseline(WELL), Lines(cut=seconds)), red("well", "web1")) == reason


def test_all_that_is_worse_is_said_and_kept() -> None:
    worse = (red("well", "web2"), red("whole", None))
    of = found(Baseline((*WELL, WHOLE)), ill="web1")
    setback = of.setback(Seen(HOSTS, {"web1": "no"}, (), worse))
    assert setback is not None
    assert setback.why == "web1: no; check well@web2 is red: no; check whole is red: no"
    assert setback.red == worse


def test_a_host_that_did_not_settle_is_a_reason_while_another_one_is_away() -> None:
    of = found(Baseline(WELL), Lines(away="web2"), ill="web1")
    assert why(of, red("well", "web2"), stuck={"web1": "no"}) == "web1: no"


def test_hosts_are_asked_only_where_there_seems_to_be_a_reason() -> None:
    lines = Lines()
    assert why(found(Baseline(WELL), lines)) == ""
    assert lines.asked == 0
