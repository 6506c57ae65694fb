"""The way back, whole: what is undone and settled in which order, what stays, and how it ends."""

from __future__ import annotations

import pytest

from backout.errors import Unreachable
from backout.model import Host, Outcome, Release, Source
from backout.ports import HEARD, TAKEN
from backout.runs.decisions import UNHEARD
from support.ways import (
    ALL_PASS,
    BACK,
    BACKED_OUT,
    FAILED,
    FORWARD,
    HERE,
    UNCHANGED,
    Begin,
    begun,
    ends,
    on,
    say,
    told,
    verdicts,
)
from support.world import HOSTS, Deployer, runbook, step, target


def test_each_host_goes_back_newest_first_and_settles_then_this_machine_and_all_settle_again(
    begin: Begin,
) -> None:
    deployer = begin(ill=HERE)
    ended = say(deployer)
    for host in HOSTS:
        assert on(deployer, host) == [*BACK, "Restart"]
    assert on(deployer, HERE) == ["Ship", "Switch", "-Switch", "-Ship"]
    log = deployer.world.log
    back = log[log.index("Switch here") + 1 :]
    settled = [f"Restart {host}" for host in reversed(HOSTS)]
    assert back[6:] == [*settled, "-Switch here", "-Ship here", *settled], "batches in reverse"
    assert (ended.outcome, ended.exit_code) == (Outcome.BACKED_OUT, 4)
    assert ended.reason == "Final proof failed: check whole fails: "
    assert ends(ended) == dict.fromkeys(HOSTS, BACKED_OUT)
    assert ended.release == Release(1)
    assert verdicts(ended) == ALL_PASS
    assert told(deployer, "phase")[-2:] == [
        "backing out: web1, web2, web3",
        "proving the old release",
    ]
    assert told(deployer, "warning")[-1] == f"backing out: {ended.reason}"
    assert not deployer.lease.kept


@pytest.mark.parametrize(
    ("kind", "connection", "source", "again"),
    [
        ("do", "ssh", None, True),
        ("aside", "ssh", None, False),
        ("aside", "local", None, False),
        ("aside", "ssh", Source(), False),
        ("aside", "local", Source(), True),
        ("aside", "local", Source(repository="elsewhere"), False),
        ("aside", "local", Source(directory="/srv/api"), False),
        ("aside", "local", Source(repository="/srv", directory="/srv/api"), True),
    ],
)
def test_hosts_settle_once_more_where_what_was_undone_here_may_be_what_their_services_run(
    begin: Begin, kind: str, connection: str, source: Source | None, again: bool
) -> None:
    """A kind may say that it reaches no service; but one may run from the working copy."""
    steps = (step("Ship", None, kind), step("Good"), step("Bad"))
    deployer = begin(book=runbook().model_copy(update={"steps": steps}), refuses={"Bad web1"})
    plain = target(deployer.run, 0)
    hosts = {name: Host(name=name, connection=connection) for name in HOSTS}
    deployer.keys["target"] = plain.model_copy(update={"hosts": hosts, "source": source})
    assert say(deployer).exit_code == 4
    assert on(deployer, HERE) == ["Ship", "-Ship"]
    once = ["Good", "Bad", "-Bad", "-Good", "Restart"]
    assert on(deployer, "web1") == [*once, *(["Restart"] if again else [])]


def test_hosts_that_nothing_reached_are_left_alone(begin: Begin) -> None:
    deployer = begin(refuses={"Bad web2"})
    ended = say(deployer)
    assert ends(ended) == {"web1": BACKED_OUT, "web2": BACKED_OUT, "web3": UNCHANGED}
    assert on(deployer, "web3") == []


def test_where_only_this_machine_was_changed_no_host_settles(begin: Begin) -> None:
    deployer = begin(refuses={"Ship here"})
    ended = say(deployer)
    assert deployer.world.log == ["Ship here", "-Ship here"]
    assert ends(ended) == dict.fromkeys(HOSTS, UNCHANGED)
    assert told(deployer, "phase")[-1] == "proving the old release"


def test_what_is_stuck_on_a_host_keeps_what_is_older_there_and_what_was_done_here(
    begin: Begin,
) -> None:
    deployer = begin(refuses={"Bad web2", "-Bad web2"})
    ended = say(deployer)
    assert (ended.outcome, ended.exit_code) == (Outcome.BACKOUT_INCOMPLETE, 5)
    assert ended.reason == (
        f"{FAILED.format('web2')}; and backing out is incomplete: {FAILED.format('web2')}"
    )
    stuck = ("NOT backed out", None, FAILED.format("web2"))
    assert ends(ended) == {"web1": BACKED_OUT, "web2": stuck, "web3": UNCHANGED}
    assert on(deployer, "web2") == ["Good", "Bad", "-Bad"]
    assert on(deployer, "web1") == BACK
    assert on(deployer, HERE) == ["Ship"]
    assert (ended.release, ended.advice) == (Release(1), "")
    assert deployer.lease.kept
    deployer.world.refuses.clear()
    deployer.world.log.clear()
    again = say(deployer, "resume")
    assert (again.exit_code, again.reason) == (4, FAILED.format("web2"))
    assert on(deployer, "web2") == ["-Bad", "-Good", "Restart", "Restart"]
    assert on(deployer, "web1") == ["Restart"], "it is back, and settles after this machine is"
    assert on(deployer, HERE) == ["-Ship"]


