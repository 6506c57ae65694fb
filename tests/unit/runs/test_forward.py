"""The way forward, whole: what is done in which order, within which budget, and how it ends."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from backout.errors import Refused
from backout.model import Finding, NoOptions, Outcome, Release, Service
from backout.runs import decisions
from support.ways import (
    ALL_PASS,
    BACK,
    DEPLOYED,
    FAILED,
    FORWARD,
    HERE,
    PLAN,
    Begin,
    begun,
    ends,
    gate,
    on,
    say,
    told,
    verdicts,
)
from support.world import HOSTS, Deployer, runbook, step, target


def test_batch_goes_after_batch_and_each_is_settled_before_the_next(begin: Begin) -> None:
    deployer = begin()
    ended = say(deployer)
    batches = [f"{word} {host}" for host in HOSTS for word in FORWARD]
    assert deployer.world.log == ["Ship here", *batches, "Switch here"]
    assert told(deployer, "phase") == [
        "preflight: web1, web2, web3",
        "baseline",
        *(f"batch {n} of 3: {host}" for n, host in enumerate(HOSTS, start=1)),
    ]
    assert (ended.outcome, ended.exit_code, ended.reason) == (Outcome.SUCCEEDED, 0, "")
    assert ends(ended) == dict.fromkeys(HOSTS, DEPLOYED)
    assert ended.release == Release(2)
    assert verdicts(ended) == ALL_PASS
    assert not deployer.lease.kept
    (row,) = deployer.journal.releases(deployer.run)
    assert (row.number, row.known_good, set(row.covers)) == (2, True, set(HOSTS))


def test_what_covers_a_part_of_the_target_is_never_known_good(begin: Begin) -> None:
    deployer = begin()
    deployer.keys["hosts"] = ("web1", "web3")
    ended = say(deployer)
    assert ends(ended) == {"web1": DEPLOYED, "web3": DEPLOYED}
    (row,) = deployer.journal.releases(deployer.run)
    assert (row.known_good, set(row.covers)) == (False, {"web1", "web3"})
    assert on(deployer, "web2") == []


def test_nothing_starts_after_a_failure(begin: Begin) -> None:
    deployer = begin(refuses={"Good web2"})
    ended = say(deployer)
    assert on(deployer, "web3") == []
    assert on(deployer, "web2") == ["Good", "-Good", "Restart", "Restart"]
    assert "Switch" not in on(deployer, HERE)
    assert ended.reason == "web2: Good failed: exit code 1"


@pytest.mark.parametrize(
    ("failing", "max_failures", "code"),
    [
        (("web1",), 0, 4),
        (("web1",), 1, 0),
        (("web3",), 1, 0),
        (("web1", "web2"), 1, 4),
        (("web1", "web3"), 2, 0),
        (("web1", "web2", "web3"), 2, 4),
        (("web1", "web2", "web3"), 3, 4),
    ],
)
def test_so_many_hosts_may_fail_but_never_all(
    begin: Begin, failing: tuple[str, ...], max_failures: int, code: int
) -> None:
    deployer = begin(max_failures, refuses={f"Bad {host}" for host in failing})
    ended = say(deployer)
    assert ended.exit_code == code
    if code == 4:
        assert ended.reason == "; ".join(FAILED.format(host) for host in failing)
        assert deployer.journal.releases(deployer.run) == ()
        assert all(deployer.world.disk[name] == ["old"] for name in (*HOSTS, HERE))
        return
    gone = {host: ("withdrawn", 1, FAILED.format(host)) for host in failing}
    assert ends(ended) == dict.fromkeys(HOSTS, DEPLOYED) | gone
    (row,) = deployer.journal.releases(deployer.run)
    assert (row.known_good, set(row.covers)) == (False, set(HOSTS) - set(failing))


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_does_not_settle_has_failed(begin: Begin, host: str) -> None:
    deployer = begin(refuses={f"Restart {host}"})
    deployer.world.then[f"Restart {host}"] = deployer.world.refuses.clear
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, f"{host}: Restart failed: exit code 1")
    assert "Switch" not in on(deployer, HERE)


def test_nor_is_a_batch_over_that_this_machine_does_not_settle(begin: Begin) -> None:
    book = runbook().model_copy(update={"settle": (step("Restart"), step("Reload", None))})
    deployer = begin(1, book=book, refuses={"Reload here"})
    deployer.world.then["Reload here"] = deployer.world.refuses.clear
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, "Reload failed: exit code 1")
    assert on(deployer, "web2") == []


def test_nor_may_the_only_host_of_a_run(begin: Begin) -> None:
    deployer = begin(1, refuses={"Bad web1"})
    deployer.keys["hosts"] = ("web1",)
    assert say(deployer).exit_code == 4


def test_a_host_that_fails_within_the_budget_goes_back_alone_before_the_next_batch(
    begin: Begin,
) -> None:
    deployer = begin(1, ill="web2")
    ended = say(deployer)
    assert on(deployer, "web2") == BACK
    assert on(deployer, "web1") == on(deployer, "web3") == FORWARD
    log = deployer.world.log
    assert log.index("-Good web2") < log.index("Good web3")
    assert "phase backing out: web2" in [f"phase {text}" for text in told(deployer, "phase")]
    assert ends(ended)["web2"] == ("withdrawn", 1, "check well@web2 fail: ")
    assert verdicts(ended) == ALL_PASS, "it is asked for what passed before"


def test_hosts_that_fail_one_after_the_other_settle_in_a_turn_of_their_own(begin: Begin) -> None:
    deployer = begin(2, refuses={"Bad web1", "Bad web2"})
    assert say(deployer).exit_code == 0
    assert (
        on(deployer, "web1") == on(deployer, "web2") == ["Good", "Bad", "-Bad", "-Good", "Restart"]
    )


def test_a_host_that_cannot_go_back_alone_is_no_success_and_is_tried_again(begin: Begin) -> None:
    deployer = begin(1, refuses={"Bad web2", "-Bad web2"})
    ended = say(deployer)
    rest = ("deployed", 2, "on record there when the run has ended")
    stuck = ("NOT backed out", None, FAILED.format("web2"))
    assert (ended.outcome, ended.exit_code) == (Outcome.BACKOUT_INCOMPLETE, 5)
    assert {host: (state, why) for host, (state, _, why) in ends(ended).items()} == {
        host: (state, why)
        for host, (state, _, why) in {"web1": rest, "web2": stuck, "web3": rest}.items()
    }
    assert ended.reason == (
        f"{FAILED.format('web2')}; web1, web3: deployed and proved, within max_failures"
    )
    assert ended.release == Release(2)
    assert deployer.lease.kept
    assert deployer.journal.releases(deployer.run) == ()
    deployer.world.refuses.clear()
    again = say(deployer, "resume")
    assert (again.exit_code, ends(again)["web2"]) == (0, ("withdrawn", 1, FAILED.format("web2")))


def test_a_host_that_goes_away_within_the_budget_does_not_stop_the_others(begin: Begin) -> None:
    deployer = begin(1)
    deployer.world.then["Good web2"] = lambda: deployer.world.away.add("web2")
    ended = say(deployer)
    assert on(deployer, "web3") == FORWARD
    assert ended.exit_code == 5
    assert ends(ended)["web2"] == ("NOT backed out", None, "web2: Good unreachable: web2 is away")


def test_who_went_back_alone_at_the_last_proof_is_not_deployed_for_whoever_goes_on(
    begin: Begin,
) -> None:
    """All its steps are on record as done, and its old release is well: nothing else tells."""

    def late() -> Deployer:
        deployer = begin(1)
        deployer.world.then["Switch here"] = lambda: deployer.world.running["web2"].append("ill")
        return deployer

    whole = late()
    expected = dict.fromkeys(HOSTS, DEPLOYED) | {"web2": ("withdrawn", 1, "check well@web2 fail: ")}
    assert ends(say(whole)) == expected
    last = whole.world.fate.passed
    for at in range(last - 24, last):
        deployer = late()
        assert deployer.say("deploy", at) is None
        ended = say(deployer, "resume")
        assert ends(ended) == expected, f"killed at boundary {at} of {last}"
        assert on(deployer, "web2") == BACK


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
    world, look = deployer.world, deployer.world.examine

    def later(*asked: Any, **keys: Any) -> tuple[Finding, ...]:
        if told(deployer, "phase")[-1] == "watching for 10s: web1, web2":
            world.running["web2"].append("ill")
        return look(*asked, **keys)

    world.examine = later  # type: ignore[method-assign]
    ended = say(deployer)
    assert ended.exit_code == code
    assert on(deployer, "web2")[: len(BACK)] == BACK
    assert on(deployer, "web1")[: len(BACK)] == (FORWARD if code == 0 else BACK)
    assert on(deployer, "web3") == (FORWARD if code == 0 else [])
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
    plain = target(deployer.run, 0)
    rollout = plain.rollout.model_copy(update={"batches": (3,)})
    service = Service(name="app", backend="pretended", options=NoOptions())
    keys = {"rollout": rollout, "service": service}
    deployer.keys["target"] = plain.model_copy(update=keys)
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


@pytest.mark.parametrize(("when", "settled"), [("", ["Restart"]), ("false", [])])
def test_hosts_that_only_settle_do_so_when_something_was_changed(
    begin: Begin, when: str, settled: list[str]
) -> None:
    steps = (step("Good", "web1", when=when),)
    book = runbook().model_copy(update={"steps": steps, "settle": (step("Restart", "web2"),)})
    deployer = begin(book=book)
    assert say(deployer).exit_code == 0
    assert on(deployer, "web2") == settled


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


# --- a wish to stop ----------------------------------------------------------------------


def test_no_step_starts_after_a_wish_to_stop_and_all_goes_back(begin: Begin) -> None:
    deployer = begin()
    deployer.world.then["Good web2"] = lambda: deployer.stop("SIGTERM")
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, "SIGTERM")
    assert on(deployer, "web2") == ["Good", "-Good", "Restart", "Restart"]
    assert on(deployer, "web3") == []
    assert on(deployer, HERE) == ["Ship", "-Ship"]


def test_a_wish_to_stop_after_the_last_step_goes_back_too(begin: Begin) -> None:
    deployer = begin()
    deployer.world.then["Switch here"] = lambda: deployer.stop("SIGINT")
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, "SIGINT")
    assert on(deployer, HERE) == ["Ship", "Switch", "-Switch", "-Ship"]
    assert "proof" not in [key for _, key in begun(deployer)], "it is not waited for"


def test_the_way_back_goes_on_whoever_wishes_to_stop(begin: Begin) -> None:
    deployer = begin(refuses={"Bad web2"})
    deployer.world.then["-Bad web2"] = lambda: deployer.stop("SIGTERM")
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, FAILED.format("web2"))
    assert deployer.world.disk == {name: ["old"] for name in (*HOSTS, HERE)}


def test_a_wish_to_stop_is_on_record_for_whoever_goes_on(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "PATIENCE", 300.0)  # the process dies when it is there
    deployer = begin()

    def wish() -> None:
        deployer.stop("SIGTERM")
        deployer.world.fate.dead = True

    deployer.world.then["Good web2"] = wish
    assert deployer.say("deploy") is None
    deployer.world.then.clear()
    deployer.stop = decisions.Stop()
    ended = say(deployer, "resume")
    assert (ended.exit_code, ended.reason) == (4, "SIGTERM")
    assert on(deployer, "web3") == []


def test_a_wish_to_stop_before_any_change_changes_nothing(begin: Begin) -> None:
    deployer = begin()
    deployer.stop("SIGTERM")
    with pytest.raises(Refused) as caught:
        deployer.say("deploy")
    assert caught.value.what == "SIGTERM, before any change"
    assert caught.value.next == PLAN.format(deployer.run)
    assert deployer.world.log == []
