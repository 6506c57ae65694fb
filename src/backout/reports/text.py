"""Run -> text, JSON. Pure.

Every function takes plain data: the JSON objects that `--json` prints, described in
`docs/commands.md`. What it is told is redacted already. The outcome comes first, in one sentence;
then the hosts; then what failed, with its evidence; the next command to type comes last.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from backout.errors import BackoutError, Mistakes
from backout.model import duration
from backout.model.alike import grouped, some
from backout.reports.lines import one_line as _line
from backout.reports.lines import page as _page
from backout.reports.lines import table as _table
from backout.reports.ships_text import ships_lines

Report = Mapping[str, Any]

SHORT = 3
"""Lines of an undo that are shown where the step stands."""
UNKNOWN = "no known release"
FORMAT = 1
"""Of every JSON object; it grows when a reader of the last one could be misled."""
HERE = "this machine"
MANY = 12
"""Hosts that are in the same state have lines of their own up to this number."""
REASON = 80
"""How many characters of a reason fit into the outcome's sentence; the rest stands below."""
SUBJECT = 50
"""How many characters of a commit's subject `history` shows."""
EVIDENCE = 20
"""How many lines of a failed step's output are shown; `show` has all of them."""
_WELL = ("done", "skipped", "pass", "running")
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


# --- errors ------------------------------------------------------------------------------


def error_text(error: BackoutError) -> str:
    """What failed and where; the state things are in; the next command to type."""
    return str(error)


def error_report(error: BackoutError) -> dict[str, Any]:
    """The error as data; every mistake on its own when there are several."""
    report: dict[str, Any] = {
        "error": {"what": error.what, "where": error.where, "next": error.next},
        "exit_code": error.exit_code,
        "state": error.state,
    }
    if isinstance(error, Mistakes) and error.mistakes:
        report["mistakes"] = [
            {"file": each.file, "line": each.line, "path": each.path, "message": each.message}
            for each in error.mistakes
        ]
    return report


def error_json(error: BackoutError) -> str:
    return json_text(error_report(error))


def json_text(report: Report) -> str:
    """One object on one line, in ASCII, so that no terminal takes it for more than text."""
    return json.dumps({"format": FORMAT, **report}, default=str).replace("\x7f", "\\u007f")


# --- runs --------------------------------------------------------------------------------


def run_text(report: Report) -> str:
    """How a run ended."""
    failures = _failures(report)
    red = [check for check in report["checks"] if check["verdict"] != "pass"]
    brief = _without_whys(report)
    return _page(
        [f"{outcome_text(brief)}{_took(report)}"],
        _hosts(brief["hosts"]),
        *_failed(failures),
        *(_log(host, text) for host, text in report.get("logs", {}).items()),
        _titled("Checks that do not pass", _checks(red)),
        _notes(report),
        _next(report, f"invoke show {report['run']}" if failures else ""),
    )


def refused_text(report: Report) -> str:
    """A run that was refused before any change: three lines, like every error."""
    told = report["error"]
    return error_text(
        BackoutError(told["what"], where=told["where"], state=told["state"], next=told["next"])
    )


def outcome_text(report: Report) -> str:
    """The outcome in one sentence, for somebody who has just been woken up."""
    target, why = _line(report["target"]), _why(report)
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
        case "failed":
            return f"A command that is said to change nothing failed on {target}{why}."
        case other:
            return f"Run {report['run']} on {target}: {other or 'not finished'}."


def _achievement(report: Report) -> str:
    target, runbook = _line(report["target"]), _line(report["runbook"])
    release = release_text(report["release"].get("to"))
    match report.get("verb") or runbook:
        case "deploy":
            return f"Deployed {release} to {target}"
        case "rollback":
            return f"Rolled {target} back to {release}"
        case "exec" if not report["release"].get("to"):
            return f"Ran a command on {target} that is said to change nothing"
    return f"Ran {runbook} on {target} ({release})"


def _ending(hosts: Report, checks: Sequence[Report]) -> str:
    proved = any(check["verdict"] == "pass" for check in checks)
    return _proof(hosts, checks) if proved else "done; nothing proves it"


