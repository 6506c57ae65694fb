"""The way forward and the way back, whole: what is done in which order, and how it ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.storage.journal import SqliteJournal
from backout.errors import Refused, Unreachable
from backout.model import HostEnd, HostState, Outcome, Release, Runbook, Step
from backout.runs import release_file
from backout.runs.ended import Ended
from backout.runs.release_file import HostRecord
from backout.steps.verify import VerifyOptions
from support.work import Person
from support.world import HOSTS, Deployer, World, runbook, step, target

names = itertools.count()
HERE = "here"
FAILED = "{}: Bad failed: exit code 1"
FORWARD = ["Good", "Bad", "Restart"]
BACK = [*FORWARD, "-Bad", "-Good", "Restart"]
PLAN = "invoke plan --target {}"

Begin = Callable[..., Deployer]


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path_factory.mktemp("ways") / "journal.db", str) as journal:
        yield journal


@pytest.fixture
def begin(journal: SqliteJournal, tmp_path: Path) -> Begin:
    def begin(max_failures: int = 0, *, book: Runbook | None = None, **world: Any) -> Deployer:
        place = tmp_path / str(next(names))
        place.mkdir()
        run = f"r{next(names)}"
        made = Deployer(World(place, **world), journal, run, max_failures, book or runbook())
        for name in HOSTS:
            record = HostRecord().arrived(f"{run}-before", Release(1))
            release_file.write(made.world.reach(name), "~/state", record)
        return made

    return begin


def say(deployer: Deployer, verb: str = "deploy") -> Ended:
    ended = deployer.say(verb)
    assert ended is not None
    return ended


def on(deployer: Deployer, host: str) -> list[str]:
    """What was done and undone on one machine, in order."""
    words = (each.rsplit(" ", 1) for each in deployer.world.log)
    return [word for word, where in words if where == host]


def told(deployer: Deployer, *kinds: str) -> list[str]:
    return [event.text for event in deployer.told if event.kind in kinds]


def ends(ended: Ended) -> dict[str, tuple[str, int | None, str]]:
    return {
        host: (str(end.state), end.release.number if end.release else None, end.why)
        for host, end in ended.hosts.items()
    }


def verdicts(ended: Ended) -> dict[str, str]:
    return {finding.key: str(finding.verdict) for finding in ended.findings}


ALL_PASS = dict.fromkeys(("whole", "well@web1", "well@web2", "well@web3"), "pass")
DEPLOYED, UNCHANGED = ("deployed", 2, ""), ("unchanged", 1, "")
BACKED_OUT = ("backed out", 1, "")


# --- forward -----------------------------------------------------------------------------


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


def gate(**keys: Any) -> Step:
    return Step(name="Prove", kind="verify", options=VerifyOptions(), **keys)


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


def test_the_way_back_goes_on_whoever_wishes_to_stop(begin: Begin) -> None:
    deployer = begin(refuses={"Bad web2"})
    deployer.world.then["-Bad web2"] = lambda: deployer.stop("SIGTERM")
    ended = say(deployer)
    assert (ended.exit_code, ended.reason) == (4, FAILED.format("web2"))
    assert deployer.world.disk == {name: ["old"] for name in (*HOSTS, HERE)}


def test_a_wish_to_stop_before_any_change_changes_nothing(begin: Begin) -> None:
    deployer = begin()
    deployer.stop("SIGTERM")
    with pytest.raises(Refused) as caught:
        deployer.say("deploy")
    assert caught.value.what == "SIGTERM, before any change"
    assert caught.value.next == PLAN.format(deployer.run)
    assert deployer.world.log == []


# --- back --------------------------------------------------------------------------------


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


def test_a_host_is_in_traffic_again_when_it_has_settled_and_never_while_it_is_stuck(
    begin: Begin,
) -> None:
    """Whatever is to be taken back after that, not only what moves traffic."""
    steps = (step("Ship", None), step("Out", kind="late"), step("Good"), step("Bad"))
    deployer = begin(book=runbook().model_copy(update={"steps": steps}))
    deployer.world.refuses |= {"Bad web3", "-Good web3", "-Out web1"}
    ended = say(deployer)
    assert ended.exit_code == 5
    back = ["Out", *BACK, "-Out"]
    assert on(deployer, "web1") == on(deployer, "web2") == back
    assert on(deployer, "web3") == ["Out", "Good", "Bad", "-Bad", "-Good"]
    assert {
        host: why for host, (state, _, why) in ends(ended).items() if state != "backed out"
    } == {
        "web1": "web1: Out failed: exit code 1",
        "web3": "web3: Good failed: exit code 1",
    }
    deployer.world.refuses.clear()
    deployer.world.log.clear()
    assert say(deployer, "resume").exit_code == 4
    assert on(deployer, "web3") == ["-Good", "Restart", "-Out", "Restart"]
    assert on(deployer, "web1") == ["-Out", "Restart"]


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


def test_a_target_without_hosts_goes_back_and_settles_on_this_machine(begin: Begin) -> None:
    steps, settle = (step("Ship", None), step("Switch", None)), (step("Restart", None),)
    book = runbook().model_copy(update={"steps": steps, "settle": settle})
    deployer = begin(book=book, ill=HERE)
    bare = target(deployer.run, 0)
    checks = {name: check for name, check in bare.checks.items() if name == "whole"}
    deployer.keys["target"] = bare.model_copy(update={"hosts": {}, "checks": checks})
    ended = say(deployer)
    assert (ended.exit_code, ended.hosts) == (4, {})
    assert on(deployer, HERE) == ["Ship", "Switch", "Restart", "-Switch", "-Ship", "Restart"]


def test_the_names_of_what_is_taken_back_and_settled_again_stay_for_ever(begin: Begin) -> None:
    """A journal, and the notes on the hosts, may be of a Backout of before."""
    deployer = begin(refuses={"Bad web1"})
    say(deployer)
    begun = [each.key for each in deployer.journal.recall(deployer.run) if each.kind == "begin"]
    assert begun == [
        *("steps/0", "steps/1@web1", "steps/2@web1"),
        *("undo/steps/2@web1", "undo/steps/1@web1", "back/1.1/0@web1"),
        *("undo/steps/0", "back/here/1.1/0@web1"),
    ]


# --- before the first change -------------------------------------------------------------


def refused(deployer: Deployer) -> Refused:
    """Nothing was done."""
    with pytest.raises(Refused) as caught:
        deployer.say("deploy")
    assert deployer.world.log == []
    assert deployer.journal.releases(deployer.run) == ()
    return caught.value


def test_every_way_back_that_cannot_be_known_is_named_before_anything_acts(begin: Begin) -> None:
    deployer = begin(doubts={"Good web1", "Good web3", "Switch here"})
    error = refused(deployer)
    lines = [
        f"{title}: its way back is not known" for title in ("web1: Good", "web3: Good", "Switch")
    ]
    assert error.what.split("\n") == lines
    assert error.next == "look at Good\n       look at Switch"


def test_a_preflight_that_fails_refuses(begin: Begin) -> None:
    book = runbook().model_copy(update={"preflight": (step("Look", readonly=True),)})
    deployer = begin(book=book, refuses={"Look web2"})
    with pytest.raises(Refused) as caught:
        deployer.say("deploy")
    assert caught.value.what == "web2: Look failed: exit code 1"
    assert caught.value.next == PLAN.format(deployer.run)
    assert {word.split()[0] for word in deployer.world.log} == {"Look"}


def test_a_baseline_that_is_red_refuses_unless_that_is_accepted_or_nothing_was_there(
    begin: Begin,
) -> None:
    deployer = begin()
    deployer.world.running["web2"] = ["ill"]
    error = refused(deployer)
    assert error.what == (
        "the baseline is not what it must be\ncheck well@web2 fails before the change: "
    )
    assert error.next == PLAN.format(deployer.run)
    for keys in ({"accept_red": ("well",)}, {"first": True}):
        other = begin()
        other.world.running["web2"] = ["ill"]
        other.keys |= keys
        assert say(other).exit_code == 0


def test_hosts_that_are_away_are_all_named(begin: Begin) -> None:
    deployer = begin()
    deployer.world.away.update(("web1", "web3"))
    assert refused(deployer).what == "web1 is away\nweb3 is away"


def test_a_number_that_a_host_has_seen_is_not_given_again_and_a_strange_run_is_told(
    begin: Begin,
) -> None:
    deployer = begin()
    there = HostRecord().arrived("strange", Release(7))
    release_file.write(deployer.world.reach("web2"), "~/state", there)
    assert say(deployer).release == Release(8)
    assert [row.number for row in deployer.journal.releases(deployer.run)] == [8]
    told_of = [words for words in told(deployer, "warning") if "strange" in words]
    assert told_of == [
        "run strange was there last, and is not in this journal: no rollback from here goes back"
        " past it"
    ]


def test_a_protected_target_is_confirmed_by_its_name_and_a_no_changes_nothing(begin: Begin) -> None:
    for answer in (True, False):
        deployer = begin()
        protected = target(deployer.run, 0).model_copy(update={"protected": True})
        deployer.keys["target"] = protected
        deployer.person = Person(answer)
        if answer:
            assert say(deployer).exit_code == 0
        else:
            assert refused(deployer).what == "not confirmed"
        (question,) = deployer.person.asked
        assert question.startswith("deploy release 2 to ")
        assert question.endswith(f"[{deployer.run}]")


# --- the end -----------------------------------------------------------------------------


@pytest.mark.parametrize(("refuses", "code"), [((), 0), (("Bad web2",), 4)])
def test_what_comes_finally_is_done_however_it_ends_and_its_failure_is_only_told(
    begin: Begin, refuses: tuple[str, ...], code: int
) -> None:
    book = runbook().model_copy(update={"finally_": (step("Tell", None), step("Sweep", None))})
    deployer = begin(book=book, refuses={*refuses, "Tell here"})
    assert say(deployer).exit_code == code
    assert deployer.world.log[-2:] == ["Tell here", "Sweep here"]
    assert "finally: Tell failed: exit code 1" in told(deployer, "warning")


@pytest.mark.parametrize("refuses", [(), ("Bad web2",)])
def test_who_has_lost_the_hosts_says_nothing_of_how_they_are(
    begin: Begin, refuses: tuple[str, ...]
) -> None:
    deployer = begin(refuses={*refuses})
    last = "-Ship here" if refuses else "Switch here"
    deployer.world.then[last] = lambda: setattr(deployer.lease, "taken", "bob took web1")
    ended = say(deployer)
    why = f"{FAILED.format('web2')}; bob took web1" if refuses else "bob took web1"
    assert (ended.outcome, ended.exit_code, ended.reason) == (Outcome.BACKOUT_INCOMPLETE, 5, why)
    assert ended.hosts == dict.fromkeys(HOSTS, HostEnd(HostState.STUCK, why=why))
    assert ended.release == Release(1)
    assert deployer.lease.kept
    assert deployer.journal.releases(deployer.run) == ()


@pytest.mark.parametrize("verb", ["resume", "abort"])
@pytest.mark.parametrize("ill", ["", "web2"])
def test_what_is_over_is_given_back_and_no_host_is_asked(begin: Begin, ill: str, verb: str) -> None:
    deployer = begin(ill=ill)
    whole = say(begin(ill=ill))
    assert deployer.say("deploy", kill_at=deployed(begin(ill=ill))) is None
    deployer.world.away.update(HOSTS)  # by now they are somebody else's
    deployer.world.log.clear()
    ended = say(deployer, verb)
    assert ended == whole
    assert deployer.world.log == []
    succeeded = [words for words in told(deployer, "warning") if "it had succeeded" in words]
    back = f"it had succeeded, and is not backed out: invoke rollback --target {deployer.run}"
    assert succeeded == ([back] if verb == "abort" and not ill else [])


def deployed(deployer: Deployer) -> int:
    """The last moment at which it can be killed: all is on record, and its hosts are held."""
    say(deployer)
    return deployer.world.fate.passed


def test_the_findings_that_stopped_it_are_told_beside_the_proof_of_the_old_release(
    begin: Begin,
) -> None:
    """What was red before is no part of that proof."""
    deployer = begin(ill="web2")
    deployer.world.running |= {host: ["ill"] for host in HOSTS}
    deployer.keys["first"] = True
    ended = say(deployer)
    assert ended.exit_code == 4
    assert verdicts(ended) == {"whole": "pass", "well@web2": "fail"}