def test_what_settles_from_this_machine_does_so_again_for_a_batch_that_is_stuck_too(
    begin: Begin,
) -> None:
    book = runbook().model_copy(update={"settle": (step("Restart"), step("Reload", None))})
    deployer = begin(book=book, refuses={"Bad web3", "-Bad web2"})
    assert say(deployer).exit_code == 5
    assert deployer.world.log.count("Reload here") == 2 + 3
    assert on(deployer, HERE)[0] == "Ship"
    assert on(deployer, "web1") == BACK


def test_what_settles_from_this_machine_does_so_for_the_batches_that_were_reached(
    begin: Begin,
) -> None:
    settle = (step("Restart"), step("Reload", None))
    book = runbook().model_copy(update={"steps": (step("Good"), step("Bad")), "settle": settle})
    deployer = begin(book=book, refuses={"Bad web1"})
    assert say(deployer).exit_code == 4
    assert on(deployer, HERE) == ["Reload"]
    assert on(deployer, "web1") == BACK[:2] + BACK[3:]
    assert on(deployer, "web3") == []


def test_of_hosts_that_go_together_only_those_settle_that_are_back(begin: Begin) -> None:
    deployer = begin(refuses={"Bad web1", "-Bad web1"})
    plain = target(deployer.run, 0)
    rollout = plain.rollout.model_copy(update={"batches": (3,)})
    deployer.keys["target"] = plain.model_copy(update={"rollout": rollout})
    deployer.world.then["Good web1"] = lambda: deployer.world.refuses.add("Restart web2")
    ended = say(deployer)
    assert ended.exit_code == 5
    assert on(deployer, "web1") == ["Good", "Bad", "-Bad"]
    assert on(deployer, "web3")[-1] == "Restart"
    assert {host: why for host, (_, _, why) in ends(ended).items() if why} == {
        "web1": FAILED.format("web1"),
        "web2": "web2: Restart failed: exit code 1",
    }


def test_a_host_is_in_traffic_again_when_it_has_settled_and_never_while_it_is_stuck(
    begin: Begin,
) -> None:
    """Whatever is to be taken back after that, not only what moves traffic."""
    steps = (step("Ship", None), step("Out", kind="late"), step("Good"), step("Bad"))
    deployer = begin(book=runbook().model_copy(update={"steps": steps}))
    deployer.world.refuses |= {"Bad web3", "-Good web3", "-Out web1", "-Out web2"}
    ended = say(deployer)
    assert ended.exit_code == 5
    back = ["Out", *BACK, "-Out"]
    assert on(deployer, "web1") == on(deployer, "web2") == back
    assert on(deployer, "web3") == ["Out", "Good", "Bad", "-Bad", "-Good"]
    assert {
        host: why for host, (state, _, why) in ends(ended).items() if state != "backed out"
    } == {
        "web1": "web1: Out failed: exit code 1",
        "web2": "web2: Out failed: exit code 1",
        "web3": "web3: Good failed: exit code 1",
    }
    deployer.world.refuses.clear()
    deployer.world.log.clear()
    assert say(deployer, "resume").exit_code == 4
    assert on(deployer, "web3") == ["-Good", "Restart", "-Out", "Restart"]
    assert on(deployer, "web1") == ["-Out", "Restart"]


def test_what_is_older_than_that_is_undone_all_the_same(begin: Begin) -> None:
    steps = (step("Good"), step("Out", kind="late"), step("Bad"))
    book = runbook().model_copy(update={"steps": steps})
    deployer = begin(book=book, refuses={"Bad web1"})
    assert say(deployer).exit_code == 4
    assert on(deployer, "web1") == ["Good", "Out", "Bad", "-Bad", "-Good", "Restart", "-Out"]


def test_what_is_stuck_on_this_machine_is_told_and_the_hosts_are_back(begin: Begin) -> None:
    deployer = begin(ill=HERE, refuses={"-Switch here"})
    ended = say(deployer)
    assert ended.exit_code == 5
    assert ended.reason == (
        "Final proof failed: check whole fails: ; and backing out is incomplete: "
        "Switch failed: exit code 1; check whole is red:  (it passed before)"
    )
    assert on(deployer, HERE) == ["Ship", "Switch", "-Switch"]
    assert {host: state for host, (state, *_) in ends(ended).items()} == dict.fromkeys(
        HOSTS, "backed out"
    )