def _proof(hosts: Report, checks: Sequence[Report]) -> str:
    parts = [_count(len(hosts), "host")] if hosts else []
    passed = sum(check["verdict"] == "pass" for check in checks)
    if checks and passed == len(checks):
        parts.append(f"{_count(passed, 'check')} {'passes' if passed == 1 else 'pass'}")
    elif checks:
        parts.append(f"{passed} of {_count(len(checks), 'check')} pass")
    return ", ".join(parts)


def _why(report: Report, *, whole: bool = False) -> str:
    """The run's own reason, short unless all of it is wanted; else its first failure."""
    if report.get("reason"):
        reason = _line(report["reason"])
        reason = reason.replace("; and backing out is incomplete: ", "; still wrong: ")
        cut = len(reason) > REASON and not whole
        return f": {reason[:REASON].rstrip()}…" if cut else f": {reason}"
    failures = _failures(report)
    if not failures:
        return ""
    first = failures[0]
    host = f"{_line(first['host'])} failed at " if first.get("host") else ""
    reason = f" ({_line(first['reason'])})" if first.get("reason") else ""
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f": {host}{_line(first['name'])}{'' if host else ' failed'}{reason}{more}"


def _took(report: Report) -> str:
    """How long all of it was."""
    if not report.get("started_at") or not report.get("ended_at"):
        return ""
    began, ended = (datetime.fromisoformat(report[each]) for each in ("started_at", "ended_at"))
    return f" ({duration((ended - began).total_seconds())})"


def _without_whys(report: Report) -> Report:
    """The report, whose sentences leave out the reasons that are told below them."""
    told = [*_failures(report), *(c for c in report["checks"] if c["verdict"] != "pass")]
    reasons = sorted({_line(each.get("reason") or "") for each in told} - {""}, key=len)

    def brief(text: object) -> str:
        words = _line(text or "")
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
        (tuple(each.get(name) or "" for name in known), _line(each.get("host") or ""))
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
    reason = _line(failure.get("reason") or failure.get("state") or "")
    head = f"failed{place}{when.get(phase, f' in {phase}')}: {_line(failure['name'])}: {reason}"
    output = failure.get("output") or ""
    told = reason.endswith(_line(output))  # all that was said is in the reason already
    return [head.rstrip(": "), *([] if told else _evidence(output))]


def _evidence(output: str) -> list[str]:
    lines = output.rstrip().splitlines()
    left_out = len(lines) - EVIDENCE
    head = [f"    … {left_out} lines before"] if left_out > 0 else []
    return head + [f"    {line}" for line in lines[-EVIDENCE:]]


def _log(host: str, text: str) -> list[str]:
    return _titled(f"Last log lines{f' on {_line(host)}' if host else ''}", _evidence(text))


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
    who = f"all {len(hosts)} hosts are" if len(hosts) > 1 else f"{_line(next(iter(hosts)))} is"
    if len(releases) > 1:
        each = (f"{_line(n)}: {release_text(h.get('release'))}" for n, h in hosts.items())
        return f"{', '.join(each)}{healthy}"
    (release,) = releases
    return f"{who} {'as before' if release == UNKNOWN else f'on {release}'}{healthy}"


def _hosts(hosts: Report) -> list[str]:
    """A line for each host; where there are many, one for all that are in the same state."""
    told = [
        ((release_text(host.get("release")), _line(_host_state(host))), _line(name))
        for name, host in hosts.items()
    ]
    if len(hosts) <= MANY:
        return _table((name, *state) for state, name in told)
    same = grouped(told)
    rows = _table((_count(len(names), "host"), *state) for state, names in same.items())
    named = (f"      {', '.join(names)}" for names in same.values())
    return [line for pair in zip(rows, named, strict=True) for line in pair]


def _host_state(host: Report) -> str:
    uptime = f"up {duration(host['uptime'])}" if host.get("uptime") else ""
    return str(host["state"]) or uptime


def _notes(report: Report) -> list[str]:
    advice = [f"advice: {_line(report['advice'])}"] if report.get("advice") else []
    return advice + [f"note: {_line(note)}" for note in report.get("notes", ())]


