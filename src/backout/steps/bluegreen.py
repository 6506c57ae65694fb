"""`restart` of a service with two slots: the new one comes up beside the old one.

The idle slot is started and proved by itself, then all traffic moves to it by one write, and the
old one stays. So the way back is to move traffic again, before anything else is undone; when the
rest is undone, the new one is stopped. Whatever is done here leads on from what is there: where
traffic goes to, and which processes run, are asked each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backout.errors import Refused
from backout.model import Identity, Result, State, Undo
from backout.ports import Slotted, StepContext
from backout.steps import proving, whose
from backout.steps.base import Kind

MOVE, HOME = "move", "home"
"""The parts of an attempt that move traffic: there, and back before another attempt."""


class BlueGreen(Kind):
    """What `restart` does where `service.strategy` is `bluegreen`."""

    def __init__(self) -> None:
        self._idle: Identity | None = None
        """Who ran in the idle slot when the way back was resolved."""

    def describe(self, work: StepContext) -> str:
        return (
            f"start {proving.name(work)} in its idle slot, beside the live one; prove it there,"
            " then move traffic; the old one stays for the way back"
        )

    def ready(self, work: StepContext, *, made: bool) -> None:
        slots = _slots(work)
        live = slots.live()
        idle = slots.other(live)
        seen = proving.looked(work, slots.slot(live))
        if seen.runs is None:
            words = f"cannot tell whether {slots.title(live)} runs"
            raise Refused(f"{words}: {seen.detail or 'nobody answered'}{_and(seen.obstacle)}")
        if seen.obstacle and not (seen.absent and made):
            raise Refused(f"{slots.title(live)}: {seen.obstacle}")
        self._free(slots, idle, made=made)

    def _free(self, slots: Slotted, idle: str, *, made: bool) -> None:
        """The idle slot is ours to use. Raises Refused."""
        seen, title = slots.slot(idle).identity(), slots.title(idle)
        if seen.obstacle and not (seen.absent and made):
            raise Refused(f"{title}, the idle slot: {seen.obstacle}")
        if seen.runs is None:
            raise Refused(f"cannot tell whether {title} runs, the idle slot: {seen.detail}")
        if seen.value and not proving.same(seen.value, slots.kept()):
            raise Refused(
                f"{title} runs, though traffic goes elsewhere, and no deploy has left it there:"
                f" {seen.detail}",
                next=f"see what it is for; stop {title}, or send traffic to it, then try again",
            )

    def before(self, work: StepContext) -> Undo:
        slots = _slots(work)
        live = slots.live()
        idle = slots.other(live)
        old, self._idle = slots.slot(live).identity(), slots.slot(idle).identity()
        words = f"move traffic back to {slots.title(live)}, then stop {slots.title(idle)}"
        return Undo(
            text=words,
            summary=words,
            data={
                "first": True,
                "parts": [MOVE, HOME, live, idle],
                "slot": live,
                "identity": old.value,
                "mark": slots.mark(live, old),
                "idle": self._idle.value,
            },
        )

    # --- forward -------------------------------------------------------------------------

    def act(self, work: StepContext) -> Result:
        slots = _slots(work)
        if work.went is not None:
            return _back(work, slots, work.went.data)
        return _home(work, slots) or _brought(work, slots, self._idle)

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        """Traffic that has moved means that the new one had proved itself; that it moved is put
        to the proof again. Otherwise to begin anew does no harm."""
        keys = undo.keys(work.key)
        found = [work.transport.recall(key, work.step.timeout) for key in keys]
        if not any(found) or work.went is not None:
            return None
        if work.undoing:
            return Result(State.UNKNOWN, reason="it was interrupted")
        try:
            slots = _slots(work)
            live = slots.live()
            if live == undo.data["slot"]:
                return None
            return _moved(work, slots, live, slots.slot(live).identity())
        except Refused as error:
            return Result(State.FAILED, reason=error.what)

    # --- back ----------------------------------------------------------------------------

    def undo(self, work: StepContext, undo: Undo) -> Result:
        """Traffic back to the old one, where that still runs: its processes are known again at
        once, its manager is asked only where they are not. Where it does not run, it is started
        when the rest is undone."""
        slots, was = _slots(work), str(undo.data["slot"])
        if slots.live() == was:
            return Result(State.DONE, reason="")
        claimed = slots.claim() if slots.contested else Result(State.DONE)
        if not claimed.ok:
            return claimed
        if claimed.stdout.strip() or not _lives(slots, was, undo):
            work.say(f"{slots.title(was)} no longer runs as it did: it is started after the undos")
            return Result(State.DONE)
        return _switched(work, slots, was, work.key)


def _slots(work: StepContext) -> Slotted:
    slots = work.slots()
    if slots is None:
        raise Refused(f"{proving.name(work)} has no slots here")
    return slots


def _lives(slots: Slotted, name: str, undo: Undo) -> bool:
    if slots.bears(name, str(undo.data.get("mark", ""))):
        return True
    seen = slots.slot(name).identity()
    return seen.up and proving.same(seen.value, str(undo.data["identity"]))


def _home(work: StepContext, slots: Slotted) -> Result | None:
    """An attempt that failed after traffic had moved: the old one is live again before the next,
    which would else be started in its place. None where there is nothing in the way."""
    was = str(work.resolved.data["slot"]) if work.resolved else ""
    if not was or slots.live() == was:
        return None
    if not slots.slot(was).identity().up:
        return Result(State.FAILED, reason=f"{slots.title(was)} does not run any more")
    back = _switched(work, slots, was, f"{work.key}~{HOME}")
    return None if back.ok else back


def _brought(work: StepContext, slots: Slotted, before: Identity | None = None) -> Result:
    """What is on the machine now, started in the idle slot, proved, and live."""
    live = slots.live()
    idle = slots.other(live)
    backend = slots.slot(idle)
    claimed = slots.claim()
    if not claimed.ok:
        return claimed
    fresh = proving.fresh(before or backend.identity(), work)
    asked = backend.restart(work.key)
    if asked.state in (State.UNREACHABLE, State.UNKNOWN):
        return asked
    now = proving.come_up(backend, fresh, work)
    proved = now if isinstance(now, Result) else proving.stays(backend, now, work)
    proved = _answering(work, slots, idle) if proved.ok else proved
    if isinstance(now, Result) or not proved.ok:
        return _of(slots.title(idle), proving.with_evidence(proved, asked, backend))
    if slots.live() != live:
        why = f"traffic was moved from {slots.title(live)} meanwhile, by somebody else"
        return Result(State.FAILED, reason=why)
    moved = _switched(work, slots, idle, f"{work.key}~{MOVE}")
    return _moved(work, slots, idle, now) if moved.ok else moved


def _answering(work: StepContext, slots: Slotted, name: str) -> Result:
    """Whether it answers well on its own port, before anybody else asks it."""
    limit = work.clock.monotonic() + work.options.within
    while True:
        result = slots.answers(name)
        if result.ok:
            return result
        if work.clock.monotonic() >= limit or result.state is not State.FAILED:
            said = result.stderr.strip() or result.stdout.strip() or f"exit {result.exit_code}"
            return replace(result, reason=f"does not prove itself on its port: {said}")
        work.clock.sleep(proving.POLL)


def _fit(work: StepContext, slots: Slotted, to: str, *, moved: bool = False) -> Result:
    """Whoever sends traffic finds that slot well, or soon does: it looks less often than we do.
    One that is down is not waited for while everybody is sent there."""
    limit = work.clock.monotonic() + work.options.within
    while (seen := slots.found(to)) and seen.ill:
        if work.clock.monotonic() >= limit or (moved and seen.up is False):
            so = "and traffic has moved there" if moved else "no traffic goes there"
            why = f"{slots.title(to)} {seen.ill}, as its balancer finds: {so}"
            return Result(State.FAILED, reason=why)
        work.clock.sleep(proving.POLL)
    return Result(State.DONE, exit_code=0)


def _switched(work: StepContext, slots: Slotted, to: str, key: str) -> Result:
    """Traffic goes to that slot, on the word of whoever sends it there, who finds it well: before,
    where it looks at what it sends nothing to, and in any case afterwards."""
    fit = _fit(work, slots, to)
    if not fit.ok:
        return fit
    asked = slots.move(key, to)
    if asked.state in (State.UNREACHABLE, State.UNKNOWN):
        return asked
    now = slots.live()
    if now == to:
        return _fit(work, slots, to, moved=True)
    words = asked.stderr.strip() or asked.stdout.strip() or asked.reason
    why = f"traffic still goes to {slots.title(now)}, and not to {slots.title(to)}"
    return Result(State.FAILED, asked.exit_code, reason=f"{why}: {words}" if words else why)


def _moved(work: StepContext, slots: Slotted, now: str, seen: Identity) -> Result:
    """It holds also now that everybody asks it; what it took the place of is kept."""
    old = slots.other(now)
    proved = proving.stays(slots.slot(now), seen, work)
    if not proved.ok:
        return _of(f"traffic has moved, and {slots.title(now)}", proved)
    if work.went is None:
        kept = slots.keep(work.key, old, slots.slot(old).identity())
        if kept.state is not State.DONE:
            return replace(
                kept,
                reason=f"{slots.title(old)} is not on record as kept: "
                f"{kept.reason or kept.stderr.strip()}",
            )
    return replace(proved, saved={**proved.saved, "slot": now})


def _back(work: StepContext, slots: Slotted, went: Mapping[str, Any]) -> Result:
    """Whoever served before the run serves again, and nothing of the run does."""
    if work.was_up is False:
        return _neither(work, slots, went)
    want = str(went.get("slot") or slots.live())
    serving = slots.slot(want).identity()
    ours = not went or proving.same(serving.value, str(went["identity"]))
    well = serving.up and ours and not whose.old(work, serving)
    if well and not went:  # nothing of the run came here: what was kept before it still is
        return proving.stays(slots.slot(want), serving, work)
    if well:
        claimed = slots.claim()
        moved = _move(work, slots, want) if claimed.ok else claimed
        proved = proving.stays(slots.slot(want), serving, work) if moved.ok else moved
    else:
        proved = _brought(work, slots)
    if not proved.ok:
        return proved
    gone = _ended(work, slots, slots.other(slots.live()))
    return proved if gone.ok else gone


def _move(work: StepContext, slots: Slotted, want: str) -> Result:
    if slots.live() == want:
        return Result(State.DONE)
    return _switched(work, slots, want, f"{work.key}~{MOVE}")


def _neither(work: StepContext, slots: Slotted, went: Mapping[str, Any]) -> Result:
    """Nothing ran before the run."""
    live = slots.live()
    for name in (slots.other(live), live):
        ended = _ended(work, slots, name)
        if not ended.ok:
            return ended
    moved = _move(work, slots, str(went.get("slot") or live))
    return replace(moved, reason="stopped, as it was before this run") if moved.ok else moved


def _ended(work: StepContext, slots: Slotted, name: str) -> Result:
    """What runs in a slot ends; where nothing does, nothing is done."""
    backend, limit = slots.slot(name), work.clock.monotonic() + work.options.within
    seen = backend.identity()
    if seen.runs is not False:
        backend.stop(f"{work.key}~{name}")
        seen = backend.identity()
    while seen.runs is not False:
        if work.clock.monotonic() >= limit:
            why = f"{slots.title(name)} could not be stopped: {seen.detail}"
            return Result(State.FAILED, reason=why)
        work.clock.sleep(proving.POLL)
        seen = backend.identity()
    return Result(State.DONE)


def _of(title: str, result: Result) -> Result:
    return replace(result, reason=f"{title}: {result.reason}")


def _and(text: str) -> str:
    return f"; {text}" if text else ""
