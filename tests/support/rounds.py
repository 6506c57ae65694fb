"""Two operators on one target, and what can happen to them, to their links and to their ledger.

What a round does is drawn from its seed. Afterwards either of them ends what is unfinished, and
`linear` judges.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from . import linear
from .arena import STEPS, Arena, Tally, arena
from .operators import Operator

HOUR = 3600
OTHERS = (
    ("resume",),
    ("abort",),
    ("abort", "deploy"),
    ("deploy",),
    ("unlock", "deploy"),
    ("unlock --force", "deploy"),
)
"""What the other operator types."""
FAULTS = (
    *("kill", "freeze", "freeze", "freeze", "hosts away", "one host away", "sessions killed"),
    *("clock", "a host's clock", "nothing"),
)
DATABASE_FAULTS = ("database away", "database restarted", "the database's clock")
JUMPS = (-HOUR, HOUR, 24 * HOUR)


@dataclass(frozen=True)
class Draw:
    """What a seed draws from."""

    faults: tuple[str, ...] = ()
    """What happens; else all that can."""
    others: tuple[tuple[str, ...], ...] = OTHERS
    late: bool = False
    """Nothing happens before the last step is at work."""

    def of(self, arena: Arena) -> tuple[str, ...]:
        return self.faults or FAULTS + (DATABASE_FAULTS if arena.shared else ())


class Round:
    """One round: a deploy, what happens to it, what the other one types; and the end of it."""

    def __init__(self, arena: Arena, random: random.Random, draw: Draw | None = None) -> None:
        """Nothing was ever deployed in that arena when this returns."""
        arena.fresh()
        self.arena = arena
        self.random = random
        self.draw = draw or Draw()
        first, second = random.sample(arena.operators, 2)
        self.first, self.second = first, second

    def run(self, seed: int) -> None:
        """What the seed says happens."""
        self.first.type("deploy")
        if self.draw.late:
            self.arena.acting(len(STEPS) + 1)
        healing = list[Callable[[], None]]()
        for _ in range(self.random.randint(1, 2)):
            self._pass(self.random.uniform(0.3, 2.2))
            healing.append(self._fault(self.first))
        self._pass(self.random.choice([0.2, self.arena.lease + 1, self.arena.lease + 1]))
        self.second.type(*self.random.choice(self.draw.others))
        if self.random.random() < 0.6:
            self.second.over()
        else:
            self._pass(self.random.uniform(0.1, 2.5))
            healing.append(self._fault(self.second))
            self._pass(self.random.choice([0.2, self.arena.lease + 1]))
        for heal in healing:
            heal()
        self.end(f"seed {seed}")

    def end(self, name: str) -> list[str]:
        """What was typed comes to its end, then what is unfinished; and all of it is judged. Gives
        the violations."""
        for operator in self.arena.operators:
            operator.over()
        self._end()
        self._judge(name)
        return self.arena.tally.violations

    def _pass(self, seconds: float) -> None:
        time.sleep(seconds)  # the moment is the subject

    # --- what happens --------------------------------------------------------------------

    def _fault(self, operator: Operator) -> Callable[[], None]:
        """Something happens to an operator; gives what ends it."""
        name = self.random.choice(self.draw.of(self.arena))
        operator.typed.append(f"{operator.name} has: {name}")
        happened = self.arena.tally.happened
        happened[name] = happened.get(name, 0) + 1
        return self.happens(name, operator)

    def happens(self, name: str, operator: Operator) -> Callable[[], None]:
        """This happens to an operator; gives what puts it right again."""
        arena = self.arena
        hosts = [host.name for host in arena.bed]
        match name:
            case "kill":
                operator.signal(signal.SIGKILL)
            case "freeze":
                operator.signal(signal.SIGSTOP)
                return partial(operator.signal, signal.SIGCONT)
            case "hosts away" | "one host away":
                chosen = hosts if name == "hosts away" else [self.random.choice(hosts)]
                return self._away(operator, chosen)
            case "sessions killed":
                arena.kill_sessions()
            case "clock":
                operator.clock.write_text(str(self.random.choice(JUMPS)))
            case "a host's clock":
                arena.set_clock(self.random.choice(hosts), self.random.choice(JUMPS))
            case "the database's clock":
                arena.set_database_clock(self.random.choice(JUMPS))
            case "database away":
                arena.database(operator, up=False)
                return partial(arena.database, operator, up=True)
            case "database restarted":
                arena.restart()
        return nothing

    def _away(self, operator: Operator, hosts: Sequence[str]) -> Callable[[], None]:
        for host in hosts:
            self.arena.cable(operator, host, up=False)

        def heal() -> None:
            for host in hosts:
                self.arena.cable(operator, host, up=True)

        return heal

    # --- the end of it -------------------------------------------------------------------

    def _end(self) -> None:
        """Either of them goes on with what is unfinished, until nothing is; what nobody can end is
        given up."""
        left, refused = list(self.arena.operators), False
        for _ in range(10):
            if not left:
                break
            operator = self.random.choice(left)
            said = operator.say(self.random.choice(["resume", "abort"]))
            if said is None:
                continue
            if said.code == 3:
                nothing = "no unfinished run" in said.out
                refused = refused or not nothing
                left = [] if nothing and self.arena.shared else [o for o in left if o != operator]
                continue
            left = list(self.arena.operators)
            self._pass(1.0 if said.code == 7 else 0.2)
        for operator in self.arena.operators if refused or left else ():
            operator.say("unlock", "--force")

    def _judge(self, name: str) -> None:
        tally, arena = self.arena.tally, self.arena
        outcomes = self._outcomes()
        hosts = [
            linear.host(host.name, arena.files, host.home / ".backout" / "prod")
            for host in arena.bed
        ]
        found = list(linear.faults(hosts, STEPS, outcomes, arena.files))
        unclear = [w for w in outcomes.values() if not w & linear.OVER and w != linear.UNTOUCHED]
        found += self._ledger() if arena.shared and not unclear else []
        found += [bug for operator in arena.everybody for bug in operator.bugs]
        if found:
            typed = [operator.typed for operator in arena.everybody]
            heard = "\n".join(words for operator in arena.everybody for words in operator.heard)
            tally.violations.append(f"{name}: {found}; {typed}; {outcomes}\n{heard}")
        tally.rounds += 1
        ends = set().union(*outcomes.values()) if outcomes else set()
        tally.persons += bool(unclear)
        tally.deployed += "succeeded" in ends
        tally.backed_out += "backed_out" in ends and "succeeded" not in ends
        tally.nothing += not ends & linear.OVER

    def _ledger(self) -> list[str]:
        """What the ledger says of the hosts is what the hosts say."""
        said = self.second.say("status")
        assert said is not None, said
        return [f"the ledger is not true: {said.out}"] if said.code else []

    def _outcomes(self) -> dict[str, set[str]]:
        outcomes: dict[str, set[str]] = {}
        for operator in [self.second] if self.arena.shared else self.arena.operators:
            said = operator.say("history")
            assert said is not None, said
            assert said.code == 0, said
            for run in said.data["runs"]:
                outcomes.setdefault(run["run"], set()).add(str(run["outcome"]))
        return outcomes


def nothing() -> None:
    """Nothing has to be put right again."""


def rounds(
    seeds: Iterable[int],
    told: Callable[[int, Tally], object],
    draw: Draw | None = None,
    *,
    at_once: int = 1,
    kind: Callable[..., Round] | None = None,
    **settings: Any,
) -> Tally:
    """These rounds, in so many arenas at once; `told` hears of each, with its own tally. They are
    of a `kind`, or of two operators."""
    waiting = SimpleQueue[int]()
    for seed in seeds:
        waiting.put(seed)
    all_of_them, turn = Tally(), Lock()

    def some(_: int) -> None:
        with arena(**settings) as each, suppress(Empty):
            while True:
                seed = waiting.get_nowait()
                (kind or Round)(each, random.Random(seed), draw).run(seed)
                with turn:
                    all_of_them.add(each.tally)
                    told(seed, each.tally)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(some, range(at_once)))
    return all_of_them