def release_text(release: Report | str | None) -> str:
    """`release 42 (3f9c2e1)`; runs of before have it in words."""
    if not release:
        return UNKNOWN
    if isinstance(release, str):
        return f"release {_line(release)}"
    commit = str(release.get("commit") or "")[:7]
    return f"release {release['number']}" + (f" ({_line(commit)})" if commit else "")


def bare_release(release: Report | str | None) -> str:
    """`42 (3f9c2e1)`."""
    return release_text(release).removeprefix("release ")


def history_text(report: Report) -> str:
    """`{"runs": [run, …]}`, newest first."""
    runs = report["runs"]
    if not runs:
        return "No run yet."
    rows = [("started", "took", "run", "target", "what", "release", "outcome", "commit")]
    for run in runs:
        release = bare_release((run.get("release") or {}).get("to"))
        ended = run["outcome"] or "not finished"
        took = duration(run["seconds"]) if run.get("seconds") is not None else ""
        known = "" if release == UNKNOWN else release
        verb = run.get("verb") or "run"
        runbook = f"run {run['runbook']}" if verb == "run" else verb
        shown = (run["started_at"], took, run["run"], run["target"], runbook, known, ended)
        rows.append((*shown, _cut(_line(run.get("subject") or ""), SUBJECT)))
    return "\n".join(_table(rows, indent=""))


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
    return _page(
        [outcome_text(_without_whys({**report, "failures": records}))],
        _table(row for row in head if row[1]),
        _hosts(report["hosts"]),
        [line for each in records for line in _record(each, ways)],
        *(_log(host, text) for host, text in report.get("logs", {}).items()),
        _checks(report["checks"]),
        *ways.paragraphs(),
        _notes(report),
        _next(report),
    )


def _bare(report: Report, end: str) -> str:
    return bare_release(report["release"].get(end))


def _record(record: Report, ways: WaysBack) -> list[str]:
    took = f" ({duration(record['seconds'])})" if record.get("seconds") else ""
    code = record.get("exit_code")
    exited = f", exit code {code}" if code else ""
    name = f"{record.get('phase') or 'do'}: {_line(record['name'])}"
    where = _line(record.get("host") or HERE)
    lines = [f"{record.get('at', '')} {where}  {name} … {record['state']}{exited}{took}".strip()]
    said = [_line(record.get(stream) or "") for stream in ("stdout", "stderr", "output")]
    reason = _line(record.get("reason") or "")
    if reason and reason.removeprefix(f"exited {code}: ") not in said:
        lines.append(f"    {reason}")
    if record.get("undo"):
        lines += ways.told(record["name"], record["undo"], record.get("undo_summary", ""))
    for stream in ("stdout", "stderr", "output"):
        mark = "! " if stream == "stderr" else "| "
        lines += [f"    {mark}{line}" for line in (record.get(stream) or "").splitlines()]
    return lines


# --- checks ------------------------------------------------------------------------------


def verify_text(report: Report) -> str:
    """`{"target", "verdict", "checks"}`."""
    verdicts = Counter(check["verdict"] for check in report["checks"])
    count, target = len(report["checks"]), report["target"]
    said = ", ".join(f"{verdicts[each]} {each}" for each in _WORST if verdicts[each])
    match report["verdict"]:
        case "pass":
            first = f"{target} is healthy: {_proof({}, report['checks'])}."
        case "fail":
            first = f"{target} is UNHEALTHY: of {_count(count, 'check')}, {said}."
        case verdict:
            told = f"of {_count(count, 'check')}, {said}" if said else "nothing was checked"
            first = f"{target}: cannot tell whether it is healthy ({verdict}): {told}."
    return _page([first], _checks(report["checks"]), _next(report))


_WORST = ("fail", "error", "inconclusive", "pass")


