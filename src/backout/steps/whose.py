"""Whose code is it? A new process is not yet the new code: what it runs from must be the release.

Only `releases` has several releases side by side. There a directory that was reached through the
link `current` may stay what it was, whatever the link says now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from shlex import quote

from backout.errors import BackoutError
from backout.model import Identity
from backout.ports import StepContext
from backout.steps.script import read, some


@dataclass(frozen=True, slots=True)
class Releases:
    """A host's releases: their directory, as it is called and where it really is, and the one
    that is live."""

    directories: tuple[str, ...]
    live: str

    @classmethod
    def of(cls, work: StepContext) -> Releases | None:
        """None where the code does not come in releases. Raises Refused."""
        source = work.target.source
        if source is None or source.strategy != "releases" or not source.directory:
            return None
        directory = source.directory.rstrip("/")
        script = f"""\
cd -- {quote(directory)} 2>/dev/null || exit 0
echo "real=$(pwd -P)"
echo "live=$(readlink current || :)\""""
        facts = read(work.transport, script, f"{directory} on {work.transport.host.name}")
        real = [*facts["real"], directory][0]
        return cls((directory, real), "".join(facts["live"]).rpartition("/")[2])

    def names(self, paths: Iterable[str]) -> dict[str, str]:
        """The releases that these paths are of, each with such a path."""
        found: dict[str, str] = {}
        for path in paths:
            for directory in self.directories:
                if path.startswith(f"{directory}/releases/"):
                    name = path.removeprefix(f"{directory}/releases/").split("/")[0]
                    found.setdefault(name.removesuffix(" (deleted)"), path)
        return found


def kept(work: StepContext, identity: Identity) -> str:
    """Why a restart cannot bring a release here; empty when it can. Raises Refused."""
    releases = Releases.of(work) if identity.pinned else None
    for path in releases.names(identity.pinned).values() if releases else ():
        current = f"{releases.directories[0]}/current" if releases else ""
        return (
            f"it would run from {path} again, whatever {current} points to:"
            f" start it anew with {current} itself as its directory (PM2: `cwd: {current}`)"
        )
    return ""


def old(work: StepContext, identity: Identity) -> str:
    """Which other release than the live one something of it runs from; empty when none."""
    return _old(Releases.of(work) if identity.paths else None, identity)


def doubts(work: StepContext, identity: Identity) -> tuple[str, str]:
    """The same, and on the way forward what to look at when nothing of it is from where the code
    goes, which proves nothing: it may be built or installed from there. Asked in one go."""
    releases = Releases.of(work) if identity.paths else None
    words = _old(releases, identity)
    if words or not identity.paths or work.was_up is not None:
        return words, ""
    return "", _elsewhere(releases.directories if releases else _places(work), identity)


def _old(releases: Releases | None, identity: Identity) -> str:
    if releases is None or not releases.live:
        return ""
    others = releases.names(identity.paths)
    others.pop(releases.live, None)
    paths = ", ".join(sorted(others.values()))
    return f"runs from {paths}, and {releases.live} is live" if others else ""


def _elsewhere(places: Sequence[str], identity: Identity) -> str:
    within = tuple(f"{place}/" for place in places)
    if not places or any(f"{path}/".startswith(within) for path in identity.paths):
        return ""
    return f"runs from {some(identity.paths)}: nothing of that is in {places[0]}"


def _places(work: StepContext) -> Sequence[str]:
    """Where a checkout is, as it is called and where it really is; nowhere without one."""
    source = work.target.source
    if source is None or source.strategy != "checkout" or not source.directory:
        return ()
    directory = source.directory.rstrip("/")
    script = f'cd -- {quote(directory)} 2>/dev/null && echo "real=$(pwd -P)" || :'
    return (directory, *read(work.transport, script, directory)["real"])


def in_use(work: StepContext) -> frozenset[str]:
    """The releases that the service runs from, or would be started from again."""
    if work.target.service_on(work.host) is None:
        return frozenset()
    try:
        seen, releases = work.served() or work.restarter().identity(), Releases.of(work)
    except BackoutError:
        return frozenset()
    return frozenset(releases.names((*seen.paths, *seen.pinned)) if releases else ())
