"""Another person's yes to exactly what happens, and people who wait for each other."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from support.journals import empty_ledger
from support.loopback import Answer as Reply
from support.loopback import Web
from support.office import ACCOUNT, Office
from support.postgres import Postgres
from support.project import Project
from support.wait import eventually
from support.warm import Started


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    with office:
        yield office


def test_a_plan_that_another_person_has_agreed_to_is_deployed_once_and_it_is_on_record(
    office: Office,
) -> None:
    planned = office.say("plan").data
    assert (planned["approvals"], office.exists("One-here")) == (1, False)
    run = office.ask()
    assert office.ask() == run  # to ask twice is to ask once
    shown = office.by("bob", "approve", run, "--yes")
    assert shown.code == 0, shown.out + shown.err
    for words in (
        "ann (root@",
        "asks for your yes since ",
        f"({planned['digest'][:12]})",
        "1 host: here.",
        "One  (on here)",
        "    undo: rm -rf ",
        "POINT OF NO RETURN: what is told is told",
        "approved, 1 of 1.",
        " yes by bob (23456@",
        "next:  ann: invoke deploy --target prod, as it was typed before",
    ):
        assert words in shown.out
    said = office.deploy("--yes")
    assert said.code == 0, said.out + said.err
    assert said.data["approved_by"][0].startswith("bob (23456@")
    assert "approved by  bob (23456@" in office.project.say("show", said.data["run"]).out
    history = office.project.say("history").out
    assert "succeeded, approved by bob" in history
    assert "approved" in [kind for kind, _, _ in office.records()]
    # It was for one run, and for the world before it.
    office.ask()


def test_whoever_asked_is_told_to_type_what_they_have_typed_and_no_other_verb(
    office: Office,
) -> None:
    office.runbook(office.step("Mend"), name="mend")
    for words, again in (
        (("exec", "--changes", "it is full", "true"), "invoke exec --target prod --changes …"),
        (("run", "--runbook", "mend"), "invoke run --runbook mend --target prod"),
    ):
        asked = office.say(*words, "--yes")
        assert asked.code == 3, asked.out
        run = office.say("status").data["asked"][0]["run"]
        yes = office.by("bob", "approve", run, "--yes", "--json")
        assert yes.data["next"] == f"ann: {again}, as it was typed before"
        assert office.say(*words, "--yes").code == 0
        late = office.by("eve", "approve", run, "--yes", "--json", account=ACCOUNT + 1)
        assert (late.code, late.data["error"]["next"]) == (3, f"ann can ask anew: {again}")


def test_from_python_too_somebody_else_agrees_and_nobody_without_saying_so(office: Office) -> None:
    run = office.ask()
    own = f"backout.Project('.').approve({run!r}, yes=True)"
    assert "you asked for it yourself, as ann" in office.python("ann", own)
    unasked = f"backout.Project('.').approve({run!r})"
    assert "nobody can be asked: say yes, as bob, to plan " in office.python("bob", unasked)
    report = f"backout.Project('.').approve({run!r}, yes=True)"
    told = f"(lambda it: (it.request.state, [each.by for each in it.request.answers]))({report})"
    assert office.python("bob", told) == "('approved', ['bob'])"
    assert office.deploy("--yes").code == 0


def test_nobody_agrees_with_himself_however_he_spells_his_name(office: Office) -> None:
    run = office.ask()
    for name, account in (("Ann@laptop", ACCOUNT), ("ＡＮＮ", ACCOUNT), ("zed", 0)):
        said = office.by(name, "approve", run, "--yes", "--json", account=account)
        assert said.code == 3, said.out + said.err
        assert "you asked for it yourself, as ann" in said.data["error"]["what"]
    said = office.by("Аnn", "approve", run, "--yes", "--json")  # a Cyrillic capital
    assert said.code == 2
    assert "is no person's name" in said.data["error"]["what"]
    # Whoever has agreed does not begin the run as the one who is agreed with.
    assert office.by("bob", "approve", run, "--yes").code == 0
    assert office.by("bob", "deploy", "--target", "prod", "--yes").code == 3
    assert office.by("bob", "approve", run, "--yes").code == 3
    assert office.effects() == {}


def test_a_plan_that_has_changed_since_is_asked_about_anew(office: Office) -> None:
    old = office.ask()
    assert office.by("bob", "approve", old, "--yes").code == 0
    office.weigh(2)
    new = office.ask()
    assert new != old
    office.weigh(1)
    assert office.deploy("--yes").code == 0  # it is the old plan again, and the world is as it was
    said = office.by("bob", "approve", old, "--yes", "--json")
    assert (said.code, "has answered it already" in said.data["error"]["what"]) == (3, True)


def test_a_no_and_a_late_yes_end_it(office: Office) -> None:
    run = office.ask()
    assert office.by("bob", "approve", run, "--json").code == 3  # there is nobody to confirm
    said = office.by("bob", "approve", run, "--refuse", "not on a Friday", "--yes", "--json")
    assert (said.code, said.data["request"]["state"]) == (0, "refused")
    assert said.data["request"]["answers"][0]["reason"] == "not on a Friday"
    assert office.ask() != run
    office.inventory(protected={"approvals": 1, "expires": "1ms"})
    assert office.deploy("--yes").code == 3
    office.inventory(protected={"approvals": 1, "expires": "1s"})
    office.weigh(3)
    said = office.deploy("--yes")  # what it asks may be over before anybody else looks for it
    assert said.code == 3, said.out + said.err
    late = re.findall(r"invoke approve (\S+)", said.data["error"]["next"])[0]
    eventually(lambda: not office.say("status").data["asked"][:-1], saying="expired")
    said = office.by("bob", "approve", late, "--yes", "--json")
    assert (said.code, "is expired" in said.data["error"]["what"]) == (3, True)
    assert office.by("bob", "approve", "nothing", "--yes").code == 2


def waiting(office: Office, *words: str, project: Project | None = None) -> Started:
    process = (project or office.project).start("deploy", "--target", "prod", "--yes", *words)
    office._started.append(process)
    return process


def queue(office: Office) -> list[tuple[str, str]]:
    rows = office.say("status").data["queue"]
    return [(row["person"], row["waits_for"]) for row in rows]


def test_who_waits_for_a_yes_goes_on_when_it_is_given_and_holds_nothing_meanwhile(
    office: Office,
) -> None:
    process = waiting(office, "--wait", "5m")
    eventually(lambda: queue(office) == [("ann", "approval")], saying="in line")
    (asked,) = office.say("status").data["asked"]
    shown = office.project.say("status", "--target", "prod").out
    assert "in line: 1. ann on " in shown
    assert office.say("resume").code == 3  # nothing is open
    assert office.by("bob", "approve", asked["run"], "--yes").code == 0
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "waiting for prod, number 1 in line: prod needs 1 approval" in out
    assert queue(office) == []


def test_a_killed_waiter_leaves_nothing_open_and_what_was_agreed_still_holds(
    office: Office,
) -> None:
    process = waiting(office, "--wait", "5m")
    eventually(lambda: bool(queue(office)), saying="in line")
    (asked,) = office.say("status").data["asked"]
    process.kill()
    process.communicate()
    assert queue(office) == []
    assert (office.say("resume").code, office.say("abort").code) == (3, 3)
    assert office.by("bob", "approve", asked["run"], "--yes").code == 0
    assert office.deploy("--yes").code == 0


def test_a_run_that_was_killed_goes_on_with_the_yes_where_the_plan_is_what_it_was(
    office: Office, tmp_path: Path
) -> None:
    conf = tmp_path / "conf"
    conf.write_text("workers = 2")
    looks = f"mkdir -p {office.files}/Look.busy; {office.hold('looked')}"
    office.runbook(
        office.step("One", before=office.hold()),
        {"name": "Put", "upload": {"from": str(conf), "to": f"{office.files}/conf"}, "on": "web"},
        preflight=[{"name": "Look", "run": looks, "readonly": True}],
    )
    assert office.by("bob", "approve", office.ask(), "--yes").code == 0
    killed(office, "Look")
    office.let_go("looked")
    conf.write_text("workers = 3")
    moved = office.say("resume", "--yes")
    assert (moved.code, office.exists("One-here")) == (3, False)
    assert "is not what others have said yes to" in moved.data["error"]["what"]
    conf.write_text("workers = 2")
    killed(office, "One-here")
    office.let_go()
    said = office.say("resume", "--yes")
    assert said.code == 0, said.out + said.err
    assert said.data["approved_by"][0].startswith("bob (23456@")
    assert office.effects() == {"One-here": 1, "conf": 1}


def killed(office: Office, at: str) -> None:
    process = office.start("deploy", "--yes")
    office.busy(at)
    process.kill()
    process.communicate()


def test_nobody_is_asked_about_a_plan_that_would_be_refused_anyhow(office: Office) -> None:
    office.inventory(protected=False)
    assert office.deploy("--yes").code == 0
    red = {"command": "false", "expect": ["exit_code == 0"]}
    away = {"address": "127.0.0.1", "port": 1, "groups": ["web"]}
    office.inventory(protected={"approvals": 1}, ssh={"connect_timeout": "1s"})
    for changes, words in (
        ({"checks": {"there": red}}, "there"),
        ({"checks": office.plain()["checks"], "hosts": {"away": away}}, "away cannot be reached"),
    ):
        office.inventory(**changes)
        said = office.deploy("--yes")
        assert (said.code, words in said.data["error"]["what"]) == (3, True), said.out
        assert "approval" not in said.out
        assert not office.say("status").data.get("asked")


def test_time_that_is_over_ends_as_if_nobody_had_waited_and_ctrl_c_leaves_the_line(
    office: Office,
) -> None:
    said = office.project.say("deploy", "--target", "prod", "--yes", "--wait", "1s")
    assert said.code == 3
    assert "1.0s were waited for it" in said.err
    process = waiting(office, "--wait", "5m")
    eventually(lambda: bool(queue(office)), saying="in line")
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert (process.returncode, queue(office)) == (3, [])  # nothing had begun


def test_three_that_wait_for_the_lock_get_it_in_the_order_in_which_they_asked(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path)
    with office:
        office.inventory(protected=False)
        office.runbook(office.step("Slow", before=office.hold()))
        first = office.start()
        office.busy("Slow-here")
        office.runbook({"name": "Sign", "run": f"echo {{{{ params.who }}}} >> {office.files}/book",
                        "undo": "true", "on": "web"}, params={"who": {}})  # fmt: skip
        others = []
        for who in ("cy", "ann", "bob"):
            office.project.env["BACKOUT_PERSON"] = who
            others.append(waiting(office, "--wait", "5m", "--param", f"who={who}"))
            eventually(lambda: len(queue(office)) == len(others), saying=who)
        assert queue(office) == [("cy", "lock"), ("ann", "lock"), ("bob", "lock")]
        gone = waiting(office, "--wait", "5m", "--param", "who=gone")
        eventually(lambda: len(queue(office)) == 4, saying="a fourth")
        gone.kill()
        gone.communicate()
        assert office.deploy("--param", "who=pushy", "--wait", "1s").code == 7
        office.let_go()
        said = []
        for process in (first, *others):
            said.append(process.communicate(timeout=120)[0])
            assert process.returncode == 0, said[-1]
        assert (office.files / "book").read_text().split() == ["cy", "ann", "bob"]
        assert "number 2 in line: " in said[2]  # whoever is quick does not tell every place


def half_way(office: Office) -> Started:
    """A run that waits, between two steps, for somebody else."""
    ask = {"question": "Are the numbers right?", "by": "another", "expires": "5m"}
    office.inventory(protected=False)
    office.runbook(office.step("One"), {"name": "Four eyes", "approve": ask}, office.step("Two"))
    process = waiting(office)
    eventually(lambda: bool(office.say("status").data["asked"]), saying="asked")
    return process


@pytest.mark.parametrize(
    ("words", "code", "effects"),
    [
        ((), 0, {"One-here": 1, "Two-here": 1}),
        (("--refuse", "the third one is wrong"), 4, {}),
    ],
)
def test_a_step_waits_for_somebody_else_also_after_a_crash(
    office: Office, words: tuple[str, ...], code: int, effects: dict[str, int]
) -> None:
    process = half_way(office)
    process.kill()
    process.communicate()
    (asked,) = office.say("status").data["asked"]
    run, step = asked["run"], asked["step"]
    assert office.say("status").data["unfinished"].startswith(f"run {run} (deploy)")
    assert step.startswith("Four eyes (")
    own = office.by("ann", "approve", run, "--yes", "--json")
    assert (own.code, "you asked for it yourself" in own.data["error"]["what"]) == (3, True)
    shown = office.by("bob", "approve", run, "--yes", *words)
    assert (shown.code, "ann asks: Are the numbers right?" in shown.out) == (0, True), shown.err
    said = office.say("resume", "--yes")
    assert said.code == code, said.out + said.err
    assert office.effects() == effects
    if words:
        assert "bob said no: the third one is wrong" in said.data["reason"]


def test_a_step_that_waits_goes_on_by_itself_and_whoever_stops_it_backs_out(
    office: Office,
) -> None:
    process = half_way(office)
    (asked,) = office.say("status").data["asked"]
    assert office.by("bob", "approve", asked["run"], "--yes").code == 0
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "somebody else has to say yes: Are the numbers right? (invoke approve " in out
    process = half_way(office)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 4


# --- on another machine --------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path, postgres: Postgres) -> Iterator[Office]:
    """The same office, whose journal is the ledger of a team."""
    office = Office(tmp_path)
    with office:
        office.project.env["TEAM_LEDGER"] = empty_ledger(postgres)
        (office.project.directory / "backout.yaml").write_text("ledger: {secret: TEAM_LEDGER}\n")
        yield office


def elsewhere(office: Office, person: str) -> Office:
    other = cast(Office, office.elsewhere())
    other.project.env.update(office.project.env)
    other.project.env["BACKOUT_PERSON"] = person
    return other


def test_somebody_on_another_machine_agrees_and_waits_in_the_same_line(shared: Office) -> None:
    other = elsewhere(shared, "bob")
    run = shared.ask()
    said = other.by("bob", "approve", run, "--yes", "--json")
    assert (said.code, said.data["request"]["state"]) == (0, "approved"), said.err
    shared.weigh(1)
    shared.inventory(protected={"approvals": 1}, checks=shared.plain()["checks"])
    assert shared.deploy("--yes").code == 0

    for office in (shared, other):
        office.inventory(protected=False)
        office.runbook(office.step("Slow", before=office.hold()))
    first = shared.start()
    shared.busy("Slow-here")
    book = {"name": "Sign", "run": f"echo {{{{ params.who }}}} >> {shared.files}/book"}
    for office in (shared, other):
        office.runbook({**book, "undo": "true", "on": "web"}, params={"who": {}})
    others = []
    for office, who in ((other, "cy"), (shared, "ann"), (other, "bob")):
        office.project.env["BACKOUT_PERSON"] = who
        others.append(waiting(office, "--wait", "5m", "--param", f"who={who}"))
        eventually(lambda: len(queue(shared)) == len(others), saying=who)
    assert queue(other) == [("cy", "lock"), ("ann", "lock"), ("bob", "lock")]
    shared.let_go()
    for process in (first, *others):
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    assert (shared.files / "book").read_text().split() == ["cy", "ann", "bob"]


def test_a_yes_holds_in_the_ledger_that_the_journal_is_copied_to_and_nobody_hears_anything_twice(
    office: Office, postgres: Postgres
) -> None:
    with Web(lambda _: Reply("{}")) as people:
        told = f"json://127.0.0.1:{people.port}/"
        office.inventory(protected={"approvals": 1}, notify={"deploys": [told]})
        run = office.ask()
        assert office.by("bob", "approve", run, "--yes").code == 0
        office.project.env["BACKOUT_LEDGER"] = empty_ledger(postgres)
        copied = office.project.say("ledger.copy", "--json")
        assert copied.code == 0, copied.out + copied.err
        said = office.deploy("--yes")
        assert said.code == 0, said.out + said.err
        assert said.data["approved_by"][0].startswith("bob (23456@")
        assert office.project.say("ledger.copy", "--json").code == 0
        office.ask()  # it was for one run, there too
        heard = [json.loads(each.body)["dedupe_key"] for each in people.asked]
        assert sorted(heard) == sorted(set(heard))
        assert any(key.startswith(run) or run in key for key in heard), heard