def _checks(checks: Sequence[Report]) -> list[str]:
    """The worst first; what does not pass with its reason."""
    lines: list[str] = []
    order = sorted(checks, key=lambda check: _WORST.index(check["verdict"]))
    rows = _table((c["verdict"], _check_name(c), _milliseconds(c)) for c in order)
    for check, row in zip(order, rows, strict=True):
        lines.append(row)
        if check["verdict"] != "pass":
            reasons = (check.get("reason"), *check.get("failed", ()))
            told = [_line(each) for each in reasons if each]
            lines += [f"      {each}" for each in dict.fromkeys(told[:1] or told)]
            lines += [f"    {line}" for line in _evidence(check.get("excerpt") or "")]
    return lines


def _check_name(check: Report) -> str:
    return f"{check['name']} @ {check['host']}" if check.get("host") else str(check["name"])


def _milliseconds(check: Report) -> str:
    elapsed = check.get("elapsed_ms")
    return f"{elapsed:.0f} ms" if elapsed else ""


def verify_junit(report: Report) -> str:
    """The checks as JUnit XML. What cannot be told is an error there, never a pass."""
    checks = report["checks"]
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(report["target"]),
        tests=str(len(checks)),
        failures=str(sum(check["verdict"] == "fail" for check in checks)),
        errors=str(sum(check["verdict"] in ("error", "inconclusive") for check in checks)),
        time=_seconds(sum(check.get("elapsed_ms") or 0 for check in checks)),
    )
    for check in checks:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_xml(report["target"]),
            name=_xml(_check_name(check)),
            time=_seconds(check.get("elapsed_ms") or 0),
        )
        if check["verdict"] != "pass":
            tag = "failure" if check["verdict"] == "fail" else "error"
            reason = check.get("reason") or "; ".join(check.get("failed", ()))
            problem = ElementTree.SubElement(
                case, tag, type=_xml(check["verdict"]), message=_xml(reason)
            )
            problem.text = _xml("\n".join(check.get("failed", ())))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: object) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(text))


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.3f}"


# --- targets -----------------------------------------------------------------------------


def status_text(report: Report) -> str:
    """`{"targets": [{"target", "release", "hosts", "differs": [words], "unfinished"}]}`, or one
    of those alone."""
    return "\n\n".join(_status(each) for each in report.get("targets", (report,)))


def _status(report: Report) -> str:
    target, differs = report["target"], report.get("differs") or ()
    release = release_text(report.get("release"))
    hosts = _count(len(report["hosts"]), "host")
    first = f"{target} is on {release}: {hosts}, as recorded."
    if differs:
        first = (
            f"{target} DIFFERS from what is recorded ({release}): {_count(len(differs), 'way')}."
        )
    unfinished = report.get("unfinished")
    return _page(
        [first],
        _hosts(report["hosts"]),
        [words for name, host in report["hosts"].items() for words in _at_work(host, name)],
        [f"differs: {_line(words)}" for words in differs],
        [f"unfinished: {_line(unfinished)}"] if unfinished else [],
        _health(report.get("health") or ()),
        _next(report),
    )


def _health(checks: Sequence[Report]) -> list[str]:
    """The last day of each check, an hour a character."""
    return _table((c["spark"], c["name"], _uptime(c), c["alert"] or "") for c in checks)


def _uptime(check: Report) -> str:
    latency = f", p95 {check['p95_ms']:.0f} ms" if check["p95_ms"] else ""
    return f"{100 * check['uptime']:.2f} % passed{latency}"


def doctor_text(report: Report) -> str:
    """`{"target", "findings": [{"name", "host", "ok", "detail", "fix"}]}`; `ok` null is a hint."""
    findings = report["findings"]
    bad = [each for each in findings if each["ok"] is False]
    first = f"{report['target']}: everything is there."
    if bad:
        first = f"{report['target']}: {_count(len(bad), 'thing')} missing or unreachable."
    marks = {True: "ok", False: "MISSING", None: "note"}
    order = sorted(findings, key=lambda each: each["ok"] is not False)
    rows = _table(
        (marks[each["ok"]], each.get("host") or HERE, each["name"], each.get("detail") or "")
        for each in order
    )
    lines: list[str] = []
    for each, row in zip(order, rows, strict=True):
        lines.append(row)
        lines += _block("get it: ", each["fix"], "      ") if each.get("fix") else []
    return _page([first], lines, _next(report))


