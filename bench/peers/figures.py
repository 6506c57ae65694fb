"""Deploys that go well, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from peers.contenders import Contender, Seat
from peers.estate import Ended


@dataclass
class Figures:
    """One contender's deploys, a round each."""

    contender: Contender
    ended: list[Ended] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return statistics.median(each.seconds for each in self.ended)

    @property
    def processor(self) -> float:
        return statistics.median(each.processor for each in self.ended)

    def beside(self, other: Figures) -> float:
        """The median of the ratios of each round's wall time to another's."""
        pairs = zip(self.ended, other.ended, strict=True)
        return statistics.median(mine.seconds / theirs.seconds for mine, theirs in pairs)


def contest(seats: Sequence[Seat], rounds: int) -> list[Figures]:
    """So many deploys of each, in turns; a first one only warms up."""
    figures = [Figures(seat.contender) for seat in seats]
    for seat in seats:
        seat.anew()
        seat.ship()
    for _ in range(rounds):
        for seat, mine in zip(seats, figures, strict=True):
            seat.take()
            mine.ended.append(seat.ship())
    return figures
