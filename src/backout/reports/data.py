"""A run, as the object that `--json` prints and that `history` and `show` keep. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from backout.errors import BackoutError, ExitCode
from backout.model import EVIDENCE, Finding, Record, Release, State, ZoneFinding
from backout.reports.report import (
    CheckReport,
    Ends,
    ErrorReport,
    Failure,
    HeldStep,
    HostReport,
    Report,
    StepRecord,
    StepReport,
    ZoneReport,
)
from backout.runs.ended import Ended
from backout.runs.holds import Hold, Holds, Question
from backout.runs.nets import NOTE as NET

PHASES = {"undo": "undo", **dict.fromkeys(("settle", "back", "proof", "watch"), "settle")}


def stamp(moment: datetime) -> str:
    """RFC 3339, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def run_report(
    *,
    run: str,
    verb: str,
    target: str,
    runbook: str,
    started: datetime,
    ended: datetime | None,
    previous: Release | None,
    made: Release | None,
    outcome: Ended,
    records: Iterable[Record],
    advice: str = "",
    next: str = "",
) -> Report:
    """The contract's object. `made` is the release that the run leads to when it succeeds."""
    rows = list(records)
    return Report(
        run=run,
        verb=verb,
        target=target,
        runbook=runbook,
        outcome=outcome.outcome,
        exit_code=ExitCode(outcome.exit_code),
        reason=outcome.reason,
        started_at=stamp(started),
        ended_at=stamp(ended) if ended else None,
        ends=Ends(previous, made),
        steps=step_rows(rows),
        checks=check_rows(outcome.findings),
        hosts={host: HostReport(end.release, str(end)) for host, end in outcome.hosts.items()},
        failures=failures(rows),
        advice=advice,
        logs=logs(rows),
        approved_by=approved_by(rows),
        held=held_steps(Holds.of(rows).all),
        freeze_broken=freeze_broken(rows),
        next=next,
    )


def refused_report(report: Report, error: BackoutError) -> Report:
    """The same object for a run that was refused, with the error's own words."""
    words = ErrorReport(error.what, error.where, error.state, error.next)
    return replace(report, error=words, next=error.next)


def again(records: Iterable[Record]) -> str:
    """The command that takes up again what the way back has reverted; empty when nothing was."""
    undone = (r.body for r in records if r.kind == "end" and r.body.get("phase") == "undo")
    return next((str(b["saved"]["again"]) for b in undone if "again" in b.get("saved", ())), "")


def step_rows(records: Iterable[Record]) -> tuple[StepReport, ...]:
    """Every action's latest outcome, in the order in which they ended."""
    latest: dict[str, StepReport] = {}
    nets: dict[str, tuple[CheckReport, ...]] = {}
    for record in records:
        if record.kind.startswith(NET):
            found = map(Finding.of, record.body["findings"])
            nets[record.kind.removeprefix(NET)] = check_rows(found)
        elif record.kind in ("begin", "end"):
            latest.pop(record.key, None)
            latest[record.key] = _step(record, nets.get(record.key, ()))
    return tuple(latest.values())


def _step(record: Record, net: tuple[CheckReport, ...]) -> StepReport:
    body = record.body
    return StepReport(
        name=body["step"],
        host=body["host"] or None,
        phase=PHASES.get(body["phase"], "do"),
        state=State(body["state"]) if record.kind == "end" else "running",
        seconds=body.get("seconds", 0.0),
        exit_code=body.get("exit_code"),
        net=net,
    )


def _zone(zone: ZoneFinding) -> ZoneReport:
    at = stamp(datetime.fromtimestamp(zone.at, UTC)) if zone.at else None
    return ZoneReport(zone.zone, zone.verdict, zone.by, at, round(zone.elapsed_ms, 1), zone.reason)


def check_rows(findings: Iterable[Finding]) -> tuple[CheckReport, ...]:
    """Findings as the contract words them."""
    return tuple(
        CheckReport(
            name=finding.check,
            host=finding.host,
            verdict=finding.verdict,
            elapsed_ms=round(finding.elapsed_ms, 1),
            queued_ms=round(finding.queued_ms, 1),
            failed=tuple(finding.failed),
            reason=finding.reason,
            excerpt=finding.excerpt,
            zones=tuple(map(_zone, finding.zones)),
        )
        for finding in findings
    )


def failures(records: Iterable[Record]) -> tuple[Failure, ...]:
    """What went wrong, in order, each with the end of its output."""
    bad = (State.FAILED, State.UNREACHABLE, State.UNKNOWN)
    return tuple(
        Failure(
            name=record.body["step"],
            host=record.body["host"],
            phase=record.body["phase"],
            reason=record.body["reason"] or _exit(record.body["exit_code"]),
            output=_tail(record.body["stdout"], record.body["stderr"]),
        )
        for record in records
        if record.kind == "end" and record.body["state"] in bad
    )


def approved_by(records: Iterable[Record]) -> tuple[str, ...]:
    """Whose yes a run has used, each with the account it was said from."""
    found = (r.body["by"] for r in records if r.kind == "approved")
    return tuple(f"{each['name']} ({each['account']})" for each in next(found, ()))


def held_steps(holds: Iterable[Hold]) -> tuple[HeldStep, ...]:
    """Every question of a run once, as it was asked first or asked anew."""
    found = {(each.key, each.asked): (hold, each) for hold in holds for each in hold.questions}
    return tuple(_held(hold, each) for hold, each in found.values())


def _held(hold: Hold, question: Question) -> HeldStep:
    given = hold.answers.get(question.key)
    return HeldStep(
        step=question.step,
        host=question.host or None,
        why=question.why,
        since=stamp(hold.since),
        until=stamp(hold.until),
        by=hold.by,
        answer=given.answer if given else "",
        answered_by=given.by if given else "",
        answered_at=stamp(given.at) if given else None,
    )


def freeze_broken(records: Iterable[Record]) -> str:
    """Which freeze a run has broken, by whom and why; empty for most."""
    found = next((r.body for r in records if r.kind == "freeze_broken"), None)
    return f"{found['reason']} ({found['by']}; frozen {found['freeze']})" if found else ""


def logs(records: Iterable[Record]) -> dict[str, str]:
    """The services' last log lines when a check had failed, by host."""
    bodies = (record.body for record in records if record.kind in ("back_out", "evidence"))
    return next((body["logs"] for body in bodies if body.get("logs")), {})


def outputs(records: Sequence[Record]) -> tuple[StepRecord, ...]:
    """Every action's whole output and its way back, for `show`."""
    ways = {r.key: r.body["undo"] for r in records if r.kind == "begin"}
    return tuple(
        StepRecord(
            name=record.body["step"],
            state=record.body["state"],
            host=record.body["host"] or None,
            phase=PHASES.get(record.body["phase"], "do"),
            seconds=record.body.get("seconds", 0.0),
            exit_code=record.body.get("exit_code"),
            at=stamp(record.at),
            undo=ways.get(record.key, {}).get("text", ""),
            undo_summary=ways.get(record.key, {}).get("summary", ""),
            stdout=record.body["stdout"],
            stderr=record.body["stderr"],
            reason=record.body["reason"],
        )
        for record in records
        if record.kind == "end"
    )


def _exit(code: int | None) -> str:
    return "" if code is None else f"exit code {code}"


def _tail(*streams: str) -> str:
    lines: Sequence[str] = [line for text in streams for line in text.strip().splitlines()]
    return "\n".join(lines[-EVIDENCE:])
