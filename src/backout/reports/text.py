"""Run -> text, JSON. Pure.

Every function takes plain data: the JSON objects that `--json` prints, described in
`docs/commands.md`. What it is told is redacted already. The outcome comes first, in one sentence;
then the hosts; then what failed, with its evidence; the next command to type comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from backout.errors import BackoutError
from backout.model import duration
from backout.model.alike import grouped, some
from backout.reports.checks_text import check_lines
from backout.reports.errors_text import error_text
from backout.reports.lines import Report, one_line, page, table
from backout.reports.parts import (
    HERE,
    UNKNOWN,
    bare_release,
    count_of,
    evidence_lines,
    host_lines,
    next_lines,
    note_lines,
    proof_words,
    release_text,
    titled,
)
from backout.reports.plan_text import WaysBack

REASON = 80
"""How many characters of a reason fit into the outcome's sentence; the rest stands below."""
SUBJECT = 40
"""How many characters of a commit's subject `history` shows."""
_WELL = ("done", "skipped", "pass", "running")

# --- runs --------------------------------------------------------------------------------


def run_text(report: Report) -> str:
    """How a run ended."""
    failures = _failures(report)
    red = [check for check in report["checks"] if check["verdict"] != "pass"]
    brief = _without_whys(report)
    return page(
        [f"{outcome_text(brief)}{_took(report)}"],
        host_lines(brief["hosts"]),
        *_failed(failures),
        *(_log(host, text) for host, text in report.get("logs", {}).items()),
        titled("Checks that do not pass", check_lines(red)),
        note_lines(report),
        next_lines(report, f"invoke show {report['run']}" if failures else ""),
    )


def refused_text(report: Report) -> str:
    """A run that was refused before any change: three lines, like every error."""
    told = report["error"]
    return error_text(
        BackoutError(told["what"], where=told["where"], state=told["state"], next=told["next"])
    )


def outcome_text(report: Report) -> str:
    """The outcome in one sentence, for somebody who has just been woken up."""
    target, why = one_line(report["target"]), _why(report)
    match report["outcome"]:
        case "succeeded":
            return f"{_achievement(report)}: {_ending(report['hosts'], report['checks'])}."
        case "backed_out":
            return f"Backed out{why}; {_state(report)}."
        case "backout_incomplete":
            return f"BACKING OUT IS INCOMPLETE{_why(report, whole=True)}."
        case "refused":
            return f"Refused{why}; nothing was changed on {target}."
        case "interrupted":
            return f"NOT FINISHED{why}; run {report['run']} on {target} is journaled."
        case "failed" if report.get("verb") == "rehearsed":
            return f"Rehearsed a part of {one_line(report['runbook'])} on {target}{why}."
        case "failed":
            return f"A command that is said to change nothing failed on {target}{why}."
        case "taken_over":
            return f"Not from here any more{why}."
        case other:
            return f"Run {report['run']} on {target}: {other or 'not finished'}."


def _achievement(report: Report) -> str:
    target, runbook = one_line(report["target"]), one_line(report["runbook"])
    release = release_text(report["release"].get("to"))
    match report.get("verb") or runbook:
        case "deploy":
            return f"Deployed {release} to {target}"
        case "rollback":
            return f"Rolled {target} back to {release}"
        case "rehearsed":
            return f"Rehearsed the way back of {runbook} on {target}"
        case "exec" if not report["release"].get("to"):
            return f"Ran a command on {target} that is said to change nothing"
    return f"Ran {runbook} on {target} ({release})"


def _ending(hosts: Report, checks: Sequence[Report]) -> str:
    proved = any(check["verdict"] == "pass" for check in checks)
    return proof_words(hosts, checks) if proved else "done; nothing proves it"


