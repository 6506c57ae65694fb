"""Absence is not proof: a host that lost its notes is not told that nothing began there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sshd import SshdBed
from support.wait import eventually
from support.yard import Yard


@pytest.fixture
def one(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Effects that can be counted, on one SSH host."""
    with Yard(tmp_path, bed, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        yard.inventory(hosts={"web1": bed.inventory_hosts()["web1"]})
        yield yard


def lose(bed: SshdBed, what: str) -> None:
    state = bed["web1"].home / ".backout" / "prod"
    if what == "the marks":
        for note in (state / "notes").glob("*/*"):
            note.unlink()
    else:
        shutil.rmtree({"notes": state / "notes", "the state": state, "all": state.parent}[what])


def ended_unseen(yard: Yard, **keys: Any) -> None:
    """A step that ended after its deployer was killed."""
    yard.runbook(yard.step("First"), yard.step("Slow", before=yard.hold(), **keys))
    process = yard.start()
    yard.busy("Slow-web1")
    process.kill()
    process.communicate()
    yard.let_go()
    assert yard.bed is not None
    notes = yard.bed["web1"].home / ".backout" / "prod" / "notes"
    eventually(lambda: len(list(notes.glob("*/*.end"))) == 2, saying="the step's end")


@pytest.mark.parametrize(
    ("what", "verb"),
    [("notes", "resume"), ("the state", "abort"), ("all", "resume"), ("the marks", "abort")],
)
def test_what_was_interrupted_on_a_host_without_its_notes_is_backed_out(
    one: Yard, bed: SshdBed, what: str, verb: str
) -> None:
    ended_unseen(one)
    lose(bed, what)
    said = one.say(verb)
    assert said.code == 4, said.out + said.err
    assert "it never began" not in said.out
    assert one.effects() == {}


@pytest.mark.parametrize(("how", "times"), [("check", 1), ("retry_safe", 2)])
def test_its_check_can_still_tell_and_what_is_retry_safe_runs_again(
    one: Yard, bed: SshdBed, how: str, times: int
) -> None:
    keys = {"check": f"test -e {one.place('Slow')}", "retry_safe": True}
    ended_unseen(one, **{how: keys[how]})
    lose(bed, "the state")
    said = one.say("resume")
    assert said.code == 0, said.out + said.err
    assert one.effects() == {"First-web1": 1, "Slow-web1": times}


def test_what_never_began_is_still_said_to_where_the_run_finds_its_mark(
    one: Yard, bed: SshdBed
) -> None:
    ended_unseen(one)
    for note in (bed["web1"].home / ".backout" / "prod" / "notes").glob("*/*Slow*"):
        pytest.fail(f"the name of a step is in no file's name: {note}")
    for note in (bed["web1"].home / ".backout" / "prod" / "notes").glob("*/steps_1*"):
        note.unlink()
    (one.files / "Slow-web1").unlink()
    said = one.say("resume")
    assert said.code == 0, said.out + said.err
    assert one.effects() == {"First-web1": 1, "Slow-web1": 1}


def test_a_rollback_whose_host_lost_its_records_names_a_way_that_works(
    one: Yard, bed: SshdBed
) -> None:
    one.runbook(one.step("First"))
    one.good_release()
    slow = one.step("Second")
    slow["undo"] += f"\nmkdir -p {one.files}/Undo.busy\n{one.hold()}"
    one.runbook(slow)
    one.good_release()
    process = one.start("rollback")
    one.busy("Undo")
    process.kill()
    process.communicate()
    one.let_go()
    lose(bed, "all")
    refused = one.say("resume")
    assert refused.code == 3, refused.out + refused.err
    assert refused.data["error"]["state"].startswith("nothing more was changed")
    assert "or invoke abort --target prod; or give it up" in refused.data["error"]["next"]
    said = one.say("abort")
    assert said.code == 4, said.out + said.err
    assert one.effects() == {"First-web1": 1, "Second-web1": 1}
