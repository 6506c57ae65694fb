"""Whether a host's service runs, as its restart backend tells: runs, does not run, cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backout.errors import BackoutError
from backout.model import Finding, Identity, Verdict
from backout.ports import Clock, Restarter
from backout.runs.parts import side_by_side
from backout.runs.worker import Worker

DOUBT = 2.0
"""Seconds that a restart backend may be unable to tell who serves, before that is its answer."""


def told(seen: Identity) -> bool:
    """Whether it could tell."""
    return seen.runs is not None


def serving(
    restarter: Callable[[], Restarter], clock: Clock, enough: Callable[[Identity], bool] = told
) -> Identity | None:
    """Who serves; None where there is nobody to ask. A moment in which that is not `enough` is
    given time to pass."""
    limit = clock.monotonic() + DOUBT
    while True:
        try:
            seen = restarter().identity()
        except BackoutError:
            return None
        if enough(seen) or clock.monotonic() >= limit:
            return seen
        clock.sleep(DOUBT / 8)


def who_serves(worker: Worker, host: str) -> Identity | None:
    """Who does on one of the run's hosts; None where it has no service."""
    parts = worker.parts
    if worker.plan.target.service_on(worker.host(host)) is None:
        return None
    nobody = Identity(up=False, known=False)
    return serving(lambda: parts.restarter(host), parts.clock) or nobody


def stopped(worker: Worker, hosts: Sequence[str]) -> tuple[Finding, ...]:
    """The services on these hosts, where they ran, that do not run now, or of which nobody can
    tell."""

    def look(host: str) -> Finding | None:
        service = worker.plan.target.service_on(worker.host(host))
        if service is None:
            return None
        parts = worker.parts
        now = serving(lambda: parts.restarter(host), parts.clock, lambda seen: seen.runs is True)
        if now is not None and now.runs:
            return None
        down = now is not None and now.runs is False
        words = "it does not run" if down else "nobody can tell whether it runs"
        reason = f"{words}: {now.detail}" if now and now.detail else words
        verdict = Verdict.FAIL if down else Verdict.INCONCLUSIVE
        return Finding(f"service {service.name}", host, verdict, reason=reason)

    return tuple(found for found in side_by_side(look, hosts) if found)
