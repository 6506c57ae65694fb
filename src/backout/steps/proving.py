"""The proof of a restart: what serves now is new, stays up, and is of the release.

An exit code 0 of a restart proves nothing: systemd, PM2 and supervisor all give it for an
application that dies a moment later. The proof is identity: what serves afterwards must not be
what served before, must stay up for the soak, and must not have been restarted meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from backout.errors import BackoutError, Refused
from backout.model import EVIDENCE, Identity, Result, State
from backout.ports import Restarter, StepContext
from backout.steps import whose

POLL = 0.25
"""Seconds between two looks at the service."""
SOON = 0.05
"""Seconds to the second look at one that is to come up; twice as long to each that follows."""
GIVEN_UP = 2.0
"""Seconds that a backend must say of a service that it will not come up, to be believed."""
BEGINNING = 5.0
"""Seconds that a service which has only begun may take until it listens on its port."""

Fresh = Callable[[Identity], bool]
"""Whether this is not who served before."""


def name(work: StepContext) -> str:
    service = work.target.service_on(work.host)
    return f"{service.name} ({service.backend})" if service else "the service"


def looked(work: StepContext, restarter: Restarter) -> Identity:
    """Who serves. One that has only begun is given a moment to listen."""
    first = seen = restarter.identity()
    limit = work.clock.monotonic() + BEGINNING - (first.uptime or 0.0)
    while (seen.runs is None or (seen.obstacle and seen.runs)) and work.clock.monotonic() < limit:
        work.clock.sleep(POLL)
        seen = restarter.identity()
        if seen.value and first.value not in ("", seen.value):
            return replace(seen, obstacle="")  # a crash loop: it never lived to listen
    return seen


def fresh(before: Identity, work: StepContext) -> Fresh:
    """Who is new. Where nobody could tell who served, it must be younger than this."""
    asked = work.clock.monotonic()

    def younger(now: Identity) -> bool:
        return now.uptime is not None and now.uptime < work.clock.monotonic() - asked

    return younger if before.runs is None else lambda now: is_new(now.value, before.value)


def is_new(now: str, before: str) -> bool:
    """Whether something serves now, and nothing of what served before does: an identity is one
    word for each serving process."""
    return bool(now) and set(now.split()).isdisjoint(before.split())


def same(now: str, before: str) -> bool:
    """Whether something serves now, and all of it served before."""
    return bool(now) and set(now.split()) <= set(before.split())


def come_up(restarter: Restarter, new: Fresh, work: StepContext) -> Identity | Result:
    """The fresh one, or why there is none. Of what its backend has given up nothing is
    awaited: only long enough to tell that from the moment between two processes."""
    clock = work.clock
    limit, given_up, pause = clock.monotonic() + work.options.within, None, SOON
    while True:
        began = clock.monotonic()
        seen, now = restarter.identity(), clock.monotonic()
        if seen.up and new(seen):
            return seen
        if not (seen.over or seen.runs is False):
            given_up = None
        elif given_up is None:
            given_up = now
        elif now - given_up >= GIVEN_UP:
            return Result(State.FAILED, reason=f"it will not come up: {seen.detail}")
        if now >= limit:
            return _not_new(seen, work.options.within)
        clock.sleep(max(pause, now - began))  # who looks must not keep it from coming up
        pause = min(POLL, 2 * pause)


def _not_new(now: Identity, within: float) -> Result:
    if now.up and now.value:
        reason = "the process that answered before the restart still serves"
    else:
        reason = f"not up within {within:g} s: {now.detail or 'the backend does not know it'}"
    return Result(State.FAILED, reason=reason)


def stays(restarter: Restarter, now: Identity, work: StepContext) -> Result:
    """Watch what is up for the soak; and it must be of the release."""
    soak = work.options.soak if work.options.soak is not None else work.target.rollout.soak
    proved = _soaked(restarter.identity, now, soak, work)
    return _of_the_release(proved, now, work) if proved.ok else proved


def _of_the_release(proved: Result, now: Identity, work: StepContext) -> Result:
    """A new process is not yet the new code."""
    try:
        old, elsewhere = whose.doubts(work, now)
    except Refused as error:
        return Result(State.FAILED, reason=f"restarted, but nobody can tell of what: {error.what}")
    if elsewhere:
        work.say(f"{name(work)} {elsewhere}")
    return Result(State.FAILED, reason=f"restarted, but it {old}") if old else proved


def _soaked(
    look: Callable[[], Identity], first: Identity, soak: float, work: StepContext
) -> Result:
    """Whether it stays: by the look that found it, and every one after that until the soak ends.
    Of several processes the last may come up later: it is watched from then on."""
    now, end = first, work.clock.monotonic() + soak
    while True:
        if now.runs is not None or work.clock.monotonic() >= end + BEGINNING:
            if fallen := _fallen(now, first, soak):
                return Result(State.FAILED, reason=fallen)
            first = now
            if work.clock.monotonic() >= end:
                return Result(State.DONE, saved={"identity": now.value})
        work.clock.sleep(min(POLL, soak) if now.runs is not None else POLL)
        now = look()


def _fallen(now: Identity, first: Identity, soak: float) -> str:
    """Why what came up does not count, or nothing."""
    stayed = now.value == first.value or same(first.value, now.value)
    if not (now.up and stayed):
        return f"did not stay up for {soak:g} s: {_change(now)}"
    if now.restarts is not None and now.restarts != first.restarts:
        return f"restarted by itself {now.restarts} times"
    return f"restarted, but {now.outdated}" if now.outdated else ""


def _change(now: Identity) -> str:
    return now.detail if not now.up else "another process took its place"


def with_evidence(proved: Result, asked: Result, restarter: Restarter) -> Result:
    words = "" if asked.ok else asked.stderr.strip() or asked.stdout.strip() or asked.reason
    reason = f"{proved.reason} ({words})" if words else proved.reason
    return replace(proved, reason=reason, exit_code=asked.exit_code, stderr=_log(restarter))


def _log(restarter: Restarter) -> str:
    """Evidence that there may be: the restart has failed whether or not it can be read."""
    try:
        return restarter.logs(EVIDENCE)
    except BackoutError as error:
        return f"(no log: {error.what})"
