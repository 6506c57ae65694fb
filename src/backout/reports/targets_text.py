"""What is said of a target: what runs there, what it lacks, who holds it."""

from __future__ import annotations

from collections.abc import Sequence

from backout.reports.lines import Report, one_line, page, table
from backout.reports.parts import HERE, block, count_of, host_lines, next_lines, release_text


def status_text(report: Report) -> str:
    """`{"targets": [{"target", "release", "hosts", "differs": [words], "unfinished"}]}`, or one
    of those alone."""
    return "\n\n".join(_status(each) for each in report.get("targets", (report,)))


def _status(report: Report) -> str:
    target, differs = report["target"], report.get("differs") or ()
    release = release_text(report.get("release"))
    hosts = count_of(len(report["hosts"]), "host")
    first = f"{target} is on {release}: {hosts}, as recorded."
    if differs:
        first = (
            f"{target} DIFFERS from what is recorded ({release}): {count_of(len(differs), 'way')}."
        )
    unfinished = report.get("unfinished")
    return page(
        [first],
        host_lines(report["hosts"]),
        [words for name, host in report["hosts"].items() for words in _at_work(host, name)],
        [f"differs: {one_line(words)}" for words in differs],
        [f"unfinished: {one_line(unfinished)}"] if unfinished else [],
        _health(report.get("health") or ()),
        next_lines(report),
    )


def _health(checks: Sequence[Report]) -> list[str]:
    """The last day of each check, an hour a character."""
    return table((c["spark"], c["name"], _uptime(c), c["alert"] or "") for c in checks)


def _uptime(check: Report) -> str:
    latency = f", p95 {check['p95_ms']:.0f} ms" if check["p95_ms"] else ""
    return f"{100 * check['uptime']:.2f} % passed{latency}"


def doctor_text(report: Report) -> str:
    """`{"target", "findings": [{"name", "host", "ok", "detail", "fix"}]}`; `ok` null is a hint."""
    findings = report["findings"]
    bad = [each for each in findings if each["ok"] is False]
    first = f"{report['target']}: everything is there."
    if bad:
        first = f"{report['target']}: {count_of(len(bad), 'thing')} missing or unreachable."
    marks = {True: "ok", False: "MISSING", None: "note"}
    order = sorted(findings, key=lambda each: each["ok"] is not False)
    rows = table(
        (marks[each["ok"]], each.get("host") or HERE, each["name"], each.get("detail") or "")
        for each in order
    )
    lines: list[str] = []
    for each, row in zip(order, rows, strict=True):
        lines.append(row)
        lines += block("get it: ", each["fix"], "      ") if each.get("fix") else []
    return page([first], lines, next_lines(report))


def unlock_text(report: Report) -> str:
    """`{"target", "held": [{"host", "owner", "run", "since", "expires", "step", "alive",
    "at_work"}], "ended": [command], "freed", "reason", "unreachable": {host: why}}`."""
    target, held, away = report["target"], report["held"], report.get("unreachable") or {}
    where = " where it can be reached" if away else ""
    first = f"{target} is not locked{where}."
    if held:
        names = (each["owner"] or f"run {each['run']}" for each in held)
        owners = ", ".join(dict.fromkeys(one_line(name) for name in names))
        verb = "was held by" if report["freed"] else "is held by"
        after = f", and is free now{where}" if report["freed"] else ""
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
    reason = [one_line(report["reason"])] if report.get("reason") else []
    given_up = report.get("given_up")
    told = [f"run {one_line(given_up)} was given up as it is"] if given_up else []
    ended = [f"ended: {_command(each)}" for each in report.get("ended", ())]
    work = [words for each in held for words in _at_work(each, each.get("host") or HERE)]
    shown = table(rows) if held else []
    gone = [f"{one_line(host)} was not asked: {one_line(why)}" for host, why in away.items()]
    return page([first], shown, ended or work, gone, reason, told, next_lines(report))


def _at_work(host: Report, name: str) -> list[str]:
    """The commands that are alive on a host."""
    rows = host.get("at_work") or ()
    return [f"at work: {_command({'host': name, **each})}" for each in rows]


def _command(each: Report) -> str:
    where = one_line(each.get("host") or HERE)
    what = f"{one_line(each['step'])} of run {one_line(each['run'])}"
    return f"{what} on {where}, process {each['pid']}, since {each['since']}"