def unlock_text(report: Report) -> str:
    """`{"target", "held": [{"host", "owner", "run", "since", "expires", "step", "alive",
    "at_work"}], "ended": [command], "freed", "reason"}`."""
    target, held = report["target"], report["held"]
    first = f"{target} is not locked."
    if held:
        names = (each["owner"] or f"run {each['run']}" for each in held)
        owners = ", ".join(dict.fromkeys(_line(name) for name in names))
        verb = "was held by" if report["freed"] else "is held by"
        after = ", and is free now" if report["freed"] else ""
        first = f"{target} {verb} {owners}{after}."
    alive = {True: "alive", False: "gone", None: "may be alive"}
    rows = [("host", "owner", "run", "since", "expires", "at step", "holder")]
    rows += [
        (
            each.get("host") or HERE,
            each["owner"],
            each["run"],
            each["since"],
            each.get("expires") or "",
            each.get("step") or "",
            alive[each.get("alive")],
        )
        for each in held
    ]
    reason = [_line(report["reason"])] if report.get("reason") else []
    given_up = report.get("given_up")
    told = [f"run {_line(given_up)} was given up as it is"] if given_up else []
    ended = [f"ended: {_command(each)}" for each in report.get("ended", ())]
    work = [words for each in held for words in _at_work(each, each.get("host") or HERE)]
    shown = _table(rows) if held else []
    return _page([first], shown, ended or work, reason, told, _next(report))


def _at_work(host: Report, name: str) -> list[str]:
    """The commands that are alive on a host."""
    rows = host.get("at_work") or ()
    return [f"at work: {_command({'host': name, **each})}" for each in rows]


def _command(each: Report) -> str:
    where = _line(each.get("host") or HERE)
    what = f"{_line(each['step'])} of run {_line(each['run'])}"
    return f"{what} on {where}, process {each['pid']}, since {each['since']}"


# --- the plan ----------------------------------------------------------------------------


def plan_text(plan: Report) -> str:
    """What would run where, with every undo and every point of no return.

    `{"verb", "target", "runbook", "release": {"from", "to"}, "hosts": […], "preflight": [action],
    "stages": [{"here": [action]} | {"batches": [{"number", "hosts", "actions": [action],
    "settle": [action]}]}], "finally": [action], "checks": […], "refused": [words]}`, where an
    action is `{"name", "host", "does", "undo", "undo_summary", "irreversible", "readonly",
    "when"}`.
    """
    refused, ways = plan.get("refused") or (), WaysBack()
    return _page(
        _summary(plan, bool(refused)),
        [f"refused: {_line(words)}" for words in refused],
        ships_lines(plan.get("ships") or {}),
        _group("Before any change, reads only", plan.get("preflight") or (), ways),
        *[part for stage in plan["stages"] for part in _stage(stage, ways)],
        _group("At the end, whatever happens", plan.get("finally") or (), ways),
        _titled("What the checks say now", _checks(plan.get("checks") or ())),
        *ways.paragraphs(),
        _notes(plan),
        _next(plan),
    )


def _summary(plan: Report, refused: bool) -> list[str]:
    release = release_text(plan["release"].get("to"))
    now = release_text(plan["release"].get("from"))
    would = "Would be REFUSED" if refused else "Would run"
    what = f"{_line(plan['runbook'])} on {_line(plan['target'])}"
    points = [each for each in _actions(plan) if each.get("irreversible")]
    names = ", ".join(dict.fromkeys(_line(each["name"]) for each in points))
    hosts = f"{_count(len(plan['hosts']), 'host')}: {', '.join(map(_line, plan['hosts']))}."
    return [
        f"{would}: {what}, making {release}; now: {now}. Nothing was changed.",
        hosts if plan["hosts"] else "On this machine only.",
        f"POINT OF NO RETURN: {names}." if points else "Every step can be undone.",
    ]


def _actions(plan: Report) -> Iterable[Report]:
    for stage in plan["stages"]:
        yield from stage.get("here") or ()
        for batch in stage.get("batches") or ():
            yield from batch["actions"]
            yield from batch.get("settle") or ()


