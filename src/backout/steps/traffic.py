"""`traffic`: a host leaves its balancer, or comes back.

An exit code proves nothing here: the balancer is asked what it does. Out is done when nothing new
goes there and what was open has ended; in is done when the host's own checks pass and the balancer
has it just as it was before the run. What was out before stays out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal

from backout.errors import Refused
from backout.model import Member, Options, PoolState, Result, Span, State, Undo, Words
from backout.ports import StepContext
from backout.ports import Traffic as Given
from backout.steps.base import Kind
from backout.steps.verify import proved

POLL = 0.1
"""Seconds between two looks at the balancer."""
OBEYS = 10.0
"""Seconds that a balancer may take to do what it was told."""


class TrafficOptions(Options):
    """Out or in, and of which balancer."""

    short: ClassVar[str] = "to"
    moves_traffic: ClassVar[bool] = True
    to: Literal["out", "in"]
    balancer: str = ""
    """One of the inventory's `balancers`; every one that sends requests to the host unless said."""
    member: Words = ()
    """Which of the host's members there: one instance on it; all of them unless said."""
    drain_timeout: Span | None = None
    """How long what is open may take to end; the balancer's own unless said."""
    at_limit: Literal["fail", "proceed"] | None = None
    """What becomes of it then; the balancer's own unless said."""
    checks: Words = ()
    """What has to pass before it is put back; the host's own checks unless said."""


class Traffic(Kind):
    """Takes a host out of its balancer and waits until what is open has ended, or puts it back when
    its own checks pass."""

    Options: ClassVar[type[Options]] = TrafficOptions
    undoes: ClassVar[bool] = True
    reaches: ClassVar[bool] = False
    shell: ClassVar[bool] = False

    def settles_first(self, options: Any) -> bool:
        """A host goes back into traffic after it has settled again."""
        return bool(options.to == "out")

    def describe(self, work: StepContext) -> str:
        members, edge = _names(work), _given(work).balancer
        if work.options.to == "in":
            return f"put {members} back into {edge.name}, when its own checks pass"
        limit = f"{_limit(work):g} s, then {_at_limit(work)}"
        return f"take {members} out of {edge.name}, and wait for what is open there ({limit})"

    def before(self, work: StepContext) -> Undo:
        given = _given(work)
        now = given.pool().look()
        _refuse_changed(work, now)
        own = _own(work, now)
        wanted = _wanted(work, own)
        back = [each for each, to in zip(own, wanted, strict=True) if not each.set_as(to)]
        words = f"{_names(work)} as it was in {given.balancer.name}"
        data = {"back": [asdict(each) for each in back], "wanted": [asdict(e) for e in wanted]}
        return Undo(text=given.pool().spelled(back) if back else "", data=data, summary=words)

    def act(self, work: StepContext) -> Result:
        now = _given(work).pool().look()
        wanted = _wanted(work, _own(work, now))
        _say_who_was_in(work, wanted)
        return _move(work, wanted, now)

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        """What still ran is awaited or ended; then the balancer knows."""
        work.transport.recall(work.key, work.step.timeout)
        wanted = [Member(**row) for row in undo.data["wanted"]]
        if _missing(wanted, _given(work).pool().look()):
            return None
        return Result(State.DONE) if _given(work).back else _proved(work, wanted)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        now, begun = _given(work).pool().look(), _given(work).begun
        back = [Member(**row) for row in undo.data["back"]]
        if begun is not None and _given(work).returned:
            back = [each for was in back if (each := _as_begun(begun, was))]
        return _move(work, back, now)


# --- what is wanted ------------------------------------------------------------------------


def _given(work: StepContext) -> Given:
    if work.traffic is None:
        raise Refused("a traffic step is of hosts: say on: GROUP, and which balancer sends there")
    return work.traffic


def _names(work: StepContext) -> str:
    return ", ".join(_members(work))


def _members(work: StepContext) -> Words:
    """What the host is called there. Raises Refused for a name that is none of its own."""
    balancer, wanted = _given(work).balancer, work.options.member
    if strange := [name for name in wanted if name not in balancer.member]:
        raise Refused(
            f"{', '.join(strange)} is no member of this host in {balancer.name}",
            next=f"say one of: {', '.join(balancer.member)}",
        )
    return wanted or balancer.member


def _own(work: StepContext, now: PoolState) -> list[Member]:
    """The host's members as they are now. Raises Refused when the pool has no such one."""
    balancer, names = _given(work).balancer, _members(work)
    found = [now.member(name) for name in names]
    lacking = [name for name, each in zip(names, found, strict=True) if each is None]
    if lacking:
        has = ", ".join(each.name for each in now.members) or "none"
        raise Refused(
            f"{balancer.name} has no member {', '.join(lacking)}; it has: {has}",
            next=f"say balancers.{balancer.name}.member, or add it to the balancer",
        )
    return [each for each in found if each]


def _wanted(work: StepContext, own: Sequence[Member]) -> list[Member]:
    """The members as they are to be. Out of traffic before the run is out of it afterwards, unless
    to put it in is all that the run does there."""
    given = _given(work)
    if work.options.to == "out":
        return [each.out() for each in own]
    begun = given.begun or PoolState(tuple(own))
    if not given.moved:
        return [replace(each, takes=True) for each in own]
    return [begun.member(each.name) or each for each in own]


def _as_begun(begun: PoolState, member: Member) -> Member | None:
    """What had come back already is to take requests as it did when this run began, however it was
    set before that; None where it was out by then."""
    was = begun.member(member.name)
    if was is None or not member.takes:
        return member
    return replace(member, mark=was.mark) if was.takes else None


def _was_out(begun: PoolState, name: str) -> bool:
    was = begun.member(name)
    return was is not None and not was.takes


