"""Which members of a target's balancers take no requests now, asked of the balancers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from backout.errors import BackoutError
from backout.model import HERE, PoolState
from backout.ports import Journal
from backout.project.machines import Machines
from backout.reports.states import OutOfTraffic
from backout.runs.balancing import NOTE, pools_of
from backout.runs.parts import side_by_side
from backout.runs.plan import Place


def out_of_traffic(
    machines: Machines, journal: Journal, open_run: str = ""
) -> tuple[OutOfTraffic, ...]:
    """By balancer; one that cannot be asked is said, too. `open_run` is a run that has not ended,
    and may have taken them out."""
    target = machines.target
    records = journal.recall(open_run) if open_run else ()
    begun = pools_of(next((r.body for r in records if r.kind == NOTE), None))
    places = [(b.name, on) for b in target.balancers.values() for on in target.where(b)]
    look = partial(_out, machines, {p: (open_run, state) for p, state in begun.items()})
    return tuple(each for found in side_by_side(lambda p: [*look(p)], places) for each in found)


def _out(
    machines: Machines, begun: dict[Place, tuple[str, PoolState]], place: Place
) -> Iterator[OutOfTraffic]:
    name, on = place
    run, before = begun.get(place, ("", PoolState()))
    told = partial(OutOfTraffic, name, on or HERE)
    try:
        owners = machines.members(name)
        _, ready = next(iter(owners.values()))
        state = machines.pool(ready, on).look()
    except BackoutError as error:
        yield told(unknown=error.what)
        return
    for member in state.members:
        if member.name in owners and not member.takes:
            was = before.member(member.name)
            by = run if was and was.takes else None
            yield told(owners[member.name][0], member.name, by)
