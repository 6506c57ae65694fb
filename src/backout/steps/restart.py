"""`restart`: the service is another process afterwards, and stays up.

An exit code 0 of a restart proves nothing: systemd, PM2 and supervisor all give it for an
application that dies a moment later. The proof is identity: what serves afterwards must not be
what served before, must stay up for the soak, and must not have been restarted meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from backout.errors import BackoutError
from backout.model import Duration, Identity, Options, Result, State, Undo
from backout.ports import Restarter, Work
from backout.steps.base import Kind

POLL = 0.25
"""Seconds between two looks at the service."""
EVIDENCE = 20
"""Lines of the service's own log that a failed restart brings along."""


class RestartOptions(Options):
    """How long it may take to come up, and how long it must then stay up."""

    within: Duration = 60.0
    soak: Duration | None = None


class Restart(Kind):
    """Lives in `settle`, which runs again after the undos: that is its way back."""

    Options: ClassVar[type[Options]] = RestartOptions
    undoes: ClassVar[bool] = True

    def describe(self, work: Work) -> str:
        service = work.target.service_on(work.host)
        name = f"{service.name} ({service.backend})" if service else "the service"
        return f"restart {name}, proved by its identity"

    def before(self, work: Work) -> Undo:
        identity = work.restarter().identity()
        words = "restart again, after the undos"
        return Undo(text=words, data={"identity": identity.value}, summary=words)

    def act(self, work: Work) -> Result:
        restarter = work.restarter()
        if work.was_up is False:
            return _stopped(restarter, work)
        before = restarter.identity()
        asked = restarter.restart(work.key)
        if asked.state is State.UNREACHABLE:
            return asked
        proved = prove(restarter, before.value, work)
        return proved if proved.ok else _with_evidence(proved, asked, restarter)

    def recall(self, work: Work, undo: Undo) -> Result | None:
        """Another identity than the one on record means that the restart happened."""
        work.transport.recall(work.key, work.step.timeout)
        restarter = work.restarter()
        before = str(undo.data.get("identity", ""))
        if not is_new(restarter.identity().value, before):
            return None
        return prove(restarter, before, work)

    def undo(self, work: Work, undo: Undo) -> Result:  # noqa: ARG002 - the seam's form
        return Result(State.DONE)


def prove(restarter: Restarter, before: str, work: Work) -> Result:
    """Wait for another identity than `before`, then watch it for the soak."""
    soak = work.options.soak if work.options.soak is not None else work.target.rollout.soak
    now = restarter.identity()
    limit = work.clock.monotonic() + work.options.within
    while not (now.up and is_new(now.value, before)):
        if work.clock.monotonic() >= limit:
            return _not_new(now, work.options.within)
        work.clock.sleep(POLL)
        now = restarter.identity()
    return _soaked(restarter.identity, now, soak, work)


def is_new(now: str, before: str) -> bool:
    """Whether something serves now, and nothing of what served before does: an identity is one
    word for each serving process."""
    return bool(now) and set(now.split()).isdisjoint(before.split())


def _not_new(now: Identity, within: float) -> Result:
    if now.up and now.value:
        reason = "the process that answered before the restart still serves"
    else:
        reason = f"not up within {within:g} s: {now.detail or 'the backend does not know it'}"
    return Result(State.FAILED, reason=reason)


def _soaked(look: Callable[[], Identity], first: Identity, soak: float, work: Work) -> Result:
    end = work.clock.monotonic() + soak
    while True:
        now = look()
        if now.value != first.value or not now.up:
            return Result(State.FAILED, reason=f"did not stay up for {soak:g} s: {_change(now)}")
        if now.restarts is not None and now.restarts != first.restarts:
            return Result(State.FAILED, reason=f"restarted by itself {now.restarts} times")
        if now.outdated:
            return Result(State.FAILED, reason=f"restarted, but {now.outdated}")
        if work.clock.monotonic() >= end:
            return Result(State.DONE, saved={"identity": now.value})
        work.clock.sleep(min(POLL, soak))


def _change(now: Identity) -> str:
    return now.detail if not now.up else "another process took its place"


def _stopped(restarter: Restarter, work: Work) -> Result:
    """It did not run before the run: the way back is that it does not run."""
    restarter.stop(work.key)
    limit = work.clock.monotonic() + work.options.within
    while restarter.identity().up:
        if work.clock.monotonic() >= limit:
            return Result(State.FAILED, reason="could not be stopped, as it was before this run")
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
