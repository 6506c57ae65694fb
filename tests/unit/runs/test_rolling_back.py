"""A rollback, whole: what is undone and settled in which order, and done again where the earlier
release is not well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backout.errors import Refused
from backout.model import Outcome, Release, Runbook, Step
from support.ways import (
    ALL_PASS,
    FORWARD,
    HERE,
    Begin,
    Returning,
    begun,
    ends,
    on,
    say,
    told,
    verdicts,
)
from support.world import HOSTS, Deployer, runbook, step

ROLLED_BACK = ("rolled back", None, "")
BACK = ["-Bad", "-Good", "Restart"]


def book(*steps: Step, settle: Sequence[Step] = (step("Restart"),)) -> Runbook:
    return runbook().model_copy(update={"steps": steps, "settle": tuple(settle)})


ALIKE = book(step("Good"), step("Bad"))
"""Nothing is done on this machine, so that hosts go back a few at a time."""


def deployed(begin: Begin, *steps: Step, **keys: Any) -> Deployer:
    """A run that went well over a new world."""
    deployer = begin(book=book(*steps) if steps else ALIKE, **keys)
    assert say(deployer).exit_code == 0
    deployer.world.log.clear()
    return deployer


def next_run(before: Deployer, *steps: Step) -> Deployer:
    """Another one over the same world."""
    keys = {**before.keys, "release": Release(3), "previous": Release(2)}
    after = replace(before, run=f"{before.run}-next", book=book(*steps), keys=keys)
    assert say(after).exit_code == 0
    after.world.log.clear()
    return after


def rolled(*runs: Deployer, code: int = 0) -> Returning:
    returning = Returning(runs)
    ended = returning.say()
    assert ended is not None
    assert ended.exit_code == code, ended
    return returning


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
    newer = next_run(older, step("Two"))
    rolled(newer, older)
    assert newer.world.log == [f"{word} {host}" for host in HOSTS for word in ("-Two", *BACK)]


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


# --- forward again -----------------------------------------------------------------------


def test_where_the_earlier_release_does_not_settle_its_hosts_alone_go_forward_again(
    begin: Begin,
) -> None:
    deployer = deployed(begin)
    fails_once(deployer, "Restart web2")
    ended = Returning((deployer,)).say()
    assert ended is not None
    assert (ended.outcome, ended.exit_code) == (Outcome.BACKED_OUT, 4)
    assert (ended.release, ended.reason) == (Release(2), "web2: Restart failed: exit code 1")
    assert ends(ended) == {
        "web1": ("backed out", 2, ""),
        "web2": ("backed out", 2, ""),
        "web3": ("unchanged", 2, ""),
    }
    assert verdicts(ended) == ALL_PASS
    assert on(deployer, "web1") == on(deployer, "web2") == [*BACK, *FORWARD]
    assert on(deployer, "web3") == []
    forward = deployer.world.log[6:]
    assert forward[-2:] == ["Restart web1", "Restart web2"], "batch by batch, after all steps"
    assert told(deployer, "phase")[-2:] == [
        "forward again to release 2: web1, web2",
        "proving release 2",
    ]


def test_of_hosts_that_go_together_no_other_one_settles_once_one_did_not(begin: Begin) -> None:
    deployer = deployed(begin, step("Good"), step("Alone", "web1"))
    fails_once(deployer, "Restart web3")
    rolled(deployer, code=4)
    assert on(deployer, "web1") == ["-Alone", "-Good", "Good", "Alone", "Restart"]
    assert on(deployer, "web3") == ["-Good", "Restart", "Good", "Restart"]


def test_several_runs_are_done_again_oldest_first_and_settle_once(begin: Begin) -> None:
    older = deployed(begin)
    newer = next_run(older, step("Two"))
    fails_once(newer, "Restart web1")
    rolled(newer, older, code=4)
    assert newer.world.log == [
        f"{word} web1" for word in ("-Two", *BACK, "Good", "Bad", "Two", "Restart")
    ]


def test_what_cannot_be_done_again_is_told_and_keeps_what_came_after_it_on_that_host(
    begin: Begin,
) -> None:
    older = deployed(begin)
    newer = next_run(older, step("Two"))
    fails_once(newer, "Restart web1")
    newer.world.refuses.add("Good web1")
    returning = Returning((newer, older))
    ended = returning.say()
    assert ended is not None
    assert ended.exit_code == 5
    assert ended.reason == (
        "web1: Restart failed: exit code 1; and going forward again is incomplete:"
        " web1: Good failed: exit code 1"
    )
    assert ends(ended)["web1"] == ("NOT backed out", None, "web1: Good failed: exit code 1")
    assert on(newer, "web1") == ["-Two", *BACK, "Good"]
    assert newer.lease.kept
    newer.world.refuses.clear()
    newer.world.log.clear()
    ended = returning.say()
    assert ended is not None
    assert ended.exit_code == 4
    assert on(newer, "web1") == ["-Good", *FORWARD[:2], "Two", "Restart"], "what it left, first"
    name = f"undo/1/again/{older.run}/steps/0@web1"
    assert ("undo", name) in begun(newer, returning.run), "a name that stays for ever"


def test_meanwhile_no_other_host_settles_anew_whatever_is_red(begin: Begin) -> None:
    deployer = deployed(begin)
    fails_once(deployer, "Restart web2")
    deployer.world.refuses.add("Good web1")
    deployer.world.then["Good web1"] = lambda: deployer.world.running["web1"].append("ill")
    returning = rolled(deployer, code=5)
    assert on(deployer, "web2") == [*BACK, *FORWARD]
    deployer.world.refuses.clear()
    deployer.world.log.clear()
    ended = returning.say()
    assert ended is not None
    assert ended.exit_code == 4
    assert on(deployer, "web2") == []


def test_what_settles_from_this_machine_does_so_for_the_batches_that_went_back(
    begin: Begin,
) -> None:
    settle = (step("Restart"), step("Reload", None))
    deployer = begin(book=book(step("Good"), settle=settle))
    assert say(deployer).exit_code == 0
    deployer.world.log.clear()
    fails_once(deployer, "Restart web2")
    rolled(deployer, code=4)
    log = deployer.world.log
    assert log[log.index("Good web1") :] == [
        *("Good web1", "Good web2"),
        *("Restart web1", "Reload here", "Restart web2", "Reload here"),
    ]
    assert log.count("Reload here") == 4


def test_what_such_a_step_left_and_cannot_be_taken_back_is_not_built_upon(begin: Begin) -> None:
    deployer = deployed(begin)
    fails_once(deployer, "Restart web1")
    deployer.world.refuses.add("Good web1")
    returning = rolled(deployer, code=5)
    deployer.world.refuses.add("-Good web1")
    deployer.world.log.clear()
    ended = returning.say()
    assert ended is not None
    assert ended.reason.endswith("incomplete: web1: Good failed: exit code 1")
    assert deployer.world.log == ["-Good web1"]


def test_what_a_run_had_taken_back_itself_is_not_done_again(begin: Begin) -> None:
    deployer = begin(1, book=ALIKE, refuses={"Bad web2"})
    assert say(deployer).exit_code == 0
    deployer.world.refuses.clear()
    deployer.world.log.clear()
    fails_once(deployer, "Restart web3")
    rolled(deployer, code=4)
    assert deployer.world.disk["web2"] == ["old"]
    assert on(deployer, "web1") == [*BACK, *FORWARD]


def bringing(begin: Begin) -> tuple[Deployer, Path]:
    """A run of which each host, and this machine, got a file."""
    deployer = begin(book=book(step("Tell", None, "brings"), step("Put", kind="brings")))
    file = deployer.world.directory / "file"
    file.write_text("one")
    brings = type("Brings", (deployer.kinds["aside"],), {"reads": lambda *_: [str(file)]})
    deployer.seams["steps"] = {**deployer.kinds, "brings": brings}
    assert say(deployer).exit_code == 0
    return deployer, file


def test_what_could_not_be_done_again_is_said_before_anything_is_undone(begin: Begin) -> None:
    deployer, file = bringing(begin)
    file.write_text("two")
    fails_once(deployer, "Restart web1")
    ended = Returning((deployer,)).say()
    assert ended is not None
    why = (
        f"there is no way forward again: web1: Put: {file} on this machine has changed since web1"
        " got it: the hosts of one release would differ"
    )
    assert f"should it not come up, {why}" in told(deployer, "warning")
    assert (ended.exit_code, ended.reason) == (5, f"web1: Restart failed: exit code 1; {why}")


@pytest.mark.parametrize(("doubt", "why"), [("Put web3", "its way back is not known"), ("", "")])
def test_nor_can_what_has_no_way_back_by_now_but_what_was_done_here_is_none_of_it(
    begin: Begin, doubt: str, why: str
) -> None:
    deployer, _ = bringing(begin)
    deployer.world.doubts |= {"Tell here", doubt}
    fails_once(deployer, "Restart web1")
    ended = Returning((deployer,)).say()
    assert ended is not None
    assert ended.exit_code == (5 if why else 4)
    words = f"web1: Restart failed: exit code 1; there is no way forward again: {why}"
    assert (ended.reason == words) is bool(why)


def test_what_had_begun_to_be_taken_back_is_so_to_its_end_before_it_is_done_again(
    begin: Begin,
) -> None:
    deployer = deployed(begin)
    deployer.world.refuses.add("-Good web1")
    returning = rolled(deployer, code=5)
    deployer.world.log.clear()
    ended = returning.say("abort")
    assert ended is not None
    assert ended.exit_code == 5
    assert "-Bad web1" not in deployer.world.log
    assert on(deployer, "web1") == ["-Good"]
    assert on(deployer, "web2") == on(deployer, "web3") == FORWARD
    deployer.world.refuses.clear()
    deployer.world.log.clear()
    ended = returning.say("abort")
    assert ended is not None
    assert (ended.exit_code, ended.reason) == (4, "aborted")
    assert on(deployer, "web1") == ["-Good", *FORWARD]


def test_a_rollback_that_is_aborted_before_its_first_undo_does_nothing(begin: Begin) -> None:
    deployer = deployed(begin)
    ended = Returning((deployer,)).say("abort")
    assert ended is not None
    assert ended.exit_code == 4
    assert ends(ended) == dict.fromkeys(HOSTS, ("unchanged", 2, ""))
    assert deployer.world.log == []


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


def fails_once(deployer: Deployer, words: str) -> None:
    """From now on it fails, the first time."""
    deployer.world.refuses.add(words)
    deployer.world.then[words] = lambda: deployer.world.refuses.discard(words)
