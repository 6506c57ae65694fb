"""What is told of a balancer's pool: who is in traffic as before, and how many were sent there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from backout.errors import Refused, Unreachable
from backout.model import Balancer, Host, Member, NoOptions, PoolState, Target
from backout.runs.balancing import Balancing

HOSTS = ("web1", "web2", "web3")
EDGE = ("edge", "here")


class Pool:
    """What it says now, or why it cannot be asked."""

    def __init__(self, *members: Member, away: str = "") -> None:
        self.members, self.away = members, away

    def look(self) -> PoolState:
        if self.away:
            raise Unreachable(self.away)
        return PoolState(self.members)


def balancing(pool: Pool, *before: Member) -> Balancing:
    hosts = {name: Host(name=name, address=name) for name in HOSTS}
    edge = Balancer.model_validate(
        {"name": "edge", "backend": "nginx", "on": ["here"], "options": NoOptions()}
    )
    noted = {"pools": [[*EDGE, PoolState(before).record()]]}
    return Balancing(
        cast("Any", SimpleNamespace(pool=lambda *_: pool)),
        Target(name="prod", hosts=hosts, balancers={"edge": edge}),
        cast("Any", SimpleNamespace(noted=lambda _: noted)),
    )


def test_who_was_in_traffic_is_told_of_with_how_it_is_now_or_why_that_is_not_known() -> None:
    before = [Member(name, True) for name in HOSTS]
    now = Pool(Member("web1", True), Member("web2", False))
    told = {host: words for _, host, words in balancing(now, *before).moved([EDGE], HOSTS)}
    assert {host: words.partition(", and ")[2] for host, words in told.items()} == {
        "web2": "is out of traffic ()",
        "web3": "is not there",
    }
    away = balancing(Pool(away="edge is away"), *before)
    assert [
        (host, words.partition(", and ")[2]) for _, host, words in away.moved([EDGE], HOSTS)
    ] == [(host, "nobody can tell how it is now: edge is away") for host in HOSTS]
    assert [*away.moved([EDGE], ())] == [], "nobody is asked for no hosts"


def test_it_counts_for_hosts_of_the_target_and_is_refused_where_it_does_not_count() -> None:
    counting = Member("web1", True, asked=7, failed=1)
    another = Member("another's", True)
    assert balancing(Pool(counting, another)).counted("edge") == {"web1": (7, 1)}
    with pytest.raises(Refused, match="edge does not say how many requests web2 was sent"):
        balancing(Pool(counting, Member("web2", True))).counted("edge")


def test_a_backup_is_counted_on_where_nobody_else_is_left_and_it_is_a_host_of_the_target() -> None:
    def words(leaving: list[str], *members: Member, keep: str = "1") -> str:
        return balancing(Pool(*members), *members).too_few([EDGE], leaving, nobody_ill, keep)

    web1, web2 = Member("web1", True), Member("web2", True)
    sorry, web3 = (Member(name, True, backup=True) for name in ("sorry", "web3"))
    assert words(["web1"], web1, web3) == "", "one stands by for the other"
    assert words(["web3"], web1, web3) == ""
    assert words(["web1"], web1, web2, sorry) == ""
    assert "0 of the 2 that served before" in words(["web1", "web2"], web1, web2, sorry)
    assert "1 of the 2 that served before" in words(["web1"], web1, web2, web3, keep="75%")
    assert words(["web1", "web2"], web1, web2, web3) == ""


def nobody_ill(*_: object) -> tuple[str, ...]:
    return ()
