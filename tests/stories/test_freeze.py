"""A target that is frozen: nothing is deployed to it, whatever was deployed can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.yard import Yard

WHY = "the holidays: nobody is there"


def around_now(**more: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=1), now + timedelta(hours=1)
    return {"from": start.isoformat(), "until": end.isoformat(), "why": WHY, **more}


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with Yard(tmp_path) as yard:
        yard.runbook(yard.step("One"))
        yield yard


def test_a_freeze_refuses_what_begins_and_never_what_goes_back(yard: Yard) -> None:
    yard.good_release()
    yard.good_release()
    yard.inventory(freeze=[around_now(timezone="Europe/Berlin")])
    said = yard.deploy()
    error = said.data["error"]
    assert (said.code, said.data["exit_code"]) == (3, 3)
    assert error["what"].startswith("prod is frozen until ")
    assert "Europe/Berlin (" in error["what"]
    assert error["what"].endswith(WHY)
    told = yard.project.say("deploy", "--target", "prod").err
    assert "the way back is open: rollback, abort and resume" in told
    assert "--break-freeze REASON" in error["next"]
    assert yard.say("exec", "--changes", "why", "true").code == 3
    planned = yard.say("plan")
    assert (planned.code, WHY in planned.data["frozen"]) == (3, True)
    assert WHY in yard.say("status").data["frozen"]
    assert f": {WHY}" in yard.project.say("targets").out
    assert yard.say("rollback", "--yes").code == 0


def test_an_unfinished_run_of_a_target_that_was_frozen_since_is_finished_or_backed_out(
    yard: Yard,
) -> None:
    for verb, code in (("resume", 0), ("abort", 4)):
        yard.runbook(yard.step("Slow", before=yard.hold(verb)))
        yard.inventory(freeze=[])
        process = yard.start()
        yard.busy("Slow-here")
        process.kill()
        process.communicate()
        yard.let_go(verb)
        yard.inventory(freeze=[around_now()])
        said = yard.say(verb)
        assert said.code == code, said.out + said.err
        assert yard.deploy().code == 3


def test_a_freeze_that_is_broken_is_on_record_and_told(yard: Yard) -> None:
    yard.project.directory.joinpath("backout.yaml").write_text(
        f'freeze:\n- {{cron: "* * * * *", for: 30s, timezone: UTC, why: "{WHY}"}}\n'
    )
    yard.inventory(freeze=[around_now(why="the fair")])
    assert yard.project.say("deploy", "--target", "prod", "--break-freeze", "").code == 2
    said = yard.deploy("--break-freeze", "the shop is down")
    assert said.code == 0, said.out + said.err
    assert "WARNING: the freeze until " in said.err
    assert said.data["freeze_broken"].startswith("the shop is down (")
    assert ("freeze_broken", "the shop is down") in {
        (kind, body.get("reason")) for kind, _, body in yard.records()
    }
    shown = yard.project.say("show", said.data["run"]).out
    assert "freeze broken  the shop is down (" in shown
    assert "the fair" in shown
    assert "succeeded, freeze broken" in yard.project.say("history").out
    assert "a freeze was broken: the shop is down" in yard.project.say("status").out


WRONG = {
    "no zone": ("{from: 2030-01-01T10:00, until: 2030-01-02, why: x}", "from: in which zone?"),
    "no zone of a cron": ('{cron: "0 0 * * *", for: 1h, why: x}', "cron: in which zone?"),
    "no length": ('{cron: "0 0 * * *", timezone: UTC, why: x}', "cron: how long?"),
    "no cron": ('{cron: "0 0 * *", for: 1h, timezone: UTC, why: x}', "cron: cron takes five"),
    "no such hour": ('{cron: "0 25 * * *", for: 1h, timezone: UTC, why: x}', "no cron schedule"),
    "for ever": ('{cron: "0 * * * *", for: 1h, timezone: UTC, why: x}', "for: each window leads"),
    "both": ('{cron: "0 0 * * *", for: 1h, from: 2030-01-01, why: x}', "write one of the two"),
    "neither": ("{why: x}", "write one of the two"),
    "backwards": (
        "{from: 2030-01-02, until: 2030-01-01, timezone: UTC, why: x}",
        "until: must be after from",
    ),
    "no why": ("{from: 2030-01-01Z, until: 2030-01-02Z}", "why"),
    "an empty why": (
        '{from: 2030-01-01T00:00Z, until: 2030-01-02T00:00Z, why: " "}',
        "why: say why",
    ),
    "no time": ("{from: tomorrow, until: 2030-01-01, why: x}", "'tomorrow' is no date or time"),
    "no such zone": (
        "{from: 2030-01-01, until: 2030-01-02, timezone: Mars/Base, why: x}",
        "'Mars/Base' is not a timezone",
    ),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("where", ["inventories/prod.yaml", "backout.yaml"])
def test_lint_refuses_a_freeze_that_leaves_open_when_it_holds(
    tmp_path: Path, case: str, where: str
) -> None:
    entry, words = WRONG[case]
    yard = Yard(tmp_path)
    yard.runbook(yard.step("One"))
    path = yard.project.directory / where
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}freeze:\n- {entry}\n")
    said = yard.project.say("lint")
    assert said.code == 2, said.out
    assert words in said.err
    assert f"{where}:{len(before.splitlines()) + 2} freeze[0]" in said.err


def test_lint_tells_of_a_freeze_that_is_over_and_of_two_that_overlap_and_a_deploy_goes_on(
    yard: Yard,
) -> None:
    over = {"from": "2020-01-01", "until": "2020-01-02", "timezone": "UTC", "why": "long ago"}
    one = {"from": "2099-01-01", "until": "2099-01-05", "why": "one"}
    other = {"from": "2099-01-04", "until": "2099-01-09", "why": "other"}
    yard.inventory(timezone="Europe/Berlin", freeze=[over, one, other])
    said = yard.project.say("lint")
    assert said.code == 2
    assert "freeze[0].until: it is over: take it out" in said.err
    assert "freeze[2]: overlaps freeze[1], line " in said.err
    assert yard.deploy().code == 0
