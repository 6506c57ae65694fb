"""What people are told of a run while they do not look: a title and a body. Pure.

Each says who, what, where, how long, and what to type next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backout.model import duration
from backout.model.alike import some
from backout.reports.lines import one_line
from backout.reports.parts import HERE, release_text
from backout.reports.report import Known

Words = tuple[str, str]
"""A title, and a body."""


@dataclass(frozen=True, slots=True)
class About:
    """The run that is told of, as it was begun."""

    run: str
    verb: str
    """`deploy`, `rollback`, or the runbook of another run."""
    target: str
    by: str
    hosts: tuple[str, ...] = ()
    start: Known = None
    """The release that it began on."""
    to: Known = None
    ships: tuple[str, ...] = ()
    """What it brings, or takes back: commits with their subjects."""
    remarks: tuple[str, ...] = ()
    """What is out of the ordinary, such as a freeze that is broken."""


def begun(about: About) -> Words:
    """All is looked at and confirmed: what follows changes something."""
    return _told(about, f"{_what(about)} has begun", [*about.ships], f"{_status(about)}")


def deployed(about: About, *, proved: bool, without: Sequence[str], seconds: float) -> Words:
    """The run has succeeded; `without` names hosts that it left as they were."""
    end = "is deployed and proved" if proved else "is deployed; nothing proves it"
    left = [f"not on {some(without)}: taken back, within max_failures"] if without else []
    lines = [*about.ships, *left, _took(seconds)]
    return _told(about, f"{release_text(about.to)} {end}", lines, _status(about))


def rolled_back(about: About, seconds: float) -> Words:
    """A rollback has come to its release."""
    title = f"rolled back to {release_text(about.to)}, and proved"
    return _told(about, title, [*about.ships, _took(seconds)], _status(about))


def backed_out(about: About, why: str, seconds: float) -> Words:
    """It did not succeed, and all is as it was before."""
    title = f"{_what(about)} is backed out: {_first(why)}"
    lines = [*about.ships, _took(seconds), f"why: {one_line(why)}"]
    return _told(about, title, lines, f"invoke show {about.run}", end=about.start)


def needs_person(about: About, why: str, hosts: Iterable[str], next: str, seconds: float) -> Words:
    """It cannot go on by itself."""
    title = f"{_what(about)} NEEDS A PERSON: {_first(why)}"
    lines = [*about.ships, _took(seconds), f"why: {one_line(why)}", *hosts]
    return _told(about, title, lines, next)


def awaits_approval(about: About, what: str, next: str) -> Words:
    """It waits for somebody's yes."""
    title = f"{_what(about)} waits for an approval"
    lines = [*about.ships, f"of: {one_line(what)}" if what else ""]
    return _told(about, title, lines, next or f"invoke approve {about.run}")


def _told(about: About, title: str, lines: Sequence[str], next: str, end: Known = None) -> Words:
    where = some(about.hosts) if about.hosts else HERE
    body = (
        f"by {one_line(about.by)}, run {about.run}",
        f"back on {release_text(end)}" if end else _from_to(about),
        f"on {one_line(where)}",
        *about.remarks,
        *lines,
        f"next: {next}",
    )
    return f"[{about.target}] {one_line(title)}", "\n".join(line for line in body if line)


def _what(about: About) -> str:
    if about.verb == "rollback":
        return f"a rollback to {release_text(about.to)}"
    return f"{about.verb} of {release_text(about.to)}"


def _from_to(about: About) -> str:
    return f"from {release_text(about.start)} to {release_text(about.to)}"


def _status(about: About) -> str:
    return f"invoke status --target {about.target}"


def _took(seconds: float) -> str:
    return f"took {duration(max(0.0, seconds))}"


def _first(why: str) -> str:
    """As much of it as a title holds."""
    line = one_line(why)
    return line if len(line) <= 120 else f"{line[:119]}…"