def _why(report: Report, *, whole: bool = False) -> str:
    """The run's own reason, short unless all of it is wanted; else its first failure."""
    if report.get("reason"):
        reason = one_line(report["reason"])
        reason = reason.replace("; and backing out is incomplete: ", "; still wrong: ")
        cut = len(reason) > REASON and not whole
        return f": {reason[:REASON].rstrip()}…" if cut else f": {reason}"
    failures = _failures(report)
    if not failures:
        return ""
    first = failures[0]
    host = f"{one_line(first['host'])} failed at " if first.get("host") else ""
    reason = f" ({one_line(first['reason'])})" if first.get("reason") else ""
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f": {host}{one_line(first['name'])}{'' if host else ' failed'}{reason}{more}"


def _took(report: Report) -> str:
    """How long all of it was."""
    if not report.get("started_at") or not report.get("ended_at"):
        return ""
    began, ended = (datetime.fromisoformat(report[each]) for each in ("started_at", "ended_at"))
    return f" ({duration((ended - began).total_seconds())})"


def _without_whys(report: Report) -> Report:
    """The report, whose sentences leave out the reasons that are told below them."""
    told = [*_failures(report), *(c for c in report["checks"] if c["verdict"] != "pass")]
    reasons = sorted({one_line(each.get("reason") or "") for each in told} - {""}, key=len)

    def brief(text: object) -> str:
        words = one_line(text or "")
        for reason in reversed(reasons):
            words = words.replace(f": {reason}", "")
        return words

    hosts = {name: {**row, "state": brief(row["state"])} for name, row in report["hosts"].items()}
    return {**report, "reason": brief(report.get("reason")), "hosts": hosts}


def _failures(report: Report) -> Sequence[Report]:
    """As the report tells them; else the steps that did not end well."""
    if "failures" in report:
        told: Sequence[Report] = report["failures"]
        return told
    return [step for step in report["steps"] if step["state"] not in _WELL]


def _failed(failures: Sequence[Report]) -> list[list[str]]:
    """Each failure with its evidence; those that differ in the host alone are one."""
    known = ("name", "phase", "state", "reason", "output")
    same = grouped(
        (tuple(each.get(name) or "" for name in known), one_line(each.get("host") or ""))
        for each in failures
    )
    return [_failure(dict(zip(known, key, strict=True)), hosts) for key, hosts in same.items()]


def _failure(failure: Report, hosts: Sequence[str]) -> list[str]:
    place = f" on {some(hosts)}" if any(hosts) else ""
    phase = failure.get("phase") or "do"
    when = {
        "do": "",
        "undo": " while backing out",
        "settle": " while settling",
        "proof": " in the last proof",
    }
    reason = one_line(failure.get("reason") or failure.get("state") or "")
    head = f"failed{place}{when.get(phase, f' in {phase}')}: {one_line(failure['name'])}: {reason}"
    output = failure.get("output") or ""
    told = reason.endswith(one_line(output))  # all that was said is in the reason already
    return [head.rstrip(": "), *([] if told else evidence_lines(output))]


def _log(host: str, text: str) -> list[str]:
    return titled(f"Last log lines{f' on {one_line(host)}' if host else ''}", evidence_lines(text))


def _state(report: Report) -> str:
    """The state that the hosts are in after backing out, in words."""
    if report.get("state"):
        return str(report["state"]).rstrip(".")
    hosts = report["hosts"]
    releases = {release_text(host.get("release")) for host in hosts.values()}
    proved = any(check["verdict"] == "pass" for check in report["checks"])
    healthy = " and healthy" if proved else ", with no check to prove it by"
    if not hosts:
        return f"this machine is as it was{healthy}"
    who = f"all {len(hosts)} hosts are" if len(hosts) > 1 else f"{one_line(next(iter(hosts)))} is"
    if len(releases) > 1:
        each = (f"{one_line(n)}: {release_text(h.get('release'))}" for n, h in hosts.items())
        return f"{', '.join(each)}{healthy}"
    (release,) = releases
    return f"{who} {'as before' if release == UNKNOWN else f'on {release}'}{healthy}"


