"""The way forward, whole: what is done in which order, within which budget, and how it ends."""

from __future__ import annotations

import json

import pytest

from backout.errors import Refused
from backout.model import Outcome, Release
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
    on,
    say,
    serving,
    told,
    verdicts,
)
from support.world import HOSTS, Deployer, runbook, step


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
    named = {host: json.loads(text) for host, text in deployer.world.records.items()}
    assert [named[host]["run"] for host in HOSTS] == [
        *(deployer.run, f"{deployer.run}-before", deployer.run)
    ]
    assert [named[host]["during"] for host in HOSTS] == [[]] * 3, "nobody takes one for half done"


def test_a_host_that_is_not_well_on_its_old_release_is_no_success_for_the_others(
    begin: Begin,
) -> None:
    deployer = begin(1, ill="web2", residue=True)
    ended = say(deployer)
    assert ended.exit_code == 5
    assert ended.reason.endswith("check well@web2 is red:  (it passed before)")


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
    assert verdicts(ended) == ALL_PASS | {"well@web2": "pass"}
    assert deployer.lease.kept
    assert deployer.journal.releases(deployer.run) == ()
    deployer.world.refuses.clear()
    again = say(deployer, "resume")
    assert (again.exit_code, ends(again)["web2"]) == (0, ("withdrawn", 1, FAILED.format("web2")))


def test_a_host_that_is_back_and_does_not_run_settles_anew_when_it_is_tried_again(
    begin: Begin,
) -> None:
    deployer = serving(begin(2, refuses={"Bad web1", "Bad web2"}))
    deployer.world.then["-Good web2"] = lambda: deployer.world.down.add("web2")
    ended = say(deployer)
    assert (ended.exit_code, ends(ended)["web2"][0]) == (5, "NOT backed out")
    deployer.world.then["Restart web2"] = lambda: deployer.world.down.discard("web2")
    ended = say(deployer, "resume")
    assert (ended.exit_code, ends(ended)["web2"][0]) == (0, "withdrawn")
    assert on(deployer, "web2")[-2:] == ["Restart", "Restart"]
    back = [key for phase, key in begun(deployer) if phase == "back"]
    turns = ("alone/1.1/0@web1", "alone/1/1.2/0@web2", "alone/2/1.2/0@web2")
    assert back == [f"back/{each}" for each in turns], "names that stay for ever"


def test_what_this_machine_does_not_settle_for_a_host_that_is_back_alone_ends_the_way_forward(
    begin: Begin,
) -> None:
    book = runbook().model_copy(update={"settle": (step("Restart"), step("Reload", None))})
    deployer = begin(1, book=book, refuses={"Bad web2"})
    deployer.world.then["-Good web2"] = lambda: deployer.world.refuses.add("Reload here")
    deployer.world.then["Reload here"] = lambda: deployer.world.refuses.discard("Reload here")
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, "Reload failed: exit code 1")
    assert on(deployer, "web3") == []


def test_each_host_that_cannot_go_back_alone_is_told_with_its_own_reason(begin: Begin) -> None:
    deployer = begin(2, refuses={"Bad web1", "-Bad web1", "Bad web2", "-Good web2"})
    assert say(deployer).reason == (
        f"{FAILED.format('web1')}; web2: Good failed: exit code 1;"
        " web3: deployed and proved, within max_failures"
    )


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


@pytest.mark.parametrize(("when", "code", "settled"), [("", 0, ["Restart"]), ("false", 4, [])])
def test_hosts_that_only_settle_do_so_when_something_was_changed(
    begin: Begin, when: str, code: int, settled: list[str]
) -> None:
    steps = (step("Good", "web1", when=when),)
    book = runbook().model_copy(update={"steps": steps, "settle": (step("Restart", "web2"),)})
    deployer = begin(book=book)
    assert say(deployer).exit_code == code
    assert on(deployer, "web2") == settled


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
