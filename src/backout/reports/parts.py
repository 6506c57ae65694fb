"""Paragraphs that several texts share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from backout.model import Verdict, duration
from backout.model.alike import grouped
from backout.reports.lines import one_line, table
from backout.reports.report import CheckReport, HeldStep, HostReport, Known

if TYPE_CHECKING:
    from backout.reports.states import HostStatus

SHOWN = 20
"""How many lines of a log or a failed step's output are shown."""
UNKNOWN = "no known release"


HERE = "this machine"
MANY = 12
"""Hosts that are in the same state have lines of their own up to this number."""


def host_lines(hosts: Mapping[str, HostReport | HostStatus]) -> list[str]:
    """A line for each host; where there are many, one for all that are in the same state."""
    told = [
        ((release_text(host.release), one_line(_host_state(host))), one_line(name))
        for name, host in hosts.items()
    ]
    if len(hosts) <= MANY:
        return table((name, *state) for state, name in told)
    same = grouped(told)
    rows = table((count_of(len(names), "host"), *state) for state, names in same.items())
    named = (f"      {', '.join(names)}" for names in same.values())
    return [line for pair in zip(rows, named, strict=True) for line in pair]


def _host_state(host: HostReport | HostStatus) -> str:
    uptime = None if isinstance(host, HostReport) else host.uptime
    return host.state or (f"up {duration(uptime)}" if uptime else "")


def note_lines(notes: Sequence[str], advice: str = "") -> list[str]:
    first = [f"advice: {one_line(advice)}"] if advice else []
    return first + [f"note: {one_line(note)}" for note in notes]


def held_lines(held: Sequence[HeldStep]) -> list[str]:
    """What a run is, or was, held for."""
    return [_held_line(each) for each in held]


def _held_line(each: HeldStep) -> str:
    place = f"{one_line(each.step)} on {one_line(each.host or HERE)}"
    if not each.answered_at:
        return f"HELD since {each.since} until {each.until}: {place}: {one_line(each.why)}"
    by = one_line(each.answered_by) or "nobody in time"
    return f"held at {place} from {each.since} to {each.answered_at}: {each.answer}, {by}"


def release_text(release: Known) -> str:
    """`release 42 (3f9c2e1)`; runs of before have it in words."""
    if not release:
        return UNKNOWN
    if isinstance(release, str):
        return f"release {one_line(release)}"
    commit = release.commit[:7]
    return f"release {release.number}" + (f" ({one_line(commit)})" if commit else "")


def bare_release(release: Known) -> str:
    """`42 (3f9c2e1)`."""
    return release_text(release).removeprefix("release ")


def titled(title: str, lines: list[str]) -> list[str]:
    return [f"{title}:", *lines] if lines else []


def next_lines(next: str, whole: str = "") -> list[str]:
    """The command to type; and where all of it can be read, unless that is the same."""
    following = next.strip()
    lines = [one_line(each) for each in following.splitlines() if each.strip()]
    told = [f"{'next:  ' if n == 0 else '       '}{line}" for n, line in enumerate(lines)]
    return (
        [f"all of it: {whole}", *told]
        if whole and whole.partition(" ")[2] not in following
        else told
    )


def block(title: str, text: str, indent: str) -> list[str]:
    """A title and a text of any number of lines, which stay under one another."""
    first, *rest = text.strip().splitlines() or [""]
    under = " " * len(title)
    return [f"{indent}{title}{first}", *(f"{indent}{under}{line}" for line in rest)]


def count_of(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def evidence_lines(output: str, *, whole: bool = False) -> list[str]:
    """The end of what was said, and how much came before it; or all of it."""
    lines = output.rstrip().splitlines()
    left_out = 0 if whole else max(0, len(lines) - SHOWN)
    head = [f"    … {left_out} lines before"] if left_out else []
    return head + [f"    {line}" for line in lines[left_out:]]


def proof_words(hosts: Collection[str], checks: Sequence[CheckReport]) -> str:
    parts = [count_of(len(hosts), "host")] if hosts else []
    passed = sum(check.verdict is Verdict.PASS for check in checks)
    if checks and passed == len(checks):
        parts.append(f"{count_of(passed, 'check')} {'passes' if passed == 1 else 'pass'}")
    elif checks:
        parts.append(f"{passed} of {count_of(len(checks), 'check')} pass")
    return ", ".join(parts)
