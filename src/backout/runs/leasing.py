"""The lease of a run: on every host of its target that can be reached, from end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from backout.errors import (
    BackoutError,
    Held,
    HostKeyRefused,
    Outdated,
    Refused,
    TakenOver,
    Unreachable,
)
from backout.model import Event, Record, Target
from backout.ports import GOES_ON, TAKEN, Claim, Journal, Transport
from backout.runs.decisions import OLDER, Decisions, stays_open
from backout.runs.ended import OVER, Ended, on_record
from backout.runs.parts import Parts, side_by_side
from backout.runs.plan import Place

LEASED = "leased"
"""The record of where this run has been: on these machines it left a mark."""


@contextmanager
def leased(
    parts: Parts,
    target: Target,
    run: str,
    hosts: Sequence[str],
    *,
    at: Sequence[Place] = (),
    patient: bool = False,
) -> Iterator[Sequence[str]]:
    """Hold the hosts of the run and those where its balancers run (`at`), all or none, and the
    target's other hosts that can be reached, so that two runs on different hosts of one target
    meet. `patient` goes on with those of the
    run's hosts that can be reached. Gives the names of what is held. Raises Held, Refused,
    Unreachable. Where the run is refused, and has changed something before, its hosts stay its
    own."""
    hosts = tuple(dict.fromkeys((*hosts, *(on for _, on in at if on))))
    transports = fleet(parts, hosts, patient=patient)
    others = _others(parts, [name for name in target.hosts if name not in hosts])
    began, here = _began(parts, run), parts.reach("")
    with (
        _noted_if_older(parts, run),
        parts.lock.hold(
            transports,
            run,
            others=others,
            here=here,
            began=began,
            claim=_claim(parts, run),
            changed=lambda: _changed(parts, run),
            over=lambda of: spent(parts.journal, of),
        ) as held,
    ):
        marked = {"hosts": sorted({*began, *held}), "held": sorted(held)}
        parts.journal.note(run, LEASED, marked)
        yield held


@contextmanager
def _noted_if_older(parts: Parts, run: str) -> Iterator[None]:
    """A journal that is an older copy does not close the run."""
    try:
        yield
    except Outdated:
        parts.journal.note(run, OLDER, {})
        raise


def ended_before(parts: Parts, decisions: Decisions) -> Ended | None:
    """How a run ended, where only its closing is missing; what it may still hold is let go. Raises
    TakenOver."""
    ended = on_record(decisions)
    if ended is not None:
        let_go(parts, decisions.run)
    return ended


def let_go(parts: Parts, run: str) -> None:
    """What a run that is over may still hold, each host for itself: those that are another's by
    now, or are away, are left as they are. Raises TakenOver."""
    began = _began(parts, run)
    for host in sorted(began - {""}):
        try:
            transports = (parts.reach(host),)
            with parts.lock.hold(transports, run, began=began, claim=_claim(parts, run)):
                pass
        except TakenOver:
            raise
        except (Held, Refused, Unreachable):
            continue


def spent(journal: Journal, run: str) -> bool:
    """Whether a run's leases are worth nothing: its end is known, and nothing is left to do on its
    hosts but to let them go, which one that was away has missed. What of its processes may be alive
    even so (a ledger that is shared) lets go of its own lease alone, or was taken over and is
    fenced: to take it is safe. One of which hosts told only that it was decided may still be at
    it, on another machine."""
    if not journal.over(run):
        return False
    kinds = {record.kind for record in journal.recall(run)}
    return OVER in kinds or "decided" not in kinds


def held_by_nobody_since(records: Sequence[Record]) -> bool:
    """Whether the run was taken over, and has held no host since: who only goes back does so while
    all of them are away, too."""
    taken = [n for n, record in enumerate(records) if record.kind == TAKEN]
    if not taken:
        return False
    leases = (each.body for each in records[taken[-1] :] if each.kind == LEASED)
    return not any(any(body.get("held", ("?",))) for body in leases)  # an older one held some


def _began(parts: Parts, run: str) -> frozenset[str]:
    """The machines that the run was on before; this one is the empty name."""
    records = (r for r in parts.journal.recall(run) if r.kind == LEASED)
    return frozenset(host for record in records for host in record.body["hosts"])


def _changed(parts: Parts, run: str) -> bool:
    """As far as can be told: what may be half done, or named as begun, stays held."""
    try:
        return stays_open(parts.journal.recall(run))
    except BackoutError:
        return True


def _claim(parts: Parts, run: str) -> Claim:
    records = parts.journal.recall(run)
    turn = sum(record.kind == GOES_ON for record in records)
    taken = [record.body for record in records if record.kind == TAKEN]
    return Claim(taken[-1]["epoch"], taken[-1]["claim"], turn) if taken else Claim(turn=turn)


def _others(parts: Parts, names: Sequence[str]) -> tuple[Transport, ...]:
    def connect(name: str) -> Transport | None:
        try:
            return parts.reach(name)
        except Unreachable as error:
            words = f"{name} is not locked: {error.what}"
            parts.emit(Event(parts.clock.now(), "warning", words, host=name))
            return None

    return tuple(found for found in side_by_side(connect, names) if found is not None)


def fleet(parts: Parts, hosts: Sequence[str], *, patient: bool = False) -> tuple[Transport, ...]:
    """Every host connected, or one refusal that names each host that could not be. `patient`
    goes on with those that can be reached."""
    problems: list[Unreachable] = []

    def connect(name: str) -> Transport | None:
        try:
            return parts.reach(name)
        except Unreachable as error:
            problems.append(error)
            return None

    transports = side_by_side(connect, hosts)
    if problems and not patient:
        raise _all_of(problems)
    return tuple(transport for transport in transports if transport is not None)


def reached(
    reach: Callable[[str], Transport], names: Sequence[str]
) -> tuple[list[Transport], list[str]]:
    """The hosts of these that can be reached, and the names of those that cannot. Raises
    Unreachable when none can."""

    def connect(name: str) -> Transport | Unreachable:
        try:
            return reach(name)
        except Unreachable as error:
            return error

    tried = dict(zip(names, side_by_side(connect, names), strict=True))
    errors = [each for each in tried.values() if isinstance(each, Unreachable)]
    if errors and len(errors) == len(tried):
        raise errors[0]
    found = [each for each in tried.values() if not isinstance(each, Unreachable)]
    return found, [name for name, each in tried.items() if isinstance(each, Unreachable)]


def _all_of(problems: Sequence[Unreachable]) -> Unreachable:
    kind = next((type(p) for p in problems if isinstance(p, HostKeyRefused)), Unreachable)
    problems = sorted(problems, key=str)
    told = (f"{p.what} ({p.where})" if p.where else p.what for p in problems)
    words = "\n".join(dict.fromkeys(told))
    return kind(words, next="\n       ".join(dict.fromkeys(p.next for p in problems if p.next)))
