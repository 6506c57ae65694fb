"""What a host says of itself at the end of a run: its record, and what lies on its disk."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import cast

import pytest

from backout.errors import Unreachable
from backout.model import Host, HostEnd, HostState, Release, Result, Source, State, Target
from backout.ports import Transport
from backout.runs.release_file import HostRecord
from backout.runs.standing import all_told, commit_on
from support.transports import Told

OLD = "0123456789abcdef0123456789abcdef01234567"
NEW = "fedcba9876543210fedcba9876543210fedcba98"
RECORD = HostRecord(number=4, commit=OLD, run="r4")
WELL = HostEnd(HostState.DEPLOYED)


def target(strategy: str = "checkout") -> Target:
    source = Source.model_validate(
        {"repository": "/srv/api.git", "strategy": strategy, "directory": "/srv/api"}
    )
    return Target(name="prod", hosts={"web1": Host(name="web1")}, source=source)


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
