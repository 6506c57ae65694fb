"""A run as the object that `--json` prints: the contract's words, and nothing left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from backout.errors import Unreachable
from backout.model import (
    EVIDENCE,
    Finding,
    HostEnd,
    HostState,
    Outcome,
    Record,
    Release,
    Verdict,
)
from backout.reports.data import (
    check_rows,
    failures,
    outputs,
    refused_report,
    run_report,
    stamp,
    step_rows,
)
from backout.reports.report import Report
from backout.reports.told import plain
from backout.runs.ended import Ended

NOW = datetime(2024, 1, 30, 20, 0, 0, 123456, tzinfo=UTC)
OLD, NEW = Release(41, "aaaaaaa1"), Release(42, "bbbbbbb2")


def row(kind: str, key: str, body: dict[str, Any] | None = None) -> Record:
    """A record of the journal."""
    return Record(0, kind, key, NOW, body or {})


def about(key: str, phase: str = "do") -> dict[str, Any]:
    name, _, host = key.partition("@")
    return {"step": name, "kind": "run", "host": host, "phase": phase}


def begin(key: str, phase: str = "do", undo: str = "") -> Record:
    body = {**about(key, phase), "attempt": 1, "run": "r1", "undo": {"text": undo, "data": {}}}
    return row("begin", key, body)


def end(key: str, state: str = "done", phase: str = "do", **keys: Any) -> Record:
    code = {"done": 0, "failed": 1}.get(state)
    said = {"exit_code": code, "stdout": "", "stderr": "", "reason": "", "seconds": 0.5}
    return row("end", key, {**about(key, phase), **said, "saved": {}, "state": state, **keys})


def report(outcome: Ended, rows: Sequence[Record] = (), **keys: Any) -> dict[str, Any]:
    """As `--json` prints it."""
    return a_report(outcome, rows, **keys).to_data()


def a_report(outcome: Ended, rows: Sequence[Record] = (), **keys: Any) -> Report:
    words: dict[str, Any] = {
        "run": "r1",
        "verb": "deploy",
        "target": "prod",
        "runbook": "deploy",
        "started": NOW,
        "ended": NOW + timedelta(minutes=1),
        "previous": OLD,
        "made": NEW,
        **keys,
    }
    return run_report(outcome=outcome, records=rows, **words)


# --- times ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [-7, 0, 2])
def test_times_are_utc_whatever_the_zone(hours: int) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=hours)))
    assert stamp(there) == "2024-01-30T20:00:00.123Z"


# --- the whole -----------------------------------------------------------------------------


def test_a_report_has_what_the_contract_names_and_is_plain_json() -> None:
    told = report(
        Ended(Outcome.SUCCEEDED, 0, hosts={"web1": HostEnd(HostState.DEPLOYED, NEW)}),
        [end("Update@web1")],
    )
    assert json.loads(json.dumps(told)) == told
    contract = {"run", "target", "runbook", "outcome", "exit_code", "started_at", "ended_at"}
    assert contract | {"release", "steps", "checks", "hosts", "next"} <= told.keys()
    assert told["release"] == {"from": OLD.to_data(), "to": NEW.to_data()}
    assert (told["started_at"], told["ended_at"]) == (
        "2024-01-30T20:00:00.123Z",
        "2024-01-30T20:01:00.123Z",
    )


def test_a_first_release_comes_from_nowhere() -> None:
    assert report(Ended(Outcome.SUCCEEDED, 0), previous=None)["release"]["from"] is None


def test_a_run_that_is_not_over_has_no_end() -> None:
    assert report(Ended(Outcome.INTERRUPTED, 8), ended=None)["ended_at"] is None


@pytest.mark.parametrize(
    ("end", "state", "release"),
    [
        (HostEnd(HostState.DEPLOYED, NEW), "deployed", NEW),
        (HostEnd(HostState.WITHDRAWN, OLD, "no disk"), "withdrawn: no disk", OLD),
        (HostEnd(HostState.STUCK, None, "undo failed"), "NOT backed out: undo failed", None),
    ],
)
def test_a_host_is_on_the_release_that_it_says_itself_or_nobody_knows(
    end: HostEnd, state: str, release: Release | None
) -> None:
    told = report(Ended(Outcome.BACKED_OUT, 4, hosts={"web1": end}))
    assert told["hosts"] == {"web1": {"release": release and release.to_data(), "state": state}}


def test_a_refusal_brings_the_errors_own_words_and_its_next_command() -> None:
    error = Unreachable("web1 is away", where="203.0.113.11", next="start it")
    told = refused_report(a_report(Ended(Outcome.REFUSED, 3, error.what)), error).to_data()
    assert told["error"] == {
        "what": "web1 is away",
        "where": "203.0.113.11",
        "state": "nothing was changed",
        "next": "start it",
    }
    assert (told["outcome"], told["exit_code"], told["next"]) == ("refused", 3, "start it")


# --- steps ---------------------------------------------------------------------------------


def test_each_action_is_one_row_with_its_latest_outcome() -> None:
    rows = [begin("Prove"), end("Prove", "failed"), begin("Prove"), end("Prove", seconds=2.5)]
    assert plain(step_rows(rows)) == [
        {
            "name": "Prove",
            "host": None,
            "phase": "do",
            "state": "done",
            "seconds": 2.5,
            "exit_code": 0,
        }
    ]


def test_rows_come_in_the_order_in_which_the_actions_ended() -> None:
    rows = [begin("A@web1"), begin("A@web2"), end("A@web2"), end("A@web1")]
    assert [row.host for row in step_rows(rows)] == ["web2", "web1"]


def test_what_began_and_has_no_end_is_running() -> None:
    (row,) = step_rows([begin("Update@web1")])
    assert (row.state, row.exit_code, row.host) == ("running", None, "web1")


def test_what_was_done_again_after_it_ended_is_running_again() -> None:
    (row,) = step_rows([begin("Prove"), end("Prove"), begin("Prove")])
    assert row.state == "running"


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        ("preflight", "do"),
        ("do", "do"),
        ("settle", "settle"),
        ("undo", "undo"),
        ("back", "settle"),
        ("finally", "do"),
    ],
)
def test_a_phase_is_one_of_the_contracts_three(phase: str, told: str) -> None:
    (row,) = step_rows([end("x", phase=phase)])
    assert row.phase == told


def test_decisions_are_no_steps() -> None:
    assert step_rows([row("ready", ""), row("baseline", "", {"findings": []})]) == ()


# --- checks --------------------------------------------------------------------------------


def test_a_check_tells_what_did_not_hold_and_why() -> None:
    finding = Finding(
        "alive", "web1", Verdict.FAIL, 12.345, ("status == 200",), "status is 500", "oops"
    )
    assert plain(check_rows([finding])) == [
        {
            "name": "alive",
            "host": "web1",
            "verdict": "fail",
            "elapsed_ms": 12.3,
            "queued_ms": 0.0,
            "failed": ["status == 200"],
            "reason": "status is 500",
            "excerpt": "oops",
        }
    ]


# --- failures and outputs ------------------------------------------------------------------


@pytest.mark.parametrize("state", ["failed", "unreachable", "unknown"])
def test_whatever_did_not_go_well_is_a_failure(state: str) -> None:
    (failure,) = failures([end("A"), end("B@web1", state, reason="why"), end("C", "skipped")])
    assert (failure.name, failure.host, failure.reason) == ("B", "web1", "why")


def test_a_failure_without_words_tells_its_exit_code() -> None:
    (failure,) = failures([end("A", "failed", exit_code=3)])
    assert failure.reason == "exit code 3"


def test_a_failure_brings_the_end_of_its_output_only() -> None:
    lines = [f"line {n}" for n in range(EVIDENCE + 5)]
    (failure,) = failures([end("A", "failed", stdout="\n".join(lines), stderr="at last\n")])
    assert failure.output.splitlines() == [*lines[-EVIDENCE + 1 :], "at last"]


def test_a_failure_that_a_retry_cured_is_still_told() -> None:
    rows = [end("Prove", "failed", reason="not yet"), begin("Prove"), end("Prove")]
    assert [failure.reason for failure in failures(rows)] == ["not yet"]


def test_show_has_the_whole_output_and_the_way_back_of_every_action() -> None:
    long = "x\n" * (EVIDENCE * 10)
    told = outputs([begin("A@web1", undo="rm x"), end("A@web1", stdout=long, stderr="e"), end("B")])
    assert [(row.name, row.undo, row.stdout, row.stderr) for row in told] == [
        ("A", "rm x", long, "e"),
        ("B", "", "", ""),
    ]
    assert told[0].at == stamp(NOW)
