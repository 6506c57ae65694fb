"""What is seen of the hosts from outside, and whether what a tool said of them is so.

Nothing here asks a tool: a host is the release that its `current` names, and the one that answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """A host at one moment: the numbers of releases, empty where there is none."""

    disk: str
    answer: str

    def on(self, release: str) -> bool:
        return self.disk == self.answer == release


State = Mapping[str, Host]


@dataclass(frozen=True)
class Look:
    """All hosts at one moment."""

    at: float
    state: State


def whole(state: State, release: str) -> bool:
    """Whether all hosts have this release, and answer with it."""
    return all(host.on(release) for host in state.values())


def truth(code: int, state: State, wanted: Sequence[str]) -> bool:
    """Whether an exit code is so: 0 says that one of these releases is on all hosts, and answers;
    all else says that it is not."""
    return (code == 0) == any(whole(state, release) for release in wanted)


def away(looks: Sequence[Look], old: str) -> float | None:
    """For how long the old release did not answer everywhere: from the first host that had
    another, or none, until all have it again for good. None when that has not come."""
    if not looks or not _answers(looks[-1], old):
        return None
    left = next((look.at for look in looks if not _answers(look, old)), None)
    if left is None:
        return 0.0
    last = max(n for n, look in enumerate(looks) if not _answers(look, old))
    return looks[last + 1].at - left


def told(state: State, names: Mapping[str, str]) -> str:
    """The hosts in a few words: those that are alike together; names gives releases a word."""
    kinds: dict[str, list[str]] = {}
    for name, host in state.items():
        disk, answer = (names.get(each, each) or "nothing" for each in (host.disk, host.answer))
        kind = disk if disk == answer else f"{disk} on disk, {answer} answers"
        kinds.setdefault(kind, []).append(name)
    if len(kinds) == 1:
        return f"all {next(iter(kinds))}"
    return "; ".join(f"{', '.join(hosts)}: {kind}" for kind, hosts in kinds.items())


def _answers(look: Look, release: str) -> bool:
    return all(host.answer == release for host in look.state.values())
