"""A machine over whoever carries for its zone, and what there is when the carrier is gone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backout.adapters.carrying import parcels
from backout.adapters.transports import carried
from backout.adapters.transports.carried import CarriedTransport
from backout.adapters.vault import Vault
from backout.errors import Unreachable
from backout.model import Command, Host, Ssh, State

CUT = parcels.broken("worker-1 is gone")
AWAY = parcels.unreached(Unreachable("nothing listens on web1:22"))
WELL = parcels.told(None)


class Sender:
    """Answers with these, one after the other."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    def send(self, zone: str, host: str, words: bytes, within: float) -> tuple[bytes, str]:
        assert (zone, host) == ("us", "web1")
        assert within > 0
        self.asked.append(parcels.read(words)["what"])
        return self._answers.pop(0), "worker-1"


def web1(sender: Sender) -> CarriedTransport:
    return CarriedTransport(Host(name="web1", zone="us"), Ssh(), "~/.backout", Vault({}), sender)


def test_a_carrier_that_is_gone_while_it_connects_is_followed_by_another() -> None:
    sender = Sender([CUT, WELL])
    web1(sender).open()
    assert sender.asked == [parcels.OPEN, parcels.OPEN]


def test_a_host_that_two_carriers_do_not_connect_to_is_unreachable() -> None:
    with pytest.raises(Unreachable, match=r"web1 cannot be reached: worker-1 is gone"):
        web1(Sender([CUT, CUT])).open()


def test_who_could_not_reach_it_is_named() -> None:
    with pytest.raises(Unreachable, match="web1:22, from worker-1, a worker of zone us"):
        web1(Sender([AWAY])).open()


@pytest.mark.parametrize(
    ("answer", "why"), [(CUT, "worker-1 is gone"), (WELL, "no shell answered")]
)
def test_a_command_whose_carrier_is_gone_may_have_run(answer: bytes, why: str) -> None:
    result = web1(Sender([answer])).run(Command("touch it", key="run/step"))
    assert result.state is State.UNKNOWN
    assert result.reason == f"the way to web1 was lost before the end was seen: {why}"


def test_what_was_seen_by_a_carrier_that_is_gone_is_not_known() -> None:
    with pytest.raises(Unreachable, match="nobody knows what was seen there: worker-1 is gone"):
        web1(Sender([CUT])).observe({}, 5.0)


def test_a_file_that_is_too_large_for_the_ledger_is_not_sent() -> None:
    sender = Sender([])
    with pytest.raises(OSError, match="more than 32 MB do not go through the ledger; nothing was"):
        web1(sender).put(b"x" * (carried.LARGEST + 1), "/srv/file")
    assert sender.asked == []


def test_a_file_whose_carrier_is_gone_may_be_there() -> None:
    with pytest.raises(Unreachable, match="worker-1 is gone") as lost:
        web1(Sender([CUT])).put(b"x", "/srv/file")
    assert lost.value.state == "the file there may be the new one, or not"


def test_a_glance_that_nobody_carries_sees_nothing() -> None:
    assert web1(Sender([AWAY]))._glance("true") is None


def test_what_outlasts_its_time_is_ended_over_there() -> None:
    sender = Sender([WELL])
    web1(sender)._end(17)
    assert sender.asked == [parcels.END]
