"""One attempt of an act: what is said of one that ends otherwise than with a result."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backout.errors import BackoutError, Interrupted, Refused
from support.ways import BACKED_OUT, FORWARD, Begin, ends, on, say


def raising(error: BackoutError) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_an_act_that_meets_a_refusal_has_failed_with_its_words_and_is_taken_back(
    begin: Begin,
) -> None:
    deployer = begin()
    deployer.world.then["Good web2"] = raising(Refused("the image is gone"))
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, "web2: Good failed: the image is gone")
    assert on(deployer, "web2")[:2] == ["Good", "-Good"]
    assert ends(ended)["web2"] == BACKED_OUT


def test_an_act_of_a_run_that_can_go_no_further_is_not_said_to_have_failed(begin: Begin) -> None:
    deployer = begin()
    deployer.world.then["Good web2"] = raising(Interrupted("the disk of the journal is full"))
    with pytest.raises(Interrupted):
        deployer.say("deploy")
    deployer.world.then.clear()
    assert say(deployer, "resume").exit_code == 0
    assert on(deployer, "web2") == FORWARD, "it is not done a second time"
