"""Hosts that are called before they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest

from backout.errors import Unreachable
from backout.model import Host
from backout.ports import Transport
from backout.project.ahead import AT_ONCE, Ahead, Way
from support.transports import Told
from support.wait import eventually


class Line:
    """Where hosts are called: they answer when they may."""

    def __init__(self) -> None:
        self.may_answer = Event()
        self.called: list[str] = []
        self.closed: list[str] = []

    def connect(self, host: Host, _: str) -> Transport:
        self.called.append(host.name)
        assert self.may_answer.wait(30)
        if host.address == "nowhere":
            raise Unreachable(f"{host.name} cannot be reached")
        transport = Told(host=host)
        transport.close = lambda: self.closed.append(host.name)  # type: ignore[method-assign]
        return transport


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.may_answer.set()


def way(name: str, address: str = "") -> Way:
    return Host(name=name, address=address), "/home"


def test_whoever_needs_a_host_gets_the_one_connection_or_why_there_is_none(line: Line) -> None:
    ahead = Ahead()
    ways = [way("web1"), way("web2", "nowhere")]
    ahead.call(ways, line.connect)
    ahead.call(ways, line.connect)
    line.may_answer.set()
    taken = ahead.take(way("web1"))
    assert taken
    assert taken.host.name == "web1"
    with pytest.raises(Unreachable, match="web2 cannot be reached"):
        ahead.take(way("web2", "nowhere"))
    assert sorted(line.called) == ["web1", "web2"]
    assert ahead.take(way("web1")) is None
    assert ahead.take(way("web3")) is None
    ahead.close()
    assert line.closed == []


def test_a_host_that_is_reached_otherwise_by_now_is_called_anew(line: Line) -> None:
    ahead = Ahead()
    ahead.call([way("web1")], line.connect)
    line.may_answer.set()
    assert ahead.take(way("web1", "10.0.0.7")) is None
    eventually(lambda: line.closed == ["web1"], saying="it is let go of")


def test_nobody_waits_for_hosts_whose_turn_has_not_come_or_that_are_not_needed(line: Line) -> None:
    ahead = Ahead()
    names = [f"web{n}" for n in range(AT_ONCE + 2)]
    ahead.call(map(way, names), line.connect)
    eventually(lambda: len(line.called) == AT_ONCE, saying="as many as may be are called")
    assert ahead.take(way(names[-1])) is None
    ahead.close()
    assert line.closed == []
    line.may_answer.set()
    eventually(lambda: sorted(line.closed) == sorted(line.called), saying="all are let go of")
    assert len(line.called) == AT_ONCE
