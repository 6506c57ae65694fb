"""Runs, and files, as text. Pure.

Every function takes the object that `--json` prints. What it is told is redacted already. The
outcome comes first, in one sentence; then the hosts; then what failed, with its evidence; the next
command to type comes last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from backout.errors import BackoutError
from backout.model import Outcome, State, Verdict, duration
from backout.model.alike import grouped, some
from backout.reports.checks_text import check_lines
from backout.reports.errors_text import error_text
from backout.reports.lines import one_line, page, table
from backout.reports.parts import (
    HERE,
    UNKNOWN,
    bare_release,
    count_of,
    evidence_lines,
    held_lines,
    host_lines,
    next_lines,
    note_lines,
    proof_words,
    release_text,
    titled,
)
from backout.reports.plan_text import WaysBack
from backout.reports.report import CheckReport, Failure, Report, StepRecord

if TYPE_CHECKING:  # each verb needs its own objects only
    from backout.reports.objects import Chain, History, HistoryLine, Linted, Written

REASON = 80
"""How many characters of a reason fit into the outcome's sentence; the rest stands below."""
SUBJECT = 40
"""How many characters of a commit's subject `history` shows."""
WHEN = {
    "preflight": " in the preflight",
    "do": "",
    "settle": " while settling",
    "watch": " between two batches",
    "undo": " while backing out",
    "back": " while settling again",
    "again": " while going forward again",
    "proof": " in the last proof",
    "finally": " at the end",
}
"""In which part of a run something failed, for a person."""
_WELL = (State.DONE, State.SKIPPED, "running")

# --- runs --------------------------------------------------------------------------------


def run_text(report: Report) -> str:
    """How a run ended."""
    failures = _failures(report)
    red = [check for check in report.checks if check.verdict is not Verdict.PASS]
    brief = _without_whys(report)
    return page(
        [f"{outcome_text(brief)}{_took(report)}"],
        host_lines(brief.hosts),
        *_failed(failures),
        *(_log(host, text) for host, text in report.logs.items()),
        titled("Checks that do not pass", check_lines(red)),
        note_lines(report.notes, report.advice),
        next_lines(report.next, f"invoke show {report.run}" if failures else ""),
    )


def refused_text(report: Report) -> str:
    """A run that was refused before any change: three lines, like every error."""
    told = report.error
    if told is None:
        return run_text(report)
    return error_text(BackoutError(told.what, where=told.where, state=told.state, next=told.next))


def outcome_text(report: Report) -> str:
    """The outcome in one sentence, for somebody who has just been woken up."""
    target, why = one_line(report.target), _why(report)
    match report.outcome:
        case Outcome.SUCCEEDED:
            return f"{_achievement(report)}: {_ending(report.hosts, report.checks)}."
        case Outcome.BACKED_OUT if report.verb == "rollback":
            return f"NOT rolled back{why}; {_state(report)}."
        case Outcome.BACKED_OUT:
            return f"Backed out{why}; {_state(report)}."
        case Outcome.BACKOUT_INCOMPLETE:
            return f"BACKING OUT IS INCOMPLETE{_why(report, whole=True)}."
        case Outcome.REFUSED:
            return f"Refused{why}; nothing was changed on {target}."
        case Outcome.INTERRUPTED:
            return f"NOT FINISHED{why}; run {report.run} on {target} is journaled."
        case Outcome.FAILED if report.verb == "rehearsed":
            return f"Rehearsed a part of {one_line(report.runbook)} on {target}{why}."
        case Outcome.FAILED:
            return f"A command that is said to change nothing failed on {target}{why}."
        case Outcome.TAKEN_OVER:
            return f"Not from here any more{why}."


def _achievement(report: Report) -> str:
    target, runbook = one_line(report.target), one_line(report.runbook)
    release = release_text(report.ends.to)
    match report.verb or runbook:
        case "deploy":
            return f"Deployed {release} to {target}"
        case "rollback":
            return f"Rolled {target} back to {release}"
        case "rehearsed":
            return f"Rehearsed the way back of {runbook} on {target}"
        case "exec" if not report.ends.to:
            return f"Ran a command on {target} that is said to change nothing"
    return f"Ran {runbook} on {target} ({release})"


