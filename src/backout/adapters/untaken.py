"""What a run is told that may not take a host."""

from __future__ import annotations

from backout.adapters.transports.noted_shell import ShellTransport
from backout.errors import Outdated, Refused, TakenOver


class Untaken(Refused):
    """A host whose lease could not be written: it is as it was."""


def overtaken(transport: ShellTransport, run: str, last: str, target: str) -> Refused:
    """Run `last` was there since: a run that goes on would build on what it left, or take it back
    from beneath the other."""
    name = transport.host.name
    return Refused(
        f"run {run} cannot go on: {f'run {last}' if last else 'another'} was on {name} since",
        where=name,
        state="nothing was changed",
        next=f"invoke status --target {target}; then: invoke unlock --target {target} --force",
    )


def too_late(transport: ShellTransport, run: str, target: str) -> Outdated:
    """A process that is gone does not hear it; one whose journal was restored from a copy does."""
    name = transport.host.name
    return Outdated(
        f"a later process than this one has gone on with run {run} on {name}, and this journal does"
        " not know of it: is it an older copy?",
        where=name,
        state="nothing was changed",
        next=f"invoke status --target {target}; go back where that run was started, or give it up:"
        f" invoke unlock --target {target} --force",
    )


def taken_over(transport: ShellTransport, run: str, by: str, target: str) -> TakenOver:
    """Another machine has the run by now."""
    return TakenOver(
        f"run {run} was taken over by {by or 'another machine'}",
        where=transport.host.name,
        state="nothing was changed; what becomes of that run is decided there",
        next=f"invoke status --target {target}",
    )


def one_machine(one: str, other: str, why: str) -> Refused:
    """Its lease, its notes and its release would be those of two hosts."""
    return Refused(
        f"{' and '.join(sorted((one, other)))} are one machine: {why}",
        where=other,
        next="keep one of the two in the inventory",
    )
