"""What a host says of itself at the end of a run: its record, and what lies on its disk."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import cast

import pytest

from backout.errors import Unreachable
from backout.model import Host, HostEnd, HostState, Release, Result, Source, State, Target
from backout.ports import Transport
from backout.runs import release_file
from backout.runs.release_file import HostRecord
from backout.runs.standing import all_told, commit_on
from support.transports import Shell, Told

OLD = "0123456789abcdef0123456789abcdef01234567"
NEW = "fedcba9876543210fedcba9876543210fedcba98"
RECORD = HostRecord(number=4, commit=OLD, run="r4")
WELL = HostEnd(HostState.DEPLOYED)


def target(strategy: str = "checkout", directory: str = "/srv/api") -> Target:
    source = Source.model_validate(
        {"repository": "/srv/api.git", "strategy": strategy, "directory": directory}
    )
    return Target(name="prod", hosts={"web1": Host(name="web1")}, source=source)


def on_host(place: Path, strategy: str, commit: str) -> Target:
    """A directory as each strategy leaves it there, and Backout's record beside it."""
    directory = place / "the api's own"
    (directory / ".backout").mkdir(parents=True)
    (directory / ".backout" / release_file.NAME).write_text(json.dumps(asdict(RECORD)))
    if strategy == "releases":
        (directory / "current").symlink_to(directory / "releases" / f"4-{commit[:12]}")
    if strategy == "checkout":
        for name in ("objects", "refs"):
            (directory / ".git" / name).mkdir(parents=True)
        (directory / ".git" / "HEAD").write_text(f"{commit}\n")
    return target(strategy, str(directory))


def said(text: str) -> Result:
    return Result(State.DONE, 0, text)


def found(end: HostEnd, *answers: Result | Unreachable) -> HostEnd:
    """The end of web1, when it is asked and answers so."""
    told = cast("Transport", Told(*answers))
    return all_told({"web1": end}, target(), lambda _: told)["web1"]


def on_disk(commit: str) -> Result:
    return said(f"{json.dumps(asdict(RECORD))}\n=== live\n{commit}\n")


def test_a_record_that_the_disk_agrees_with_is_its_release() -> None:
    assert found(WELL, on_disk(OLD)) == HostEnd(HostState.DEPLOYED, Release(4, OLD))


def test_a_record_that_the_disk_does_not_agree_with_is_no_release() -> None:
    end = found(WELL, on_disk(NEW))
    assert end.release is None
    assert end.why == f"its record says release {RECORD.release}, its disk has fedcba9876"


def test_a_host_that_cannot_be_asked_has_no_release() -> None:
    end = found(WELL, Unreachable("nothing listens on web1:22"))
    assert (end.release, end.why) == (None, "it cannot be asked: nothing listens on web1:22")


@pytest.mark.parametrize("said_before", ["", "it failed, within max_failures"])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Unreachable("web1 is away"), "it cannot be asked: web1 is away"),
        (on_disk(NEW), f"its record says release {RECORD.release}, its disk has {NEW[:10]}"),
    ],
)
def test_what_was_known_of_a_host_is_no_release_when_it_does_not_say_so_and_why_is_said_once(
    answer: Result | Unreachable, why: str, said_before: str
) -> None:
    end = HostEnd(HostState.WITHDRAWN, Release(3), said_before)
    assert found(end, answer) == HostEnd(HostState.WITHDRAWN, None, said_before or why)


def test_a_host_without_a_record_has_no_release_whatever_lies_on_its_disk() -> None:
    assert found(WELL, said(f"\n=== live\n{OLD}\n")) == WELL


def test_a_record_of_a_release_without_a_commit_is_held_against_none() -> None:
    bare = json.dumps(asdict(HostRecord(number=4, run="r4")))
    assert found(WELL, said(f"{bare}\n=== live\n{OLD}\n")).release == Release(4)


@pytest.mark.parametrize("live", [OLD, NEW])
@pytest.mark.parametrize("strategy", ["checkout", "releases", "image"])
def test_each_host_is_asked_for_its_own_record_and_for_what_is_live_there(
    tmp_path: Path, strategy: str, live: str
) -> None:
    asked = on_host(tmp_path, strategy, live)
    hosts = {"web1": Shell()}
    end = all_told({"web1": WELL}, asked, lambda name: cast("Transport", hosts[name]))["web1"]
    differs = strategy != "image" and live != OLD
    assert end.release == (None if differs else RECORD.release)
    assert (live[:10] in end.why) is differs
    there = {"checkout": live, "releases": live[:12], "image": ""}[strategy]
    assert commit_on(cast("Transport", hosts["web1"]), asked) == there


def test_a_host_that_is_stuck_is_not_asked() -> None:
    stuck = HostEnd(HostState.STUCK, why="its undo failed")
    assert found(stuck) == stuck


@pytest.mark.parametrize(("strategy", "commit"), [("checkout", OLD), ("image", "")])
def test_the_live_commit_is_told_where_the_strategy_leaves_it_on_the_disk(
    strategy: str, commit: str
) -> None:
    answers = (said(f"{OLD}\n"),) if commit else ()
    transport = cast("Transport", Told(*answers))
    assert commit_on(transport, target(strategy)) == commit
