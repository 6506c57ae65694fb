"""The protocol as a model: every order in which things can happen, with each guard taken away once.

Prints a table of states and violations, and for each row that breaks a rule the shortest story.

    python proof/model.py            # seconds
    python proof/model.py --more     # wider bounds: minutes
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from proof.search import Found, search
from proof.world import NAMES, Bounds, Guards


@dataclass(frozen=True, slots=True)
class Scenario:
    """What may happen, and which guards are taken away from it, one row each."""

    name: str
    bounds: Bounds
    more: Bounds
    """Wider ones."""
    rows: tuple[tuple[str, ...], ...]


SCENARIOS = (
    Scenario(
        "a colleague takes the run over while its driver may live",
        Bounds(kills=0, red=False),
        Bounds(kills=1, takeovers=1, cuts=1),
        ((), ("again",), ("epoch", "again"), ("void", "again"), ("token", "again")),
    ),
    Scenario(
        "the link is cut",
        Bounds(kills=0, takeovers=0, cuts=1),
        Bounds(kills=1, takeovers=1, cuts=2, mates=False),
        ((), ("void",)),
    ),
    Scenario(
        "a stranger unlocks, and deploys",
        Bounds(kills=0, takeovers=0, unlocks=1, tries=1),
        Bounds(kills=1, takeovers=1, unlocks=1, tries=1),
        ((), ("alive",), ("again",), ("token", "again"), ("token",)),
    ),
    Scenario(
        "a stranger unlocks, and the first one goes on",
        Bounds(unlocks=1, tries=1, mates=False, red=False),
        Bounds(unlocks=1, tries=2, mates=False),
        ((), ("fence",), ("same",)),
    ),
    Scenario(
        "the host loses its power",
        Bounds(powers=1, mates=False),
        Bounds(powers=1, cuts=1),
        ((), ("boot",), ("undo",)),
    ),
    Scenario(
        "a step on the deploying machine, which has no lease",
        Bounds(leased=False),
        Bounds(leased=False, kills=2, takeovers=2, tries=3),
        ((), ("void",), ("undo",)),
    ),
)


@dataclass(frozen=True)
class Row:
    """One search: a scenario without some of the guards."""

    scenario: Scenario
    without: tuple[str, ...]
    more: bool = False

    @cached_property
    def found(self) -> Found:
        bounds = self.scenario.more if self.more else self.scenario.bounds
        return search(Guards().without(*self.without), bounds)

    @property
    def title(self) -> str:
        return " and ".join(NAMES[name] for name in self.without) or "nothing"

    def __str__(self) -> str:
        found = self.found
        cells = (self.scenario.name, self.title, f"{found.states:,}", f"{found.violating:,}")
        return f"| {' | '.join((*cells, '; '.join(found.rules)))} |"


HEAD = """| what may happen | taken away | states | violating | what is broken then |
|---|---|---|---|---|"""


def rows(*, more: bool = False) -> Iterator[Row]:
    for scenario in SCENARIOS:
        for without in scenario.rows:
            yield Row(scenario, without, more)


def told(row: Row) -> str:
    """The shortest story that breaks a rule, as numbered moves."""
    moves = "\n".join(f"{n:2}. {words}" for n, words in enumerate(row.found.story, 1))
    rule = next(iter(row.found.rules))
    return f"{row.scenario.name}, without {row.title}: {rule}.\n\n{moves}\n"


def main() -> int:
    """1 when a rule is broken with every guard in its place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--more", action="store_true", help="wider bounds")
    words = parser.parse_args()
    searched = []
    print(HEAD)
    for row in rows(more=words.more):
        print(row, flush=True)
        searched.append(row)
    for row in searched:
        if row.found.rules:
            print(f"\n{told(row)}")
    return int(any(row.found.violating and not row.without for row in searched))


if __name__ == "__main__":
    sys.exit(main())
