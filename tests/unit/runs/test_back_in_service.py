"""The services of a run's hosts on the way back: what ran before runs again, and what came up
beside the old release is out of sight first."""

from __future__ import annotations

import pytest

from support.ways import FAILED, Begin, on, say, serving
from support.world import HOSTS, runbook, step


@pytest.mark.parametrize("red", [False, True])
def test_what_ran_before_on_a_host_that_was_reached_runs_again_or_that_is_no_end(
    begin: Begin, red: bool
) -> None:
    """Even where no check passed before. What did not run before is none of it."""
    deployer = serving(begin(mends=red, refuses={"Bad web3"}, down={"web2"}))
    world = deployer.world
    if red:
        world.running |= {host: ["ill"] for host in HOSTS}
        deployer.keys["accept_red"] = ("well", "whole")
    world.then["-Bad web3"] = lambda: world.down.add("web1")
    ended = say(deployer)
    assert ended.exit_code == 5
    words = "incomplete: check service app@web1 is red: it does not run (it passed before)"
    assert ended.reason.endswith(words)
    world.down.remove("web1")
    assert say(deployer, "resume").exit_code == 4


def test_what_does_not_run_on_a_host_that_was_not_reached_is_none_of_it(begin: Begin) -> None:
    deployer = serving(begin(refuses={"Bad web2"}))
    deployer.world.then["-Bad web2"] = lambda: deployer.world.down.add("web3")
    assert say(deployer).exit_code == 4


def test_a_service_that_does_not_run_on_a_host_that_is_stuck_is_told_by_what_it_is_stuck_on(
    begin: Begin,
) -> None:
    deployer = serving(begin(refuses={"Bad web2", "-Bad web2"}))
    deployer.world.then["-Bad web2"] = lambda: deployer.world.down.add("web2")
    ended = say(deployer)
    assert ended.exit_code == 5
    assert ended.reason.endswith(f"incomplete: {FAILED.format('web2')}")


def test_what_takes_the_new_release_out_of_sight_at_once_goes_before_all_else(
    begin: Begin,
) -> None:
    """And it settles again to what was there before."""
    settle = (step("Restart"), step("Swap", kind="beside"))
    deployer = begin(book=runbook().model_copy(update={"settle": settle}), refuses={"Bad web3"})
    deployer.world.then["Bad web3"] = lambda: deployer.world.away.add("web2")
    ended = say(deployer)
    assert ended.exit_code == 5
    assert on(deployer, "web1") == [
        *("Good", "Bad", "Restart", "Swap"),
        *("-Swap", "-Bad", "-Good", "Restart", "Swap to Bad"),
    ]
    log = deployer.world.log
    assert log.index("-Swap web1") < log.index("-Bad web3")
