"""`restart` of a service in its place: the old one ends, the new one begins."""

from __future__ import annotations

from dataclasses import replace

from backout.errors import Refused
from backout.model import Identity, Result, State, Undo
from backout.ports import Restarter, StepContext
from backout.steps import proving, whose
from backout.steps.base import Kind
from backout.steps.proving import Fresh


class InPlace(Kind):
    """Its way back is to be restarted again, after the undos."""

    def describe(self, work: StepContext) -> str:
        return f"restart {proving.name(work)}, proved by its identity"

    def ready(self, work: StepContext, *, made: bool) -> None:
        """What cannot be seen can be neither proved nor put back as it was."""
        seen = proving.looked(work, work.restarter())
        name = proving.name(work)
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

    def before(self, work: StepContext) -> Undo:
        identity = self._seen = work.served() or work.restarter().identity()
        words = "restart again, after the undos"
        data = {"identity": identity.value, "told": identity.runs is not None}
        return Undo(text=words, data=data, summary=words)

    def act(self, work: StepContext) -> Result:
        restarter = work.restarter()
        if work.was_up is False:
            return _stopped(restarter, work)
        seen, self._seen = self._seen, None
        fresh = proving.fresh(seen or restarter.identity(), work)
        asked = restarter.restart(work.key)
        if asked.state is State.UNREACHABLE:
            return asked
        if asked.state is State.UNKNOWN:  # nothing is proved, nor undone, beside one that goes on
            work.transport.recall(work.key, work.step.timeout)
        proved = prove(restarter, fresh, work)
        doubt = asked.saved.get("doubt")
        if proved.ok and doubt and work.was_up is None:
            return replace(proved, state=State.FAILED, reason=f"restarted, but {doubt}")
        return proved if proved.ok else proving.with_evidence(proved, asked, restarter)

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        """Another identity than the one on record means that the restart happened. Where there
        is none on record it is not known to have happened, and to restart again does no harm."""
        work.transport.recall(work.key, work.step.timeout)
        restarter = work.restarter()
        before = str(undo.data.get("identity", ""))
        if not undo.data.get("told", True) or not proving.is_new(
            restarter.identity().value, before
        ):
            return None
        if work.undoing:  # that it is over is all that is asked
            return Result(State.UNKNOWN, reason="it was interrupted")
        return prove(restarter, lambda now: proving.is_new(now.value, before), work)

    def undo(self, work: StepContext, undo: Undo) -> Result:  # noqa: ARG002 - the seam's form
        return Result(State.DONE)


def prove(restarter: Restarter, fresh: Fresh, work: StepContext) -> Result:
    """Wait until a fresh one is up, then watch it for the soak. What was not up before the run
    need not be up after the way back."""
    now = proving.come_up(restarter, fresh, work)
    proved = now if isinstance(now, Result) else proving.stays(restarter, now, work)
    if proved.ok or work.was_well or not work.was_up:
        return proved
    return Result(State.DONE, reason=f"{proved.reason}; it was not up before this run either")


def _stopped(restarter: Restarter, work: StepContext) -> Result:
    """It did not run before the run: the way back is that it does not run."""
    restarter.stop(work.key)
    limit = work.clock.monotonic() + work.options.within
    while (seen := restarter.identity()).runs is not False:
        if work.clock.monotonic() >= limit:
            words = f"could not be stopped, as it was before this run: {seen.detail}"
            return Result(State.FAILED, reason=words)
        work.clock.sleep(proving.POLL)
    return Result(State.DONE, reason="stopped, as it was before this run")