def _refuse_changed(work: StepContext, now: PoolState) -> None:
    """Raises Refused where somebody else has changed what this run would change, or how it is laid
    out. What the run itself took out is no change."""
    given = _given(work)
    name, begun = given.balancer.name, given.begun
    if begun is None:
        return
    said = f"{name} was changed by hand since the run began, and is left as it is"
    fix = f"look at {name}, put it right by hand, then go on"
    if changed := begun.changed(now):
        raise Refused(f"{said}:\n{changed}", next=fix)
    for each in _own(work, now):
        was = begun.member(each.name)
        ours = was is not None and given.moved and not each.takes and each.mark == was.mark
        if was is None or not (each.set_as(was) or ours):
            raise Refused(f"{said}: {each.name} was {_told(was)}, and is {_told(each)}", next=fix)


def _told(member: Member | None) -> str:
    return member.told if member else "not there"


# --- moving, and the proof -----------------------------------------------------------------


def _move(work: StepContext, wanted: Sequence[Member], now: PoolState) -> Result:
    given = _given(work)
    _say_what_stays(work)
    if entering := [each for each in wanted if each.takes and not _set(each, now)]:
        red = _red(work)
        if not red.ok:
            names = ", ".join(each.name for each in entering)
            return replace(red, reason=f"{names} stays out of {given.balancer.name}: {red.reason}")
    if missing := [each for each in wanted if not _set(each, now)]:
        asked = given.pool().apply(work.key, missing)
        if asked.state in (State.UNREACHABLE, State.UNKNOWN):
            return asked
        proof = _proved(work, wanted)
        said = (asked.stderr.strip() or asked.stdout.strip()) if not proof.ok else ""
        return replace(proof, reason=f"{proof.reason} ({said})") if said else proof
    return _proved(work, wanted)


def _set(wanted: Member, now: PoolState) -> bool:
    found = now.member(wanted.name)
    return found is not None and found.set_as(wanted)


def _say_what_stays(work: StepContext) -> None:
    given = _given(work)
    out = [name for name in _members(work) if given.begun and _was_out(given.begun, name)]
    if out and (given.moved or work.options.to == "out"):
        name = given.balancer.name
        work.say(f"{', '.join(out)} was out of {name} before the run, and stays out")


def _say_who_was_in(work: StepContext, wanted: Sequence[Member]) -> None:
    """Whoever is to come back had come back before this run put it there: a reload of the balancer
    forgets who is out, and so may a person."""
    given, found = _given(work), work.resolved.data["back"] if work.resolved else ()
    names = [each.name for each in wanted if each.takes]
    if work.options.to == "in" and given.moved and names and not found:
        work.say(
            f"{', '.join(names)} may have been sent requests while it was changed: it was in"
            f" {given.balancer.name} again, and not by this run (a reload forgets who is out)"
        )


def _red(work: StepContext) -> Result:
    """Whether the host may take requests: its own checks, or those that the step names."""
    names = work.options.checks or work.target.checks_of(work.host.name if work.host else "")
    return proved(work.verify(names)) if names else Result(State.DONE)


def _missing(wanted: Sequence[Member], now: PoolState) -> list[str]:
    """How the balancer does not have them, one by one."""
    words = ((each, now.member(each.name)) for each in wanted)
    return [
        f"{each.name} is {_told(found)}"
        for each, found in words
        if found is None or not found.set_as(each)
    ]


def _ill(wanted: Sequence[Member], now: PoolState) -> list[str]:
    found = (now.member(each.name) for each in wanted if each.takes)
    return [f"{each.name} {each.ill}, as it finds" for each in found if each and each.ill]


def _proved(work: StepContext, wanted: Sequence[Member]) -> Result:
    """Wait until the balancer does what it was told, and nothing is open that has to end."""
    given, clock = _given(work), work.clock
    began = clock.monotonic()
    while True:
        now = given.pool().look()
        missing, ill = _missing(wanted, now), _ill(wanted, now)
        if not (missing or ill):
            break
        limit = OBEYS if missing else given.balancer.within
        if clock.monotonic() - began >= limit:
            words = "; ".join(missing or ill)
            return Result(State.FAILED, reason=f"{given.balancer.name}: {words}")
        clock.sleep(POLL)
    leaving = [each.name for each in wanted if not each.takes]
    return _drained(work, leaving) if leaving else Result(State.DONE)


def _drained(work: StepContext, names: Sequence[str]) -> Result:
    given, clock = _given(work), work.clock
    end = clock.monotonic() + _limit(work)
    while (left := _open(given.pool().look(), names)) and clock.monotonic() < end:
        clock.sleep(POLL)
    if not left:
        return Result(State.DONE)
    words = f"{', '.join(left)} after {_limit(work):g} s"
    if _at_limit(work) == "proceed" or None in left.values():
        work.say(f"{given.balancer.name}: {words}; goes on")
        return Result(State.DONE)
    return Result(State.FAILED, reason=f"{given.balancer.name}: {words}")


def _open(now: PoolState, names: Sequence[str]) -> dict[str, int | None]:
    """What is still open on which member, in words; a balancer that cannot tell is given time."""
    found = [each for name in names if (each := now.member(name))]
    counts = {each.name: each.open for each in found if each.open != 0}
    return {
        f"{name} has {'an unknown number' if count is None else count} open": count
        for name, count in counts.items()
    }


def _limit(work: StepContext) -> float:
    return work.options.drain_timeout or _given(work).balancer.drain_timeout


def _at_limit(work: StepContext) -> str:
    """On the way back nothing waits for ever: what is open is cut off."""
    if _given(work).back:
        return "proceed"
    return work.options.at_limit or _given(work).balancer.at_limit
