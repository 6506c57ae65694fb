"""What a rollback does again where the earlier release is not well, or somebody thinks better of
it, and what it says of that before."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.model import Outcome, Release
from support.returning import ALIKE, BACK, Returning, book, deployed, fails_once, next_run, rolled
from support.ways import (
    ALL_PASS,
    FORWARD,
    HERE,
    Begin,
    begun,
    ends,
    on,
    say,
    told,
    verdicts,
)
from support.world import HOSTS, Deployer, runbook, step


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
    reads = lambda _, work: [str(file)] if work.step else []  # noqa: E731
    brings = type("Brings", (deployer.kinds["aside"],), {"reads": reads})
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


def test_it_can_be_aborted_until_what_was_done_here_is_being_taken_back(begin: Begin) -> None:
    deployer = deployed(begin, *runbook().steps)
    deployer.world.refuses.add("-Bad web2")
    returning = rolled(deployer, code=5)
    deployer.world.refuses.clear()
    ended = returning.say("abort")
    assert ended is not None
    assert ended.exit_code == 4
    assert deployer.world.disk["web2"] == ["old", "Good", "Bad"]
    assert on(deployer, HERE) == []


def test_a_rollback_that_is_aborted_before_its_first_undo_does_nothing(begin: Begin) -> None:
    deployer = deployed(begin)
    ended = Returning((deployer,)).say("abort")
    assert ended is not None
    assert ended.exit_code == 4
    assert ends(ended) == dict.fromkeys(HOSTS, ("unchanged", 2, ""))
    assert deployer.world.log == []
