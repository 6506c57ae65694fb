"""A run before its first change, and its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import Finding, HostEnd, HostState, Outcome, Release, Rule, SecretSource
from backout.ports import CONFIRMED, READY, StepContext
from backout.runs import release_file
from backout.runs.decisions import stays_open
from backout.runs.parts import Parts
from backout.runs.plan import Plan
from backout.runs.release_file import HostRecord
from support.ways import (
    ALL_PASS,
    BACKED_OUT,
    FAILED,
    PLAN,
    Begin,
    ends,
    refused,
    say,
    told,
    verdicts,
)
from support.work import Person
from support.world import HOSTS, Deployer, Doing, runbook, step, target

# --- before the first change -------------------------------------------------------------


def test_a_run_stays_open_while_a_host_that_is_away_may_name_it(begin: Begin) -> None:
    deployer = begin()
    away = deployer.world.away

    class Named(dict[str, str]):
        def __setitem__(self, host: str, text: str) -> None:
            super().__setitem__(host, text)
            away.update({"web2"} & {host})

    deployer.world.records = Named(deployer.world.records)
    deployer.consent = lambda *_: away.add("web1")
    error = refused(deployer)
    assert error.what == "web1: web1 is away"
    assert "web2 may still have the run on record as begun" in error.state
    assert stays_open(deployer.journal.recall(deployer.run))


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
    assert error.next == (
        f"{PLAN.format(deployer.run)}; where this very change mends it: the same again, with"
        " --accept-red well"
    )
    for keys in ({"accept_red": ("well",)}, {"first": True}):
        other = begin()
        other.world.running["web2"] = ["ill"]
        other.keys |= keys
        assert say(other).exit_code == 0


def test_what_cannot_succeed_is_refused_before_anything_acts_of_what_settles_too(
    begin: Begin,
) -> None:
    deployer = begin()

    class Full(Doing):
        world = deployer.world

        def ready(self, work: StepContext, *, made: bool) -> None:  # noqa: ARG002 - its form
            if work.step.name in ("Bad", "Restart") and work.transport.host.name == "web2":
                raise Refused(f"no room for {work.step.name}", next="make room")

    deployer.seams["steps"] = {**deployer.kinds, "do": Full}
    error = refused(deployer)
    assert error.what == "web2: Bad: no room for Bad\nweb2: Restart: no room for Restart"
    assert error.next == "make room"


def test_what_is_to_be_known_of_how_secrets_are_kept_is_told(begin: Begin) -> None:
    deployer = begin()
    sources = {"pin": SecretSource(env="PIN")}
    deployer.seams["vault"] = Vault(sources, deployer.world.directory, environ={"PIN": "7"})
    assert say(deployer).exit_code == 0
    assert [words[:22] for words in told(deployer, "warning")][-1] == "secret pin is shorter "


@pytest.mark.parametrize("there", [True, False])
def test_a_host_that_was_added_since_may_be_red_before_where_no_run_was_there(
    begin: Begin, there: bool
) -> None:
    deployer = begin()
    deployer.keys["added"] = ("web2",)
    deployer.world.running["web2"] = ["ill"]
    if there:
        assert "check well@web2 fails before the change" in refused(deployer).what
    else:
        del deployer.world.records["web2"]
        assert say(deployer).exit_code == 0


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
    (ready,) = (each.body for each in deployer.journal.recall(deployer.run) if each.kind == READY)
    assert ready == {"release": {"number": 8, "commit": ""}}, "who tells of it says which one"
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


def test_what_was_confirmed_when_it_was_handed_over_is_not_asked_again(begin: Begin) -> None:
    deployer = begin()
    deployer.keys["target"] = target(deployer.run, 0).model_copy(update={"protected": True})
    deployer.journal.note(deployer.run, CONFIRMED, {"question": "deploy?", "by": "ann@laptop"})
    assert say(deployer).exit_code == 0
    assert deployer.person.asked == []


def test_a_run_that_the_journal_knows_is_no_stranger_and_its_number_counts(begin: Begin) -> None:
    earlier, deployer = begin(), begin()
    say(earlier)
    deployer.world.records = earlier.world.records
    assert say(deployer).release == Release(3)
    assert told(deployer, "warning") == []


def test_consent_is_the_last_word_before_the_first_change(begin: Begin) -> None:
    for stopping in (False, True):
        deployer = begin()
        deployer.keys["target"] = target(deployer.run, 0).model_copy(update={"protected": True})
        deployer.person = Person(True)

        def consent(
            plan: Plan, parts: Parts, deployer: Deployer = deployer, no: bool = stopping
        ) -> None:
            assert deployer.person.asked
            assert parts.operator is deployer.person
            assert plan == deployer.plan
            if no:
                raise Refused("somebody else was quicker")
            deployer.stop("SIGTERM")

        deployer.consent = consent
        why = "somebody else was quicker" if stopping else "SIGTERM, before any change"
        assert refused(deployer).what == why


def test_who_wished_to_go_back_before_the_first_change_is_not_deployed_later(begin: Begin) -> None:
    deployer = begin()
    assert deployer.say("deploy", kill_at=1) is None
    assert deployer.say("abort", kill_at=4) is None
    assert deployer.journal.recall(deployer.run)[-1].kind == "back_out"
    deployer.world.running["web2"] = ["ill"]  # who only goes back is not refused for that
    ended = say(deployer, "resume")
    assert (ended.exit_code, ended.reason) == (4, "aborted")
    assert deployer.world.log == []


@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_where_another_run_came_meanwhile_nothing_is_done_and_the_target_is_named(
    begin: Begin, verb: str
) -> None:
    deployer = begin()
    deployer.world.dies_after("Good web2")
    assert deployer.say("deploy") is None
    done = [*deployer.world.log]
    there = HostRecord().arrived("other", Release(5))
    release_file.write(deployer.world.reach("web1"), "~/state", there)
    with pytest.raises(Refused) as caught:
        deployer.say(verb)
    assert caught.value.what == f"run other was on web1 since run {deployer.run} began"
    assert caught.value.where == deployer.run
    assert caught.value.next.startswith(f"invoke status --target {deployer.run}; ")
    assert deployer.world.log == done


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
    assert verdicts(ended) == ALL_PASS, "that is what was seen"
    assert deployer.lease.kept
    assert deployer.journal.releases(deployer.run) == ()


def test_of_who_was_not_stuck_and_lost_its_lock_meanwhile_nothing_is_said(begin: Begin) -> None:
    deployer = begin(refuses={"Bad web2", "-Bad web2"})
    deployer.world.then["-Bad web2"] = lambda: setattr(deployer.lease, "taken", "bob took web3")
    ended = say(deployer)
    assert ended.exit_code == 5
    assert ends(ended) == {
        "web1": BACKED_OUT,
        "web2": ("NOT backed out", None, FAILED.format("web2")),
        "web3": ("NOT backed out", None, "bob took web3"),
    }


def test_what_an_older_backout_began_to_take_back_is_taken_back(begin: Begin) -> None:
    """It kept no findings with its wish."""
    deployer = begin()
    deployer.world.dies_after("Good web2")
    assert deployer.say("deploy") is None
    deployer.journal.note(deployer.run, "back_out", {"why": "SIGTERM"})
    ended = say(deployer, "resume")
    assert (ended.exit_code, ended.reason, ended.advice) == (4, "SIGTERM", "")
    assert verdicts(ended) == ALL_PASS


@pytest.mark.parametrize(
    ("max_failures", "refuses", "away", "code"),
    [
        (0, (), "web2", 5),
        (1, ("Bad web2",), "web2", 0),
        (0, ("Bad web2",), "web1", 5),
        (0, ("Bad web2",), "web3", 4),
    ],
)
def test_it_is_no_end_where_nobody_can_tell_whether_a_host_that_was_changed_is_still_held(
    begin: Begin, max_failures: int, refuses: tuple[str, ...], away: str, code: int
) -> None:
    """Who went back alone has been let go of, and who was never reached is as before."""
    deployer = begin(max_failures, refuses={*refuses})
    deployer.lease.away = {away}
    ended = say(deployer)
    assert ended.exit_code == code
    assert deployer.lease.kept is (code == 5)
    assert ended.reason.endswith(away) is (code == 5)


@pytest.mark.parametrize(("residue", "code"), [(False, 4), (True, 5)])
def test_what_the_runbook_has_to_say_of_a_failed_check_is_told_however_it_ends(
    begin: Begin, residue: bool, code: int
) -> None:
    rules = (Rule(when="failure.host == 'web2'", say="its disk is full"),)
    book = runbook().model_copy(update={"diagnose": rules})
    deployer = begin(book=book, ill="web2", residue=residue)
    ended = say(deployer)
    assert (ended.exit_code, ended.advice) == (code, "its disk is full")
    again = say(deployer, "resume")  # whoever goes on says so, too
    assert (again.exit_code, again.advice) == (code, "its disk is full")


def test_a_success_is_on_record_with_all_that_it_was_decided_by(begin: Begin) -> None:
    deployer = begin(1, ill="web2")
    deployer.keys["accept_red"] = ("whole",)
    say(deployer)
    (decided,) = (e.body for e in deployer.journal.recall(deployer.run) if e.kind == "decided")
    assert decided["outcome"] == "succeeded"
    assert decided["hosts"] == ["web1", "web3"]
    assert decided["withdrawn"] == {"web2": ["withdrawn", "check well@web2 fail: "]}
    assert decided["release"] == {"number": 2, "commit": ""}
    assert {row["check"]: row["verdict"] for row in decided["proof"]} == dict.fromkeys(
        ("whole", "well"), "pass"
    )


def test_what_checks_hold_against_later_is_on_record_with_the_success(begin: Begin) -> None:
    deployer = begin()

    def examine(*args: Any, **keys: Any) -> tuple[Finding, ...]:
        whole: dict[str, Any] = {"standing": ["a"], "changed": []}
        seen = {"whole": whole, "well": {"snapshot": {"rows": 7}}}
        found = deployer.world.examine(*args, **keys)
        return tuple(replace(each, facts=seen[each.check]) for each in found)

    deployer.seams["examine"] = examine
    assert say(deployer).exit_code == 0
    (decided,) = (e.body for e in deployer.journal.recall(deployer.run) if e.kind == "decided")
    assert decided["standing"] == {"whole": ["a"]}
    assert decided["snapshots"] == {f"well@{host}": {"rows": 7} for host in HOSTS}


def test_what_nothing_proves_is_a_release_and_never_known_good(begin: Begin) -> None:
    deployer = begin()
    deployer.keys["target"] = target(deployer.run, 0).model_copy(update={"checks": {}})
    deployer.seams["examine"] = lambda *_, **__: ()
    assert say(deployer).exit_code == 0
    (row,) = deployer.journal.releases(deployer.run)
    assert (row.number, row.known_good, set(row.covers)) == (2, False, set(HOSTS))


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