def _stage(stage: Report, ways: WaysBack) -> Iterable[list[str]]:
    yield _group("On this machine", stage.get("here") or (), ways)
    batches = stage.get("batches") or ()
    for batch in batches:
        hosts = f": {', '.join(map(_line, batch['hosts']))}" if batch["hosts"] else ""
        yield _group(f"Batch {batch['number']} of {len(batches)}{hosts}", batch["actions"], ways)
        yield _group(f"Batch {batch['number']}, settle", batch.get("settle") or (), ways)


def _group(title: str, actions: Sequence[Report], ways: WaysBack) -> list[str]:
    """Actions under a title; one that is the same on several hosts stands there once."""
    merged: dict[tuple[Any, ...], list[str]] = {}
    for each in actions:
        known = ("name", "does", "undo", "undo_summary", "irreversible", "readonly", "when")
        key = tuple(each.get(name) or "" for name in known)
        merged.setdefault(key, []).append(each.get("host") or "")
    lines: list[str] = []
    for (name, does, undo, summary, irreversible, readonly, when), hosts in merged.items():
        places = ", ".join(_line(host) for host in hosts if host)
        lines.append(f"  {_line(name)}{f'  (on {places})' if places else ''}")
        lines += _block("does: ", does, "    ") if does else []
        lines += _block("only when: ", when, "    ") if when else []
        if irreversible:
            lines.append(f"    POINT OF NO RETURN: {_line(irreversible)}")
        elif undo:
            lines += ways.told(name, undo, summary)
        elif readonly:
            lines.append("    reads only")
    return _titled(title, lines)


class WaysBack:
    """Undos: short ones where they belong, long ones in full at the end."""

    def __init__(self) -> None:
        self.long: dict[str, str] = {}

    def told(self, name: str, undo: str, summary: str = "") -> list[str]:
        lines, summary = undo.strip().splitlines(), _line(summary)
        if len(lines) <= SHORT:
            same = summary in ("", undo.strip())
            return _block("undo: ", undo if same else f"{summary}\n{undo}", "    ")
        title = self.long.setdefault(undo, f"[{len(self.long) + 1}] undo of {_line(name)}")
        number = title.split()[0]
        if summary:
            return [f"    undo: {summary} {number}"]
        return [f"    undo: {len(lines)} lines, in full below: {number}"]

    def paragraphs(self) -> Iterable[list[str]]:
        for undo, title in self.long.items():
            yield [f"{title}:", *(f"    {line}" for line in undo.strip().splitlines())]


def _titled(title: str, lines: list[str]) -> list[str]:
    return [f"{title}:", *lines] if lines else []


# --- files -------------------------------------------------------------------------------


def lint_text(report: Report) -> str:
    """`{"runbooks": count, "inventories": count}`."""
    runbooks, inventories = report["runbooks"], report["inventories"]
    files = f"{_count(runbooks, 'runbook')} and {inventories} inventor"
    return f"{files}{'y' if inventories == 1 else 'ies'}: no mistake."


def init_text(report: Report) -> str:
    """`{"written": [path], "kept": [path], "notes": [words]}`."""
    return _page(
        [
            *(f"wrote {_line(path)}" for path in report["written"]),
            *(f"kept  {_line(path)}, which was there" for path in report["kept"]),
        ],
        _notes(report),
        _next(report),
    )


# --- lines -------------------------------------------------------------------------------


def _next(report: Report, whole: str = "") -> list[str]:
    """The command to type; and where all of it can be read, unless that is the same."""
    following = str(report.get("next") or "").strip()
    lines = [_line(each) for each in following.splitlines() if each.strip()]
    told = [f"{'next:  ' if n == 0 else '       '}{line}" for n, line in enumerate(lines)]
    return (
        [f"all of it: {whole}", *told]
        if whole and whole.partition(" ")[2] not in following
        else told
    )


def _block(title: str, text: str, indent: str) -> list[str]:
    """A title and a text of any number of lines, which stay under one another."""
    first, *rest = text.strip().splitlines() or [""]
    under = " " * len(title)
    return [f"{indent}{title}{first}", *(f"{indent}{under}{line}" for line in rest)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
