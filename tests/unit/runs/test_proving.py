"""What a run watches and proves on its way forward, and what is made of what is red there."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from backout.model import Finding
from support.ways import (
    ALL_PASS,
    BACK,
    FORWARD,
    HERE,
    Begin,
    begun,
    ends,
    gate,
    on,
    say,
    serving,
    told,
    verdicts,
)
from support.world import HOSTS, Deployer, runbook, step, target


@pytest.mark.parametrize("on", [None, "all"])
def test_what_only_the_whole_change_turns_green_is_left_to_the_proof(
    begin: Begin, on: str | None
) -> None:
    book = runbook().model_copy(update={"settle": (step("Restart"), gate(on=on))})
    deployer = begin(book=book, mends=True)
    plain = target(deployer.run, 0)
    fails = plain.checks["whole"].model_copy(update={"baseline": "fails"})
    checks = {**plain.checks, "whole": fails}
    deployer.keys["target"] = plain.model_copy(update={"checks": checks})
    ended = say(deployer)
    assert (ended.exit_code, verdicts(ended)) == (0, ALL_PASS)


def watched(begin: Begin, max_failures: int = 0) -> Deployer:
    deployer = begin(max_failures)
    plain = target(deployer.run, max_failures)
    rollout = plain.rollout.model_copy(update={"watch": 10.0})
    deployer.keys["target"] = plain.model_copy(update={"rollout": rollout})
    return deployer


def test_between_two_batches_the_new_hosts_are_watched_beside_the_old_ones(begin: Begin) -> None:
    deployer = watched(begin)
    assert say(deployer).exit_code == 0
    assert told(deployer, "phase")[2:] == [
        *("batch 1 of 3: web1", "watching for 10s: web1"),
        *("batch 2 of 3: web2", "watching for 10s: web1, web2", "batch 3 of 3: web3"),
    ]


@pytest.mark.parametrize(("max_failures", "code"), [(0, 4), (1, 0)])
def test_a_host_that_goes_red_while_it_is_watched_goes_back_alone_within_the_budget(
    begin: Begin, max_failures: int, code: int
) -> None:
    deployer = watched(begin, max_failures)
    world, look, looks = deployer.world, deployer.world.examine, list[int]()

    def later(*asked: Any, **keys: Any) -> tuple[Finding, ...]:
        if told(deployer, "phase")[-1] == "watching for 10s: web1, web2":
            looks.append(1)
            world.running["web2"] += ["ill"] if len(looks) == 3 else []
        return look(*asked, **keys)

    world.examine = later  # type: ignore[method-assign]
    ended = say(deployer)
    assert ended.exit_code == code
    assert on(deployer, "web2")[: len(BACK)] == BACK
    assert on(deployer, "web1")[: len(BACK)] == (FORWARD if code == 0 else BACK)
    assert on(deployer, "web3") == (FORWARD if code == 0 else [])
    if code == 0:
        assert world.log.index("-Good web2") < world.log.index("Good web3"), "before the next batch"
    state = ("withdrawn", 1) if code == 0 else ("backed out", 1)
    assert ends(ended)["web2"][:2] == state


def test_the_last_gate_is_the_proof_and_is_not_asked_twice(begin: Begin) -> None:
    book = runbook()
    deployer = begin(book=book.model_copy(update={"steps": book.steps[:3]}))
    assert say(deployer).exit_code == 0
    begun = [each for each in deployer.journal.recall(deployer.run) if each.kind == "begin"]
    gates = [each.key for each in begun if each.body["step"] == "Prove"]
    assert gates == ["settle/1.1/1", "settle/1.2/1", "proof"]


@pytest.mark.parametrize("steps", [3, 4])
def test_what_an_earlier_process_has_proved_is_proved_again(begin: Begin, steps: int) -> None:
    """Whether the last gate is the proof, or one of its own."""
    book = runbook()
    deployer = begin(book=book.model_copy(update={"steps": book.steps[:steps]}))
    world, look = deployer.world, deployer.world.examine

    def dies(*asked: Any, **keys: Any) -> tuple[Finding, ...]:
        over = ("proof", "proof") in begun(deployer)
        world.fate.at = world.fate.passed + 3 if over else 0
        return look(*asked, **keys)

    world.examine = dies  # type: ignore[method-assign]
    assert deployer.say("deploy") is None
    records = deployer.journal.recall(deployer.run)
    assert [each.kind for each in records if each.key == "proof"] == ["begin", "end"]
    world.examine = look  # type: ignore[method-assign]
    world.running["web1"].append("ill")
    ended = say(deployer, "resume")
    assert (ended.exit_code, on(deployer, "web1")[: len(BACK)]) == (4, BACK)


def test_where_there_is_no_check_nothing_is_proved(begin: Begin) -> None:
    deployer = begin()
    plain = target(deployer.run, 0)
    deployer.keys["target"] = plain.model_copy(update={"checks": {}})
    deployer.world.examine = lambda *_, **__: ()  # type: ignore[method-assign]
    assert say(deployer).exit_code == 0
    assert ("proof", "proof") not in begun(deployer)


def test_the_logs_of_all_hosts_that_went_red_at_once_are_kept(begin: Begin) -> None:
    settle = (step("Restart"), gate(on="all"))
    deployer = begin(book=runbook().model_copy(update={"settle": settle}))
    plain = serving(deployer).plan.target
    rollout = plain.rollout.model_copy(update={"batches": (3,)})
    deployer.keys["target"] = plain.model_copy(update={"rollout": rollout})
    for host in ("web1", "web3"):
        deployer.world.then[f"Bad {host}"] = partial(deployer.world.disk[host].append, "ill")
    deployer.world.then |= {f"-Good {host}": partial(mend, deployer, host) for host in HOSTS}
    ended = say(deployer)
    assert ended.exit_code == 4
    (wish,) = (e.body for e in deployer.journal.recall(deployer.run) if e.kind == "back_out")
    assert wish["logs"].keys() == {"web1", "web3"}


def mend(deployer: Deployer, host: str) -> None:
    deployer.world.disk[host] = ["old"]


def test_a_gate_among_the_steps_asks_those_that_are_left(begin: Begin) -> None:
    steps = (step("Ship", None), step("Good"), gate(), step("Switch", None))
    deployer = begin(1, book=runbook().model_copy(update={"steps": steps}))
    deployer.world.then["Good web2"] = lambda: deployer.world.away.add("web2")
    ended = say(deployer)
    assert on(deployer, HERE) == ["Ship", "Switch"]
    assert ended.reason.endswith("web1, web3: deployed and proved, within max_failures")


def test_the_names_of_what_is_done_settled_watched_and_proved_stay_for_ever(begin: Begin) -> None:
    """A journal, and the notes on the hosts, may be of a Backout of before."""
    deployer = watched(begin)
    deployer.keys["hosts"] = ("web1", "web2")
    assert say(deployer).exit_code == 0
    batches = [
        *(("do", "steps/1@{0}"), ("do", "steps/2@{0}")),
        *(("settle", "settle/1.{1}/0@{0}"), ("settle", "settle/1.{1}/1")),
    ]
    first, second = (
        [(phase, key.format(host, n)) for phase, key in batches]
        for n, host in enumerate(("web1", "web2"), start=1)
    )
    assert begun(deployer) == [
        *(("do", "steps/0"), *first, ("watch", "watch/1.1"), *second),
        *(("do", "steps/3"), ("proof", "proof")),
    ]
