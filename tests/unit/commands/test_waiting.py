"""Waiting for a turn: told every now and then, in order, and no longer than was said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.storage.line import Line
from backout.commands.waiting import LOCK, Waiting, patience
from backout.errors import Held, Mistakes
from backout.model import Event
from support.clock import ManualClock


class Desk:
    """A place to wait at, whose time is moved by waiting."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.journal = SqliteJournal(path, str)
        self.told: list[str] = []

    def waiting(self, patience: float | None) -> Waiting:
        place = cast(Any, SimpleNamespace(journal=self.journal))
        screen = cast(Any, SimpleNamespace(listen=self._hear))
        return Waiting(place, screen, "prod", patience, self.clock)

    def _hear(self, event: Event) -> None:
        self.told.append(f"{self.clock.monotonic():.0f}s {event.text}")

    def after(self, seconds: float) -> Callable[[], Held | None]:
        """Something that is in the way until then."""
        return lambda: Held("run 7 of bob") if self.clock.monotonic() < seconds else None

    def queue(self) -> list[str]:
        return [each.waits_for for each in Line(self.journal, "prod", lambda: 0.0).look()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "journal.db")
    with desk.journal:
        yield desk


def test_it_is_said_at_once_and_every_now_and_then_whom_one_waits_for(desk: Desk) -> None:
    with desk.waiting(900.0) as waiting:
        waiting.until(desk.after(120.0), LOCK)
        assert desk.queue() == [LOCK]
    assert desk.queue() == []
    at = [each.partition(" ")[0] for each in desk.told]
    assert at == ["0s", "5s", "20s", "50s", "80s", "110s"]
    assert desk.told[1] == "5s waiting for prod, number 1 in line: run 7 of bob; 14m55s left"


def test_when_time_is_over_it_is_as_if_nobody_had_waited(desk: Desk) -> None:
    with desk.waiting(30.0) as waiting, pytest.raises(Held) as held:
        waiting.turn(desk.after(31.0))
    assert (held.value.what, held.value.state) == ("run 7 of bob", "30s were waited for it")
    assert desk.clock.monotonic() == pytest.approx(30.0)


def test_who_does_not_wait_overtakes_nobody_who_is_alive(desk: Desk) -> None:
    Line(desk.journal, "prod", lambda: 0.0).join("a", "cy", LOCK, desk.clock.now())
    with desk.waiting(None) as waiting, pytest.raises(Held) as held:
        waiting.turn(desk.after(0.0))
    assert held.value.what.startswith("cy on ")
    assert held.value.what.endswith(" waits for prod already")


def test_a_waiter_of_another_machine_that_gives_no_sign_is_overtaken(desk: Desk) -> None:
    Line(desk.journal, "prod", lambda: 0.0).join("a", "cy", LOCK, desk.clock.now())
    desk.journal.change(lambda db: db.execute("UPDATE waiter SET machine = 'burnt'").rowcount)
    with desk.waiting(None) as waiting:
        waiting.turn(desk.after(0.0))
    assert desk.clock.monotonic() == pytest.approx(10.5)
    assert desk.queue() == []


@pytest.mark.parametrize("words", ["soon", "-5s", "5 minutes"])
def test_a_time_that_is_none_is_a_mistake(words: str) -> None:
    with pytest.raises(Mistakes, match="--wait"):
        patience(words)
