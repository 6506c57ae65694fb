"""What a host names as begun, and is over: the host could not be told so. Whoever knows better goes
by what it knows, and a run that was refused is over when no host names it any more."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.project import Said
from support.wait import eventually
from support.yard import Yard

AWAY = "web2: its release file could not be written"


def file(yard: Yard, host: str) -> Path:
    assert yard.bed is not None
    return yard.bed[host].home / ".backout" / "prod" / "release.json"


def named(yard: Yard, host: str) -> list[str]:
    """The runs that a host names as begun."""
    path = file(yard, host)
    found: list[str] = json.loads(path.read_text())["during"] if path.exists() else []
    return found


def name(yard: Yard, host: str, *runs: str) -> None:
    """The host was away when these ended, and names them still."""
    record = json.loads(file(yard, host).read_text())
    file(yard, host).write_text(json.dumps({**record, "during": runs}))


def in_the_way(yard: Yard, host: str, then: str = "true") -> dict[str, Any]:
    """A look that puts something where the record of that host should be, the first time."""
    path, once = file(yard, host), yard.files.parent / "once"
    run = f"if [ -e {once} ]; then {then}; else mkdir -p {path}/full && touch {once}; fi"
    return {"name": "Look", "run": run, "on": host, "readonly": True}


def out_of_it(yard: Yard, host: str) -> None:
    shutil.rmtree(file(yard, host))


# --- a run that is over ----------------------------------------------------------------------


def test_a_run_that_is_over_and_named_still_is_no_difference(two: Yard) -> None:
    two.runbook(two.step("First"))
    two.good_release()
    two.runbook(two.step("Ill", after="false"))
    ill = two.deploy()
    assert ill.code == 4
    name(two, "web2", ill.data["run"])
    said = two.say("status")
    assert (said.code, said.data["differs"]) == (0, [])
    assert said.data["hosts"]["web2"]["unfinished"] == [ill.data["run"]]
    assert two.say("resume").data["error"]["what"] == "prod has no unfinished run"


def test_a_rollback_goes_past_a_run_that_is_over_and_named_still(two: Yard) -> None:
    two.runbook(two.step("First"))
    two.good_release()
    two.runbook(two.step("Second"))
    two.good_release()
    two.runbook(two.step("Ill", after="false"))
    ill = two.deploy()
    name(two, "web2", ill.data["run"])
    back = two.say("rollback")
    assert (back.code, back.data["release"]["to"]["number"]) == (0, 1), back.out
    assert named(two, "web2") == []


def test_a_run_of_another_machine_that_is_named_is_a_difference(two: Yard) -> None:
    two.runbook(two.step("First"))
    two.good_release()
    name(two, "web2", "20260101-000000-0123456789abcdef")
    said = two.say("status")
    assert said.code == 6
    assert "has begun there and not ended, and is not open here" in said.data["differs"][0]


def test_a_run_that_was_given_up_is_a_difference_for_as_long_as_it_is_named(two: Yard) -> None:
    two.runbook(two.step("First"), two.step("Ill", after="false", undo="false"))
    ill = two.deploy()
    assert ill.code == 5
    assert two.say("unlock", "--force", "--yes").data["given_up"] == ill.data["run"]
    assert named(two, "web1") == [ill.data["run"]]
    assert f"web1: run {ill.data['run']} has begun there" in two.say("status").data["differs"][0]


# --- a run that is refused when hosts name it already ------------------------------------------


def refused(yard: Yard, then: str = "true") -> Said:
    """A deploy that one of its hosts cannot put on record, nor that it is none."""
    yard.runbook(yard.step("First"), preflight=[in_the_way(yard, "web2", then)])
    said = yard.deploy()
    assert said.code == 3, said.out + said.err
    return said


def test_a_run_that_a_host_may_name_when_it_is_refused_stays_open_and_says_so(two: Yard) -> None:
    said = refused(two)
    error = said.data["error"]
    assert error["state"] == "nothing was changed; web2 may still have the run on record as begun"
    assert error["next"] == "invoke abort --target prod, or invoke resume --target prod"
    assert (named(two, "web1"), two.effects()) == ([], {})
    assert AWAY in said.out + said.err
    assert said.data["run"] in two.say("status").data["unfinished"]
    assert two.deploy().code == 7


@pytest.mark.parametrize(("verb", "code"), [("resume", 0), ("abort", 4)])
def test_a_run_that_was_refused_so_is_gone_on_with(two: Yard, verb: str, code: int) -> None:
    said = refused(two)
    out_of_it(two, "web2")
    ended = two.say(verb)
    assert (ended.code, ended.data["run"]) == (code, said.data["run"]), ended.out + ended.err
    assert (named(two, "web1"), named(two, "web2")) == ([], [])
    assert two.say("status").code == 0


def test_who_backs_out_what_never_began_asks_nobody_what_is_there_now(two: Yard) -> None:
    """Somebody has put another record there meanwhile; nothing of the run is above it."""
    refused(two)
    out_of_it(two, "web2")
    theirs = {"number": 7, "commit": "", "run": "20260101-000000-0123456789abcdef"}
    file(two, "web2").write_text(json.dumps(theirs))
    assert two.say("resume").code == 3
    said = two.say("abort")
    assert said.code == 4, said.out + said.err
    assert json.loads(file(two, "web2").read_text()) == theirs


def test_a_run_that_is_refused_once_more_is_over_when_no_host_names_it(two: Yard) -> None:
    run = refused(two, then="false").data["run"]
    out_of_it(two, "web2")
    file(two, "web2").write_text(
        json.dumps({"number": 0, "commit": "", "run": "", "during": [run]})
    )
    said = two.say("resume")
    assert (said.code, said.data["run"]) == (3, run)
    assert "Look" in said.data["error"]["what"]
    assert (named(two, "web2"), two.say("status").data["unfinished"]) == ([], None)
    assert [row["outcome"] for row in two.project.say("history", "--json").data["runs"]] == [
        "refused"
    ]


def _went_on(two: Yard, times: int) -> bool:
    """Whether the hosts know that the run was gone on with so often."""
    notes = file(two, "web2").parent / "notes"
    return any(notes.glob(f"*/turn.0.{times}"))


@pytest.mark.parametrize("resumes", [1, 2])
@pytest.mark.parametrize(
    "moment",
    ["adapters.lease:LeaseLock._acquire", "runs.claims:Claims.begin", "runs.claims:Claims._write"],
)
def test_a_journal_that_is_an_older_copy_closes_no_run_that_is_half_done(
    two: Yard, moment: str, resumes: int
) -> None:
    """Nor does it take its name off a host, nor its lease."""
    two.runbook(two.step("First"), two.step("Slow", before=two.hold()))
    two.killed(f"backout.{moment}")
    older = two.project.directory.with_name("older")
    shutil.copytree(two.project.state, older)
    for number in range(resumes):
        going_on = two.start("resume")
        two.busy("Slow-web1")
        eventually(partial(_went_on, two, number + 1), saying="it goes on")
        going_on.kill()
        going_on.communicate()
    two.let_go()
    run = named(two, "web1")
    shutil.rmtree(two.project.state)
    older.rename(two.project.state)
    said = two.say("resume")
    assert (said.code, "is it an older copy?" in said.data["error"]["what"]) == (3, True)
    assert [named(two, host) for host in ("web1", "web2")] == [run, run] != [[], []]
    assert run[0] in two.say("status").data["unfinished"]
    next_one = two.deploy()
    assert (next_one.code, run[0] in next_one.out) == (7, True), next_one.out
    assert said.data["error"]["next"].endswith("invoke unlock --target prod --force")
    assert two.say("unlock", "--force", "--yes").data["given_up"] == run[0]


def test_where_somebody_deployed_since_it_is_given_up(two: Yard) -> None:
    said = refused(two)
    out_of_it(two, "web2")
    other = two.elsewhere()
    other.runbook(other.step("Theirs"))
    assert other.deploy().code == 7
    assert other.say("unlock", "--force", "--yes").data["freed"]
    other.good_release()
    assert two.say("abort").data["error"]["next"].endswith("invoke unlock --target prod --force")
    assert two.say("unlock", "--force", "--yes").data["given_up"] == said.data["run"]
    assert two.effects() == {"Theirs-web1": 1, "Theirs-web2": 1}
    assert other.say("status").code == 0