def test_a_host_that_only_would_not_settle_does_not_keep_what_was_done_here(begin: Begin) -> None:
    """What was done here may be the reason."""
    deployer = begin(refuses={"Restart web2"})
    ended = say(deployer)
    assert ended.exit_code == 5
    assert on(deployer, HERE) == ["Ship", "-Ship"]
    assert ends(ended)["web2"][::2] == ("NOT backed out", "web2: Restart failed: exit code 1")
    deployer.world.refuses.clear()
    assert say(deployer, "resume").exit_code == 4


def test_an_old_release_that_does_not_prove_itself_is_no_end_and_all_settles_anew(
    begin: Begin,
) -> None:
    deployer = begin(ill="web2", residue=True)
    ended = say(deployer)
    assert (ended.outcome, ended.exit_code) == (Outcome.BACKOUT_INCOMPLETE, 5)
    assert ended.reason.endswith("check well@web2 is red:  (it passed before)")
    assert verdicts(ended) == ALL_PASS | {"well@web2": "fail"}
    assert ends(ended)["web2"] == ("backed out", 1, "well: ")
    for _ in range(2):
        deployer.world.log.clear()
        assert say(deployer, "resume").exit_code == 5
        assert on(deployer, "web2") == ["Restart", "Restart"]
    deployer.world.disk["web2"] = ["old"]  # a person has put it right
    assert say(deployer, "resume").exit_code == 4


def test_what_was_red_before_is_not_asked_for_again(begin: Begin) -> None:
    deployer = begin(mends=True, refuses={"Bad web1"})
    deployer.keys["accept_red"] = ("whole",)
    ended = say(deployer)
    assert ended.exit_code == 4
    assert verdicts(ended) == {f"well@{host}": "pass" for host in HOSTS}


def test_who_went_back_alone_settles_anew_only_after_a_person_has_put_something_right(
    begin: Begin,
) -> None:
    deployer = begin(1, ill="web3", residue=True, refuses={"Bad web2"})
    assert say(deployer).exit_code == 5
    alone = ["Good", "Bad", "-Bad", "-Good", "Restart"]
    assert on(deployer, "web2") == [*alone, "Restart"], "once more, for what was undone here"
    deployer.world.log.clear()
    assert say(deployer, "resume").exit_code == 5
    assert on(deployer, "web2") == ["Restart", "Restart"]


def test_nothing_is_undone_beside_a_restart_that_may_still_be_at_work(begin: Begin) -> None:
    deployer = begin()
    deployer.world.dies_after("Restart web2")
    assert deployer.say("deploy") is None
    deployer.world.then.clear()
    deployer.world.away.add("web2")
    ended = say(deployer, "abort")
    assert ends(ended)["web2"][2] == "Restart may still be at work: web2 is away"
    assert on(deployer, "web2") == FORWARD
    assert on(deployer, HERE) == ["Ship"]
    deployer.world.away.clear()
    assert say(deployer, "abort").exit_code == 4
    assert on(deployer, "web2") == [*BACK, "Restart"]


def test_nor_beside_one_of_the_way_back(begin: Begin) -> None:
    deployer = begin(refuses={"Bad web2"})
    deployer.world.dies_after("Restart web2")
    assert deployer.say("deploy") is None
    deployer.world.then.clear()
    deployer.world.away.add("web2")
    ended = say(deployer, "abort")
    assert ends(ended)["web2"][2] == "Restart may still be at work: web2 is away"


def test_nor_is_it_where_all_is_done_from_this_machine(begin: Begin) -> None:
    deployer = bare(begin, "here")
    deployer.world.dies_after("Restart here")
    assert deployer.say("deploy") is None
    deployer.world.then.clear()
    deployer.world.away.add(HERE)
    ended = say(deployer, "abort")
    assert ended.exit_code == 5
    assert "Restart may still be at work: here is away" in ended.reason
    assert on(deployer, HERE) == ["Ship", "Switch", "Restart"]


def test_a_host_that_is_away_is_stuck_and_abort_does_what_can_be_done(begin: Begin) -> None:
    deployer = begin()
    deployer.world.then["Good web2"] = lambda: deployer.world.away.add("web2")
    ended = say(deployer)
    stuck = ("NOT backed out", None, "web2: Good unreachable: web2 is away")
    assert ends(ended) == {"web1": BACKED_OUT, "web2": stuck, "web3": UNCHANGED}
    with pytest.raises(Unreachable, match="web2 is away"):
        deployer.say("resume")
    aborted = say(deployer, "abort")
    assert aborted.exit_code == 5
    red = "check well@web2 is red:  (it passed before)"
    assert aborted.reason == f"aborted; and backing out is incomplete: {stuck[2]}; {red}"
    assert ends(aborted) == ends(ended)
    deployer.world.away.clear()
    assert say(deployer, "abort").exit_code == 4


