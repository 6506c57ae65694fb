"""`restart`: the service is another process afterwards, and stays up.

An exit code 0 of a restart proves nothing: systemd, PM2 and supervisor all give it for an
application that dies a moment later. The proof is identity: what serves afterwards must not be
what served before, must stay up for the soak, and must not have been restarted meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from backout.errors import BackoutError, Refused
from backout.model import Duration, Identity, Options, Result, Span, State, Undo
from backout.ports import Restarter, Work
from backout.steps import whose
from backout.steps.base import Kind

POLL = 0.25
"""Seconds between two looks at the service."""
GIVEN_UP = 2.0
"""Seconds that a backend must say of a service that it will not come up, to be believed."""
BEGINNING = 5.0
"""Seconds that a service which has only begun may take until it listens on its port."""
EVIDENCE = 20
"""Lines of the service's own log that a failed restart brings along."""

Fresh = Callable[[Identity], bool]
"""Whether this is not who served before."""


class RestartOptions(Options):
    """How long it may take to come up, and how long it must then stay up."""

    within: Span = 60.0
    soak: Duration | None = None


class Restart(Kind):
    """Lives in `settle`, which runs again after the undos: that is its way back."""

    Options: ClassVar[type[Options]] = RestartOptions
    undoes: ClassVar[bool] = True

    def describe(self, work: Work) -> str:
        return f"restart {_name(work)}, proved by its identity"

    def ready(self, work: Work, *, made: bool) -> None:
        """What cannot be seen can be neither proved nor put back as it was."""
        seen = _looked(work)
        name = _name(work)
        if seen.runs is None:
            words = f"cannot tell whether {name} runs: {seen.detail or 'nobody answered'}"
            raise Refused(f"{words}{'; ' if seen.obstacle else ''}{seen.obstacle}")
        if seen.obstacle and not (seen.absent and made):
            raise Refused(f"{name}: {seen.obstacle}")
        stays = whose.kept(work, seen)
        if stays:
            raise Refused(f"{name}: {stays}")

    def __init__(self) -> None:
        self._seen: Identity | None = None
        """Who served when the way back was resolved, a record ago; good for one attempt."""

    def before(self, work: Work) -> Undo:
        identity = self._seen = work.served() or work.restarter().identity()
        words = "restart again, after the undos"
        data = {"identity": identity.value, "told": identity.runs is not None}
        return Undo(text=words, data=data, summary=words)

    def act(self, work: Work) -> Result:
        restarter = work.restarter()
        if work.was_up is False:
            return _stopped(restarter, work)
        seen, self._seen = self._seen, None
        fresh = _fresh(seen or restarter.identity(), work)
        asked = restarter.restart(work.key)
        if asked.state is State.UNREACHABLE:
            return asked
        proved = prove(restarter, fresh, work)
        doubt = asked.saved.get("doubt")
        if proved.ok and doubt and work.was_up is None:
            return replace(proved, state=State.FAILED, reason=f"restarted, but {doubt}")
        return proved if proved.ok else _with_evidence(proved, asked, restarter)

    def recall(self, work: Work, undo: Undo) -> Result | None:
        """Another identity than the one on record means that the restart happened. Where there
        is none on record it is not known to have happened, and to restart again does no harm."""
        work.transport.recall(work.key, work.step.timeout)
        restarter = work.restarter()
        before = str(undo.data.get("identity", ""))
        if not undo.data.get("told", True) or not is_new(restarter.identity().value, before):
            return None
        return prove(restarter, lambda now: is_new(now.value, before), work)

    def undo(self, work: Work, undo: Undo) -> Result:  # noqa: ARG002 - the seam's form
        return Result(State.DONE)


def prove(restarter: Restarter, fresh: Fresh, work: Work) -> Result:
    """Wait until a fresh one is up, then watch it for the soak. What was not up before the run
    need not be up after the way back."""
    soak = work.options.soak if work.options.soak is not None else work.target.rollout.soak
    now = _come_up(restarter, fresh, work)
    proved = now if isinstance(now, Result) else _soaked(restarter.identity, now, soak, work)
    if proved.ok and not isinstance(now, Result):
        proved = _of_the_release(proved, now, work)
    if proved.ok or work.was_well or not work.was_up:
        return proved
    return Result(State.DONE, reason=f"{proved.reason}; it was not up before this run either")


def _of_the_release(proved: Result, now: Identity, work: Work) -> Result:
    """A new process is not yet the new code."""
    try:
        old = whose.old(work, now)
        elsewhere = "" if old or work.was_up is not None else whose.elsewhere(work, now)
    except Refused as error:
        return Result(State.FAILED, reason=f"restarted, but nobody can tell of what: {error.what}")
    if elsewhere:
        work.say(f"{_name(work)} {elsewhere}")
    return Result(State.FAILED, reason=f"restarted, but it {old}") if old else proved


