"""A rollback, whole: what is undone and settled in which order, and done again where the earlier
release is not well."""

from __future__ import annotations

from typing import Any

import pytest

from backout.errors import Refused
from backout.model import Outcome, Release
from support.returning import ALIKE, BACK, Returning, book, deployed, fails_once, next_run, rolled
from support.ways import (
    ALL_PASS,
    HERE,
    Begin,
    begun,
    ends,
    on,
    say,
    verdicts,
)
from support.world import HOSTS, runbook, step

ROLLED_BACK = ("rolled back", None, "")


@pytest.mark.parametrize("more", [{"when": "false"}, {"readonly": True}])
def test_each_portion_goes_back_newest_first_and_settles_before_the_next_one_goes(
    begin: Begin, more: dict[str, Any]
) -> None:
    """Where nothing was done on this machine that can be taken back."""
    deployer = deployed(begin, step("Ship", None, **more), *ALIKE.steps)
    ended = Returning((deployer,)).say()
    assert ended is not None
    assert (ended.outcome, ended.exit_code, ended.release) == (Outcome.SUCCEEDED, 0, Release(1))
    assert ends(ended) == dict.fromkeys(HOSTS, ROLLED_BACK)
    assert verdicts(ended) == ALL_PASS
    assert deployer.world.log == [f"{word} {host}" for host in HOSTS for word in BACK]


def test_what_was_done_here_goes_back_after_all_hosts_which_then_settle_once_more(
    begin: Begin,
) -> None:
    deployer = deployed(begin, *runbook().steps)
    rolled(deployer)
    for host in HOSTS:
        assert on(deployer, host) == [*BACK, "Restart"]
    settled = [f"Restart {host}" for host in reversed(HOSTS)]
    assert deployer.world.log[6:] == [*settled, "-Switch here", "-Ship here", *settled]


def test_the_names_of_what_a_rollback_takes_back_settles_and_does_again_stay_for_ever(
    begin: Begin,
) -> None:
    """A journal, and the notes on the hosts, may be of a Backout of before."""
    deployer = deployed(begin)
    run = deployer.run
    fails_once(deployer, "Restart web2")
    returning = rolled(deployer, code=4)
    names = begun(deployer, returning.run)
    assert names[:6] == [
        *(("undo", f"undo/{run}/steps/1@web1"), ("undo", f"undo/{run}/steps/0@web1")),
        *(("back", f"back/{run}/0.1/0@web1"), ("undo", f"undo/{run}/steps/1@web2")),
        *(("undo", f"undo/{run}/steps/0@web2"), ("back", f"back/{run}/2/0.2/0@web2")),
    ]
    assert names[6:] == [
        *(("again", f"again/{run}/steps/0@web1"), ("again", f"again/{run}/steps/1@web1")),
        *(("again", f"again/{run}/steps/0@web2"), ("again", f"again/{run}/steps/1@web2")),
        *(("again", f"back/again/{run}/0.1/0@web1"), ("again", f"back/again/{run}/0.2/0@web2")),
    ]


# --- several runs ------------------------------------------------------------------------


def test_of_several_runs_the_newest_is_undone_first_and_what_all_settle_alike_settles_once(
    begin: Begin,
) -> None:
    older = deployed(begin)
    middle = next_run(older, step("Two"), settle=(step("Reload"),))
    newer = next_run(middle, step("Three"))
    rolled(newer, middle, older)
    back = ("-Three", "-Two", *BACK, "Reload")
    assert newer.world.log == [f"{word} {host}" for host in HOSTS for word in back]


def test_what_is_stuck_of_the_newest_run_keeps_the_older_ones_on_that_host(begin: Begin) -> None:
    older = deployed(begin)
    newer = next_run(older, step("Two"))
    newer.world.refuses.add("-Two web2")
    returning = Returning((newer, older))
    ended = returning.say()
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (5, "web2: Two failed: exit code 1")
    assert on(newer, "web2") == ["-Two"]
    assert on(newer, "web1") == on(newer, "web3") == ["-Two", *BACK]
    newer.world.refuses.clear()
    newer.world.log.clear()
    ended = returning.say()
    assert ended is not None
    assert ended.exit_code == 0
    assert newer.world.log == [f"{word} web2" for word in ("-Two", *BACK)]


def test_what_the_runs_did_here_is_undone_newest_first_or_none_of_it(begin: Begin) -> None:
    older = deployed(begin, step("Ship", None), step("Good"))
    newer = next_run(older, step("Move", None), step("Two"))
    newer.world.refuses.add("-Move here")
    returning = rolled(newer, older, code=5)
    assert on(newer, HERE) == ["-Move"]
    with pytest.raises(Refused, match="one way only: what was done on this machine is being"):
        returning.say("abort")
    newer.world.refuses.clear()
    newer.world.log.clear()
    ended = returning.say()
    assert ended is not None
    assert ended.exit_code == 0
    assert on(newer, HERE) == ["-Move", "-Ship"]
    assert on(newer, "web1") == ["Restart"]


def test_what_came_up_beside_the_old_release_is_out_of_sight_first_and_goes_back_to_what_was_there(
    begin: Begin,
) -> None:
    """To what was there before the oldest of the runs."""
    settle = (step("Restart"), step("Swap", kind="beside"))
    older = begin(book=book(step("Good"), step("Bad"), settle=settle))
    assert say(older).exit_code == 0
    newer = next_run(older, step("Two"), settle=settle)
    rolled(newer, older)
    back = ["-Swap", "-Two", "-Swap", "-Bad", "-Good", "Restart", "Swap to Bad"]
    assert on(newer, "web1") == back


# --- killed anywhere ---------------------------------------------------------------------


@pytest.mark.parametrize("at", [7, 16, 25, 31, 38, 47, 57])
@pytest.mark.parametrize(
    ("verb", "fails", "code"), [("run", "", 0), ("run", "Restart web2", 4), ("abort", "", 4)]
)
def test_killed_anywhere_it_ends_as_one_that_was_not_and_repeats_nothing(
    begin: Begin, at: int, verb: str, fails: str, code: int
) -> None:
    deployer = deployed(begin)
    if fails:
        fails_once(deployer, fails)
    returning = Returning((deployer,))
    assert returning.say(kill_at=at) is None
    ended = returning.say(verb)
    assert ended is not None
    assert ended.exit_code == code
    world = deployer.world
    left = ["old"] if code == 0 else ["old", "Good", "Bad"]
    for host in HOSTS:
        assert world.disk[host] == world.running[host] == left
        done = [word for word in on(deployer, host) if word != "Restart"]
        assert len(set(done)) == len(done)
    assert returning.say(verb) == ended, "it is over"