def _ending(hosts: Collection[str], checks: Sequence[CheckReport]) -> str:
    proved = any(check.verdict is Verdict.PASS for check in checks)
    return proof_words(hosts, checks) if proved else "done; nothing proves it"


def _why(report: Report, *, whole: bool = False) -> str:
    """The run's own reason, short unless all of it is wanted; else its first failure."""
    if report.reason:
        reason = one_line(report.reason)
        reason = reason.replace("; and backing out is incomplete: ", "; still wrong: ")
        cut = len(reason) > REASON and not whole
        return f": {reason[:REASON].rstrip()}…" if cut else f": {reason}"
    failures = _failures(report)
    if not failures:
        return ""
    first = failures[0]
    host = f"{one_line(first.host)} failed at " if first.host else ""
    reason = f" ({one_line(first.reason)})" if first.reason else ""
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f": {host}{one_line(first.name)}{'' if host else ' failed'}{reason}{more}"


def _took(report: Report) -> str:
    """How long all of it was."""
    if not report.started_at or not report.ended_at:
        return ""
    began, ended = map(datetime.fromisoformat, (report.started_at, report.ended_at))
    return f" ({duration((ended - began).total_seconds())})"


def _without_whys(report: Report) -> Report:
    """The report, whose sentences leave out the reasons that are told below them."""
    red = (check.reason for check in report.checks if check.verdict is not Verdict.PASS)
    told = (*(failure.reason for failure in _failures(report)), *red)
    reasons = sorted({one_line(each) for each in told} - {""}, key=len)

    def brief(text: str) -> str:
        words = one_line(text)
        for reason in reversed(reasons):
            words = words.replace(f": {reason}", "")
        return words

    hosts = {name: replace(row, state=brief(row.state)) for name, row in report.hosts.items()}
    return replace(report, reason=brief(report.reason), hosts=hosts)


def _failures(report: Report) -> Sequence[Failure]:
    """As the report tells them; else the steps that did not end well."""
    if report.failures is not None:
        return report.failures
    bad = (step for step in report.steps if step.state not in _WELL)
    return tuple(Failure(step.name, step.host, step.phase, str(step.state)) for step in bad)


def _failed(failures: Sequence[Failure]) -> list[list[str]]:
    """Each failure with its evidence; those that differ in the host alone are one."""
    same = grouped((replace(each, host=None), one_line(each.host or "")) for each in failures)
    return [_failure(each, hosts) for each, hosts in same.items()]


def _failure(failure: Failure, hosts: Sequence[str]) -> list[str]:
    place = f" on {some(hosts)}" if any(hosts) else ""
    reason, when = one_line(failure.reason), WHEN.get(failure.phase, f" in {failure.phase}")
    head = f"failed{place}{when}: {one_line(failure.name)}: {reason}"
    told = reason.endswith(one_line(failure.output))  # all that was said is in the reason already
    return [head.rstrip(": "), *([] if told else evidence_lines(failure.output))]


def _log(host: str, text: str, *, whole: bool = False) -> list[str]:
    title = f"Last log lines{f' on {one_line(host)}' if host else ''}"
    return titled(title, evidence_lines(text, whole=whole))


def _state(report: Report) -> str:
    """The state that the hosts are in after backing out, in words."""
    hosts = report.hosts
    releases = {release_text(host.release) for host in hosts.values()}
    healthy = _healthy(hosts, report.checks)
    if not hosts:
        return f"this machine is as it was{healthy}"
    who = f"all {len(hosts)} hosts are" if len(hosts) > 1 else f"{one_line(next(iter(hosts)))} is"
    if len(releases) > 1:
        each = (f"{one_line(n)}: {release_text(h.release)}" for n, h in hosts.items())
        return f"{', '.join(each)}{healthy}"
    (release,) = releases
    return f"{who} {'as before' if release == UNKNOWN else f'on {release}'}{healthy}"


def _healthy(hosts: Collection[str], checks: Sequence[CheckReport]) -> str:
    """What the checks that pass say of the hosts; of one that none of them looked at, nothing."""
    seen = {check.host for check in checks if check.verdict is Verdict.PASS}
    if not seen:
        return ", with no check to prove it by"
    unseen = [] if None in seen else [one_line(host) for host in hosts if host not in seen]
    where = f" where a check looks; none is for {some(unseen)}" if unseen else ""
    return f" and healthy{where}"


