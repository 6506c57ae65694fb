"""What is said of a target: what runs there, what it lacks, who holds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from backout.reports.approvals import waiting_lines
from backout.reports.lines import one_line, page, table
from backout.reports.parts import (
    HERE,
    block,
    count_of,
    held_lines,
    host_lines,
    next_lines,
    release_text,
)
from backout.reports.states import (
    AtWork,
    DayOfCheck,
    DoctorReport,
    EndedCommand,
    HeldLock,
    HoldReport,
    InLine,
    OutOfTraffic,
    Statuses,
    StatusReport,
    UnlockReport,
)


def status_text(report: StatusReport | Statuses) -> str:
    """What runs where now, target by target."""
    each = report.targets if isinstance(report, Statuses) else (report,)
    return "\n\n".join(map(_status, each))


def _status(report: StatusReport) -> str:
    target, differs = report.target, report.differs
    release = release_text(report.release)
    hosts = count_of(len(report.hosts), "host")
    first = f"{target} is on {_releases(report, release)}: {hosts}, as recorded."
    if differs:
        first = (
            f"{target} DIFFERS from what is recorded ({release}): {count_of(len(differs), 'way')}."
        )
    return page(
        [first],
        host_lines(report.hosts),
        [_at_work(each, name) for name, host in report.hosts.items() for each in host.at_work],
        [_left(host.left, name) for name, host in report.hosts.items() if host.left],
        [f"differs: {one_line(words)}" for words in differs],
        [_out_of_traffic(each) for each in report.out_of_traffic],
        [f"unfinished: {one_line(report.unfinished)}"] if report.unfinished else [],
        held_lines(report.held),
        waiting_lines(report.asked),
        [_in_line(each) for each in report.queue],
        [f"FROZEN {one_line(report.frozen)}"] if report.frozen else [],
        [f"a freeze was broken: {one_line(report.freeze_broken)}"] if report.freeze_broken else [],
        _health(report.health),
        [f"not told yet: {one_line(words)}" for words in report.untold],
        next_lines(report.next),
    )


def _releases(report: StatusReport, newest: str) -> str:
    """The release of all hosts; where they are on several, how many are on each, by their word."""
    on = Counter(release_text(host.release) for host in report.hosts.values() if host.release)
    if len(on) < 2:
        return newest
    first, *others = sorted(on, key=lambda name: (name != newest, -on[name]))
    return f"{first} on {on[first]}, " + ", ".join(f"{name} on {on[name]}" for name in others)


def _out_of_traffic(each: OutOfTraffic) -> str:
    edge = f"{each.balancer} on {each.on}"
    if each.unknown:
        return f"out of traffic: nobody can tell: {one_line(each.unknown)}"
    named = f" ({one_line(each.member)})" if each.member != each.host else ""
    by = f", in traffic before run {each.run}" if each.run else ""
    return f"out of traffic: {each.host}{named} at {edge}{by}"


def hold_text(report: HoldReport) -> str:
    """What a run that is held asks."""
    said = [f"answered: {one_line(report.answered)}"] if report.answered else []
    first = f"Run {report.run} of {report.target} is held."
    return page([first], held_lines(report.held), said, next_lines(report.next))


def _in_line(each: InLine) -> str:
    who = f"{one_line(each.person)} on {one_line(each.machine)}, since {each.since}"
    return f"in line: {each.place}. {who}, waits for the {each.waits_for}"


def _health(checks: Sequence[DayOfCheck]) -> list[str]:
    """The last day of each check, an hour a character."""
    return table((c.spark, c.name, _uptime(c), c.alert or "") for c in checks)


def _uptime(check: DayOfCheck) -> str:
    latency = f", p95 {check.p95_ms:.0f} ms" if check.p95_ms else ""
    return f"{100 * check.uptime:.2f} % passed{latency}"


def doctor_text(report: DoctorReport) -> str:
    """What is missing first, with how to get it."""
    findings = report.findings
    bad = [each for each in findings if each.ok is False]
    first = f"{report.target}: everything is there."
    if bad:
        first = f"{report.target}: {count_of(len(bad), 'thing')} missing or unreachable."
    marks = {True: "ok", False: "MISSING", None: "note"}
    order = sorted(findings, key=lambda each: each.ok is not False)
    rows = table((marks[each.ok], each.host or HERE, each.name, each.detail) for each in order)
    lines: list[str] = []
    for each, row in zip(order, rows, strict=True):
        lines.append(row)
        lines += block("get it: ", each.fix, "      ") if each.fix else []
    return page([first], lines, next_lines(report.next))


NOBODY = "a run that a power cut left no name of"


def unlock_text(report: UnlockReport) -> str:
    """Who holds a target, and whether it is free now."""
    reason = [one_line(report.reason)] if report.reason else []
    told = [f"run {one_line(report.given_up)} was given up as it is"] if report.given_up else []
    ended = [f"ended: {_command(each, each.host)}" for each in report.ended]
    work = [_at_work(command, each.host) for each in report.held for command in each.at_work]
    beyond = [
        f"may still be at work: {one_line(each)}; see that it is over before you deploy"
        for each in report.goes_on
    ]
    away = report.unreachable.items()
    gone = [f"{one_line(host)} was not asked: {one_line(why)}" for host, why in away]
    return page(
        [_held_by(report)],
        _leases(report.held),
        ended or work,
        beyond,
        gone,
        reason,
        told,
        next_lines(report.next),
    )


def _held_by(report: UnlockReport) -> str:
    where = " where it can be reached" if report.unreachable else ""
    if not report.held:
        return f"{report.target} is not locked{where}."
    names = (each.owner or (f"run {each.run}" if each.run else NOBODY) for each in report.held)
    owners = ", ".join(dict.fromkeys(one_line(name) for name in names))
    verb = "was held by" if report.freed else "is held by"
    after = f", and is free now{where}" if report.freed else ""
    return f"{report.target} {verb} {owners}{after}."


def _leases(held: Sequence[HeldLock]) -> list[str]:
    if not held:
        return []
    alive = {True: "alive", False: "gone", None: "may be alive"}
    rows = [("host", "owner", "run", "since", "expires", "at step", "holder")]
    for each in held:
        known = (each.host or HERE, each.owner, each.run, each.since, each.expires or "")
        rows.append((*known, each.step, "its run is over" if each.over else alive[each.alive]))
    return table(rows)


def _left(run: str, host: str) -> str:
    """A lease that is worth nothing."""
    return (
        f"left: {host} has the lease of run {one_line(run)}, which is over: the next run takes it"
    )


def _at_work(command: AtWork, host: str) -> str:
    """A command that is alive on a host."""
    return f"at work: {_command(command, host)}"


def _command(each: AtWork | EndedCommand, host: str | None) -> str:
    what = f"{one_line(each.step)} of run {one_line(each.run)}"
    return f"{what} on {one_line(host or HERE)}, process {each.pid}, since {each.since}"