def _looked(work: Work) -> Identity:
    """Who serves. One that has only begun is given a moment to listen."""
    restarter = work.restarter()
    first = seen = restarter.identity()
    limit = work.clock.monotonic() + BEGINNING - (first.uptime or 0.0)
    while (seen.runs is None or (seen.obstacle and seen.runs)) and work.clock.monotonic() < limit:
        work.clock.sleep(POLL)
        seen = restarter.identity()
        if seen.value and first.value not in ("", seen.value):
            return replace(seen, obstacle="")  # a crash loop: it never lived to listen
    return seen


def _name(work: Work) -> str:
    service = work.target.service_on(work.host)
    return f"{service.name} ({service.backend})" if service else "the service"


def _fresh(before: Identity, work: Work) -> Fresh:
    """Who is new. Where nobody could tell who served, it must be younger than this."""
    asked = work.clock.monotonic()

    def younger(now: Identity) -> bool:
        return now.uptime is not None and now.uptime < work.clock.monotonic() - asked

    return younger if before.runs is None else lambda now: is_new(now.value, before.value)


def is_new(now: str, before: str) -> bool:
    """Whether something serves now, and nothing of what served before does: an identity is one
    word for each serving process."""
    return bool(now) and set(now.split()).isdisjoint(before.split())


def _come_up(restarter: Restarter, fresh: Fresh, work: Work) -> Identity | Result:
    """The fresh one, or why there is none. Of what its backend has given up nothing is
    awaited: only long enough to tell that from the moment between two processes."""
    clock = work.clock
    limit, given_up = clock.monotonic() + work.options.within, None
    while True:
        began = clock.monotonic()
        seen, now = restarter.identity(), clock.monotonic()
        if seen.up and fresh(seen):
            return seen
        if not (seen.over or seen.runs is False):
            given_up = None
        elif given_up is None:
            given_up = now
        elif now - given_up >= GIVEN_UP:
            return Result(State.FAILED, reason=f"it will not come up: {seen.detail}")
        if now >= limit:
            return _not_new(seen, work.options.within)
        clock.sleep(max(POLL, now - began))  # who looks must not keep it from coming up


def _not_new(now: Identity, within: float) -> Result:
    if now.up and now.value:
        reason = "the process that answered before the restart still serves"
    else:
        reason = f"not up within {within:g} s: {now.detail or 'the backend does not know it'}"
    return Result(State.FAILED, reason=reason)


def _soaked(look: Callable[[], Identity], first: Identity, soak: float, work: Work) -> Result:
    """Whether it stays: by the look that found it, and every one after that until the soak ends."""
    now, end = first, work.clock.monotonic() + soak
    while True:
        if now.runs is not None or work.clock.monotonic() >= end + BEGINNING:
            if fallen := _fallen(now, first, soak):
                return Result(State.FAILED, reason=fallen)
            if work.clock.monotonic() >= end:
                return Result(State.DONE, saved={"identity": now.value})
        work.clock.sleep(min(POLL, soak) if now.runs is not None else POLL)
        now = look()


def _fallen(now: Identity, first: Identity, soak: float) -> str:
    """Why what came up does not count, or nothing."""
    if now.value != first.value or not now.up:
        return f"did not stay up for {soak:g} s: {_change(now)}"
    if now.restarts is not None and now.restarts != first.restarts:
        return f"restarted by itself {now.restarts} times"
    return f"restarted, but {now.outdated}" if now.outdated else ""


def _change(now: Identity) -> str:
    return now.detail if not now.up else "another process took its place"


def _stopped(restarter: Restarter, work: Work) -> Result:
    """It did not run before the run: the way back is that it does not run."""
    restarter.stop(work.key)
    limit = work.clock.monotonic() + work.options.within
    while (seen := restarter.identity()).runs is not False:
        if work.clock.monotonic() >= limit:
            words = f"could not be stopped, as it was before this run: {seen.detail}"
            return Result(State.FAILED, reason=words)
        work.clock.sleep(POLL)
    return Result(State.DONE, reason="stopped, as it was before this run")


def _with_evidence(proved: Result, asked: Result, restarter: Restarter) -> Result:
    words = "" if asked.ok else asked.stderr.strip() or asked.stdout.strip() or asked.reason
    reason = f"{proved.reason} ({words})" if words else proved.reason
    return replace(proved, reason=reason, exit_code=asked.exit_code, stderr=_log(restarter))


def _log(restarter: Restarter) -> str:
    """Evidence that there may be: the restart has failed whether or not it can be read."""
    try:
        return restarter.logs(EVIDENCE)
    except BackoutError as error:
        return f"(no log: {error.what})"