def test_what_is_irreversible_stays_and_is_said_before_it_is_done_and_after(begin: Begin) -> None:
    gone = "the mails are sent"
    book = runbook().model_copy(
        update={"steps": (step("Ship", None), step("Good", irreversible=gone), step("Bad"))}
    )
    deployer = begin(book=book, refuses={"Bad web2"})
    deployer.person.answers = [True]
    ended = say(deployer)
    words = [f"web{n}: Good stays as it is, irreversible: {gone}" for n in (1, 2)]
    assert ended.exit_code == 4
    assert ended.reason == "; ".join((FAILED.format("web2"), *words))
    assert [deployer.world.disk[host] for host in HOSTS] == [["old", "Good"]] * 2 + [["old"]]
    warned = told(deployer, "warning")
    assert f"Good cannot be undone: {gone}" in warned
    assert sorted(w for w in warned if "was irreversible" in w) == [
        f"web{n}: Good was irreversible: {gone}" for n in (1, 2)
    ]


def test_what_changes_nothing_is_not_undone(begin: Begin) -> None:
    book = runbook().model_copy(update={"steps": (step("Look", readonly=True), step("Bad"))})
    deployer = begin(book=book, refuses={"Bad web1"})
    assert say(deployer).exit_code == 4
    assert on(deployer, "web1") == ["Look", "Bad", "-Bad", "Restart"]


def bare(begin: Begin, ill: str) -> Deployer:
    """A target without hosts."""
    steps, settle = (step("Ship", None), step("Switch", None)), (step("Restart", None),)
    book = runbook().model_copy(update={"steps": steps, "settle": settle})
    deployer = begin(book=book, ill=ill)
    plain = target(deployer.run, 0)
    checks = {name: check for name, check in plain.checks.items() if name == "whole"}
    deployer.keys["target"] = plain.model_copy(update={"hosts": {}, "checks": checks})
    return deployer


def test_a_target_without_hosts_goes_back_and_settles_on_this_machine(begin: Begin) -> None:
    deployer = bare(begin, ill=HERE)
    ended = say(deployer)
    assert (ended.exit_code, ended.hosts) == (4, {})
    assert on(deployer, HERE) == ["Ship", "Switch", "Restart", "-Switch", "-Ship", "Restart"]


def test_what_does_not_settle_there_is_told_whatever_settles_after_it(begin: Begin) -> None:
    deployer = bare(begin, ill=HERE)
    settle = (*deployer.book.settle, step("Reload", None))
    deployer.book = deployer.book.model_copy(update={"settle": settle})
    deployer.world.then["-Ship here"] = lambda: deployer.world.refuses.add("Restart here")
    ended = say(deployer)
    assert ended.exit_code == 5
    assert ended.reason.endswith("incomplete: Restart failed: exit code 1")
    assert on(deployer, HERE)[-2:] == ["Restart", "Reload"]


def test_what_was_done_on_a_host_that_nobody_heard_of_since_it_was_taken_over_is_not_known(
    begin: Begin,
) -> None:
    deployer = begin()
    deployer.world.dies_after("Bad web2")
    assert deployer.say("deploy") is None
    deployer.world.then.clear()
    taken = {"epoch": 1, "claim": "c", "away": ["web2"]}
    deployer.journal.note(deployer.run, TAKEN, taken)
    done = on(deployer, "web2")
    ended = say(deployer, "abort")
    assert ended.exit_code == 5
    words = UNHEARD.format("web2")
    assert ends(ended)["web2"] == ("NOT backed out", None, words)
    assert on(deployer, "web2") == done, "and nothing is undone there"
    assert on(deployer, HERE) == ["Ship"], "what was done here for it stays"
    deployer.journal.note(deployer.run, HEARD, {"claim": "c", "away": []})
    assert say(deployer, "resume").exit_code == 4


def test_the_names_of_what_is_taken_back_and_settled_again_stay_for_ever(begin: Begin) -> None:
    """A journal, and the notes on the hosts, may be of a Backout of before."""
    deployer = begin(refuses={"Bad web1"})
    say(deployer)
    assert begun(deployer) == [
        *(("do", "steps/0"), ("do", "steps/1@web1"), ("do", "steps/2@web1")),
        *(("undo", "undo/steps/2@web1"), ("undo", "undo/steps/1@web1")),
        *(("back", "back/1.1/0@web1"), ("undo", "undo/steps/0"), ("back", "back/here/1.1/0@web1")),
    ]