def history_text(report: Report) -> str:
    """`{"runs": [run, …]}`, newest first."""
    runs = report["runs"]
    if not runs:
        return "No run yet."
    rows = [("started", "took", "target", "what", "release", "outcome", "run", "commit")]
    for run in runs:
        release = bare_release((run.get("release") or {}).get("to"))
        ended = run["outcome"] or "not finished"
        took = duration(run["seconds"]) if run.get("seconds") is not None else ""
        known = "" if release == UNKNOWN else release
        verb = run.get("verb") or "run"
        named = verb in ("run", "rehearse", "rehearsed")
        runbook = f"{verb} {run['runbook']}" if named else verb
        shown = (_minute(run["started_at"]), took, run["target"], runbook, known, ended)
        rows.append((*shown, run["run"], _cut(one_line(run.get("subject") or ""), SUBJECT)))
    return "\n".join(table(rows, indent=""))


def _minute(stamp: str) -> str:
    """`2026-11-22 07:34Z`."""
    return f"{stamp[:10]} {stamp[11:16]}Z"


def chain_text(report: Report) -> str:
    """Whether the records of all runs are those that were written."""
    runs, faults = report["runs"], report["faults"]
    of = f" of {one_line(report['target'])}" if report["target"] else ""
    if not faults:
        return f"{runs} runs{of}: every record is as it was written."
    lines = [f"run {fault['run']}: {fault['what']}" for fault in faults]
    return "\n".join((*lines, f"{runs} runs{of}: {len(faults)} records are not as they were."))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def show_text(report: Report, outputs: Iterable[Report]) -> str:
    """A run whole. `outputs` are its records in order: who did what when on which host, with
    everything that was said."""
    records, ways = list(outputs), WaysBack()
    head = [
        ("run", report["run"]),
        ("by", report.get("by", "")),
        ("started", report["started_at"]),
        ("ended", report["ended_at"] or "not finished"),
        ("runbook", report["runbook"]),
        ("release", f"{_bare(report, 'from')} -> {_bare(report, 'to')}"),
    ]
    return page(
        [outcome_text(_without_whys({**report, "failures": records}))],
        table(row for row in head if row[1]),
        host_lines(report["hosts"]),
        [line for each in records for line in _record(each, ways)],
        *(_log(host, text) for host, text in report.get("logs", {}).items()),
        check_lines(report["checks"]),
        *ways.paragraphs(),
        note_lines(report),
        next_lines(report),
    )


def _bare(report: Report, end: str) -> str:
    return bare_release(report["release"].get(end))


def _record(record: Report, ways: WaysBack) -> list[str]:
    took = f" ({duration(record['seconds'])})" if record.get("seconds") else ""
    code = record.get("exit_code")
    exited = f", exit code {code}" if code else ""
    name = f"{record.get('phase') or 'do'}: {one_line(record['name'])}"
    where = one_line(record.get("host") or HERE)
    lines = [f"{record.get('at', '')} {where}  {name} … {record['state']}{exited}{took}".strip()]
    said = [one_line(record.get(stream) or "") for stream in ("stdout", "stderr", "output")]
    reason = one_line(record.get("reason") or "")
    if reason and reason.removeprefix(f"exited {code}: ") not in said:
        lines.append(f"    {reason}")
    if record.get("undo"):
        lines += ways.told(record["name"], record["undo"], record.get("undo_summary", ""))
    for stream in ("stdout", "stderr", "output"):
        mark = "! " if stream == "stderr" else "| "
        lines += [f"    {mark}{line}" for line in (record.get(stream) or "").splitlines()]
    return lines


# --- files -------------------------------------------------------------------------------


def lint_text(report: Report) -> str:
    """`{"runbooks": count, "inventories": count}`."""
    runbooks, inventories = report["runbooks"], report["inventories"]
    files = f"{count_of(runbooks, 'runbook')} and {inventories} inventor"
    return f"{files}{'y' if inventories == 1 else 'ies'}: no mistake."


def init_text(report: Report) -> str:
    """`{"written": [path], "kept": [path], "notes": [words]}`."""
    return page(
        [
            *(f"wrote {one_line(path)}" for path in report["written"]),
            *(f"kept  {one_line(path)}, which was there" for path in report["kept"]),
        ],
        note_lines(report),
        next_lines(report),
    )