def history_text(report: History) -> str:
    """A line for each run, newest first."""
    if not report.runs:
        return "No run yet."
    rows = [("started", "took", "target", "what", "release", "outcome", "run", "commit")]
    return "\n".join(table((*rows, *map(_line, report.runs)), indent=""))


def _line(run: HistoryLine) -> tuple[str, ...]:
    release = bare_release(run.ends.to)
    took = duration(run.seconds) if run.seconds is not None else ""
    verb = run.verb or "run"
    what = f"{verb} {run.runbook}" if verb in ("run", "rehearse", "rehearsed") else verb
    known = (_minute(run.started_at), took, run.target, what)
    ended = ", ".join((str(run.outcome or "not finished"), *run.marks))
    shown = "" if release == UNKNOWN else release
    return (*known, shown, ended, run.run, _cut(one_line(run.subject)))


def _minute(stamp: str) -> str:
    """`2026-11-22 07:34Z`."""
    return f"{stamp[:10]} {stamp[11:16]}Z"


def chain_text(report: Chain) -> str:
    """Whether the records of all runs are those that were written."""
    of = f" of {one_line(report.target)}" if report.target else ""
    if not report.faults:
        return f"{report.runs} runs{of}: every record is as it was written."
    lines = [f"run {fault.run}: {fault.what}" for fault in report.faults]
    found = len(report.faults)
    return "\n".join((*lines, f"{report.runs} runs{of}: {found} records are not as they were."))


def _cut(text: str) -> str:
    return text if len(text) <= SUBJECT else f"{text[: SUBJECT - 1]}…"


def show_text(report: Report) -> str:
    """A run whole: who did what when on which host, with everything that was said."""
    records, ways = report.records or (), WaysBack()
    head = [
        ("run", report.run),
        ("by", report.by),
        ("started", report.started_at),
        ("ended", report.ended_at or "not finished"),
        ("runbook", report.runbook),
        ("release", f"{bare_release(report.ends.start)} -> {bare_release(report.ends.to)}"),
        ("approved by", one_line(", ".join(report.approved_by))),
        ("freeze broken", one_line(report.freeze_broken)),
    ]
    told = tuple(Failure(each.name, each.host, each.phase, each.reason) for each in records)
    return page(
        [outcome_text(_without_whys(replace(report, failures=told)))],
        table(row for row in head if row[1]),
        host_lines(report.hosts),
        held_lines(report.held),
        [line for each in records for line in _record(each, ways)],
        *(_log(host, text, whole=True) for host, text in report.logs.items()),
        check_lines(report.checks),
        *ways.paragraphs(),
        note_lines(report.notes, report.advice),
        next_lines(report.next),
    )


def _record(record: StepRecord, ways: WaysBack) -> list[str]:
    took = f" ({duration(record.seconds)})" if record.seconds else ""
    code = record.exit_code
    exited = f", exit code {code}" if code else ""
    name = f"{record.phase}: {one_line(record.name)}"
    where = one_line(record.host or HERE)
    lines = [f"{record.at} {where}  {name} … {record.state}{exited}{took}".strip()]
    reason = one_line(record.reason)
    said = map(one_line, (record.stdout, record.stderr))
    if reason and reason.removeprefix(f"exited {code}: ") not in said:
        lines.append(f"    {reason}")
    if record.undo:
        lines += ways.told(record.name, record.undo, record.undo_summary)
    lines += [f"    | {line}" for line in record.stdout.splitlines()]
    lines += [f"    ! {line}" for line in record.stderr.splitlines()]
    return lines


# --- files -------------------------------------------------------------------------------


def lint_text(report: Linted) -> str:
    """How much is without a mistake."""
    files = f"{count_of(report.runbooks, 'runbook')} and {report.inventories} inventor"
    first = f"{files}{'y' if report.inventories == 1 else 'ies'}: no mistake."
    return "\n".join((first, *note_lines(report.notes)))


def init_text(report: Written) -> str:
    """What was written, and what was there."""
    return page(
        [
            *(f"wrote {one_line(path)}" for path in report.written),
            *(f"kept  {one_line(path)}, which was there" for path in report.kept),
        ],
        note_lines(report.notes),
        next_lines(report.next),
    )
