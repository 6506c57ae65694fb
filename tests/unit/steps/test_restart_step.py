"""`restart` over what a backend can say: it runs, it does not, nobody can tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from backout.errors import Refused
from backout.model import Identity, Result, Service, State, Undo
from backout.ports import StepContext
from backout.steps.restart import Restart
from support.clock import ManualClock
from support.transports import Told
from support.work import Bench

OLD = Identity(up=True, value="1.100", uptime=500.0, detail="old")
NEW = Identity(up=True, value="2.200", uptime=0.1, detail="new")
DOWN = Identity(up=False, detail="stopped", over=True)
UNSEEN = Identity(up=False, known=False, detail="no answer")
LOOPING = Identity(up=False, trying=True, detail="backoff")


@dataclass
class Manager:
    """Says one identity after the other, the last for ever; notes what it was asked to do."""

    says: Iterator[Identity]
    asked: list[str] = field(default_factory=list)

    def identity(self) -> Identity:
        return next(self.says)

    def restart(self, key: str) -> Result:  # noqa: ARG002 - the seam's form
        self.asked.append("restart")
        return Result(State.DONE, 0)

    def stop(self, key: str) -> Result:  # noqa: ARG002 - the seam's form
        self.asked.append("stop")
        return Result(State.DONE, 0)

    def logs(self, lines: int) -> str:
        return f"the last {lines} lines"

    def streams(self, lines: int) -> dict[str, str]:
        return {"log": self.logs(lines)}

    def find(self) -> tuple[Any, ...]:
        return ()


def manager(*says: Identity) -> Manager:
    return Manager(chain(says, repeat(says[-1])))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, transport=Told(always=Result(State.DONE, 0)))


def work(bench: Bench, said: Manager, **known: Any) -> StepContext:
    made = bench.step("restart", {"within": "60s", "soak": "1s"}).work
    target = made.target.model_copy(update={"service": Service(name="api", backend="pm2")})
    return replace(made, target=target, restarter=lambda: said, **known)


def elapsed(bench: Bench) -> float:
    assert isinstance(bench.clock, ManualClock)
    return bench.clock.monotonic()


@pytest.mark.parametrize(
    ("says", "obstacle"),
    [
        ((OLD,), ""),
        ((DOWN,), ""),
        ((LOOPING,), ""),
        ((UNSEEN,), "cannot tell whether api (pm2) runs: no answer"),
        ((UNSEEN, UNSEEN, OLD), ""),
        ((replace(DOWN, obstacle="port 80 is held by nginx"),), "port 80 is held by nginx"),
        ((replace(UNSEEN, absent=True, obstacle="no such unit"),), "no such unit"),
        ((replace(UNSEEN, absent=True),), ""),
        ((replace(OLD, up=False, obstacle="it runs, but not there"),), "it runs, but not there"),
        ((replace(OLD, up=False, uptime=1.0, obstacle="not there"), NEW), ""),
    ],
)
def test_what_stands_in_the_way_is_said_before_anything_acts(
    bench: Bench, says: tuple[Identity, ...], obstacle: str
) -> None:
    doing = work(bench, manager(*says))
    if not obstacle:
        Restart().ready(doing, made=False)
        return
    with pytest.raises(Refused, match="api") as caught:
        Restart().ready(doing, made=False)
    assert obstacle in caught.value.what


def test_what_another_step_may_bring_is_not_missed_beforehand(bench: Bench) -> None:
    missing = replace(UNSEEN, absent=True, obstacle="no such unit")
    Restart().ready(work(bench, manager(missing)), made=True)
    with pytest.raises(Refused, match="cannot tell"):
        Restart().ready(work(bench, manager(UNSEEN)), made=True)


@pytest.mark.parametrize(
    ("before", "well", "after", "asked", "ends"),
    [
        (True, True, (OLD, NEW), "restart", State.DONE),
        (True, True, (OLD, DOWN), "restart", State.FAILED),
        (True, False, (LOOPING, LOOPING), "restart", State.DONE),
        (None, True, (DOWN, NEW), "restart", State.DONE),
        (None, True, (UNSEEN, UNSEEN), "restart", State.FAILED),
        (False, True, (OLD, DOWN), "stop", State.DONE),
        (False, True, (OLD, LOOPING), "stop", State.FAILED),
        (False, True, (OLD, UNSEEN), "stop", State.FAILED),
    ],
)
def test_the_way_back_leads_to_what_was_before(
    bench: Bench,
    before: bool | None,
    well: bool,
    after: tuple[Identity, ...],
    asked: str,
    ends: State,
) -> None:
    said = manager(*after)
    result = Restart().act(work(bench, said, was_up=before, was_well=well))
    assert said.asked == [asked]
    assert result.state is ends, result.reason


def test_where_nobody_knew_who_served_only_a_younger_process_is_new(bench: Bench) -> None:
    assert Restart().act(work(bench, manager(UNSEEN, OLD))).state is State.FAILED
    young = [replace(NEW, uptime=float(age)) for age in (9, 9, 0)]
    assert Restart().act(work(bench, manager(UNSEEN, *young))).state is State.DONE


def test_what_was_given_up_is_not_awaited_but_a_pause_is_no_end(bench: Bench) -> None:
    result = Restart().act(work(bench, manager(OLD, DOWN)))
    assert "it will not come up: stopped" in result.reason
    assert elapsed(bench) < 5
    assert Restart().act(work(bench, manager(OLD, DOWN, DOWN, NEW))).state is State.DONE


def test_a_moment_in_which_nobody_can_tell_is_not_a_fall(bench: Bench) -> None:
    assert Restart().act(work(bench, manager(OLD, NEW, UNSEEN, NEW))).state is State.DONE
    lost = Restart().act(work(bench, manager(OLD, NEW, UNSEEN)))
    assert (lost.state, "no answer" in lost.reason) == (State.FAILED, True)


def test_an_interrupted_restart_is_done_again_where_nobody_knew_who_served(bench: Bench) -> None:
    doing = work(bench, manager(OLD))
    doing = replace(doing, transport=_Noted())
    for known in ({"identity": "", "told": False}, {"identity": OLD.value, "told": True}):
        assert Restart().recall(doing, Undo(text="", data=known)) is None


def test_on_the_way_back_an_interrupted_restart_need_only_be_over_and_not_come_up(
    bench: Bench,
) -> None:
    coming = Identity(up=False, value="2.200", trying=True, detail="starting")
    doing = replace(work(bench, manager(coming)), transport=_Noted(), undoing=True)
    began = elapsed(bench)
    told = Restart().recall(doing, Undo(text="", data={"identity": OLD.value, "told": True}))
    assert told is not None
    assert told.state is State.UNKNOWN
    assert elapsed(bench) == began, "nothing is awaited that is taken back anyway"


def test_a_restart_whose_end_was_not_seen_is_awaited_before_anything_is_proved(
    bench: Bench,
) -> None:
    class Unseen(Manager):
        def restart(self, key: str) -> Result:
            super().restart(key)
            return Result(State.UNKNOWN, reason="the link was cut")

        def identity(self) -> Identity:
            noted.told.append("identity")
            return super().identity()

    noted = _Noted()
    doing = replace(work(bench, Unseen(chain([OLD], repeat(NEW)))), transport=noted)
    assert Restart().act(doing).ok
    assert noted.told[:3] == ["identity", "recall", "identity"]


class _Noted(Told):
    """Knows nothing of any command, and notes that it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def recall(self, key: str, wait: float) -> Result | None:  # noqa: ARG002 - the seam's form
        self.told.append("recall")
        return None
