"""What a host says of itself: the release on its record, and the code on its disk."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace

from backout.errors import BackoutError
from backout.model import Command, Host, HostEnd, HostState, Release, Target
from backout.model.repository import ALONE
from backout.ports import Transport
from backout.runs import release_file
from backout.runs.parts import side_by_side
from backout.runs.release_file import HostRecord

Reach = Callable[[str], Transport]


def told(end: HostEnd, host: Host, target: Target, reach: Reach) -> HostEnd:
    """The end of a host, with the release that the host itself says it is on; none when it cannot
    be asked, says nothing, or says one thing and has another on its disk."""
    if end.state is HostState.STUCK:
        return end
    try:
        transport = reach(host.name)
        record, commit = _asked(transport, target, target.home_on(host))
        release = record.release if record else None
        differs = _differs(release, commit)
    except BackoutError as error:
        return replace(end, release=None, why=end.why or f"it cannot be asked: {error.what}")
    if differs:
        return replace(end, release=None, why=end.why or differs)
    return replace(end, release=release)


def all_told(ends: Mapping[str, HostEnd], target: Target, reach: Reach) -> dict[str, HostEnd]:
    """The ends of a run's hosts, each with what that host says of itself."""

    def ask(name: str) -> HostEnd:
        return told(ends[name], target.hosts[name], target, reach)

    return dict(zip(ends, side_by_side(ask, tuple(ends)), strict=True))


LIVE = {
    "checkout": f"({ALONE}; git -C {{d}} rev-parse --verify -q HEAD || true)",
    "releases": "p=$(readlink {d}/current) || p='no release'; p=${{p##*/}}; echo \"${{p#*-}}\"",
}
"""What tells, by strategy, which code is live, whatever was written down."""


def commit_on(transport: Transport, target: Target) -> str:
    """The commit whose code is live on a host, or its beginning, or what is there instead; empty
    where nobody can tell. Raises Unreachable."""
    script = _live(target)
    return transport.run(Command(script, timeout=60.0)).stdout.strip() if script else ""


def _live(target: Target) -> str:
    source = target.source
    if source is None or source.strategy not in LIVE or not source.directory:
        return ""
    return LIVE[source.strategy].format(d=shlex.quote(source.directory))


_AND = "=== live"


def _asked(transport: Transport, target: Target, home: str) -> tuple[HostRecord | None, str]:
    """What is on record, and which commit is live: one question where there are two."""
    script = _live(target)
    if not script:
        return release_file.read(transport, home), ""
    both = Command(
        f"{release_file.shown(transport, home)}\necho {shlex.quote(_AND)}\n{script}", timeout=60.0
    )
    record, _, commit = transport.run(both).stdout.rpartition(f"{_AND}\n")
    return release_file.parsed(record), commit.strip()


def _differs(release: Release | None, commit: str) -> str:
    if release is None or not commit or not release.commit or release.commit.startswith(commit):
        return ""
    return f"its record says release {release}, its disk has {commit[:10]}"
