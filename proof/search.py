"""Every state that can be reached, breadth first; the shortest way to one that breaks a rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from proof import hosts, people
from proof.hosts import Move
from proof.world import Bounds, Guards, State, broken

Ways = dict[State, tuple[State, str] | None]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search saw."""

    states: int
    violating: int
    """States in which a rule is broken; nothing is looked at beyond one."""
    deployed: int
    """States in which everything is over and run 1 is deployed; likewise backed out."""
    backed_out: int
    rules: Mapping[str, tuple[str, ...]]
    """Rule -> the shortest story that breaks it, the shortest story of all first."""

    @property
    def story(self) -> tuple[str, ...]:
        return next(iter(self.rules.values()), ())


def moves(state: State, guards: Guards) -> Iterator[Move]:
    """Everything that may happen next."""
    yield from hosts.moves(state, guards)
    yield from people.moves(state, guards)


def search(guards: Guards, bounds: Bounds) -> Found:
    """All states within the bounds, under these guards."""
    first = people.beginning(State(left=bounds))
    ways: Ways = {first: None}
    violating = deployed = backed_out = 0
    rules: dict[str, tuple[str, ...]] = {}
    waiting = [first]
    for state in waiting:  # it grows as it is read
        if rule := broken(state):
            violating += 1
            rules.setdefault(rule, _story(ways, state))
            continue
        for words, new in moves(state, guards):
            if new not in ways:
                ways[new] = (state, words)
                waiting.append(new)
        if not (state.a or state.b or state.commands):
            deployed += state.on_record(1).deployed
            backed_out += state.on_record(1).back
    return Found(len(ways), violating, deployed, backed_out, rules)


def _story(ways: Ways, state: State) -> tuple[str, ...]:
    told = []
    while (way := ways[state]) is not None:
        state, words = way
        told.append(words)
    return tuple(reversed(told))
