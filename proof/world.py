"""The nouns of the model: one host with one service, two operators, the records of their runs.

Run 1 is the one that A began. B is a colleague who shares A's ledger and may take that run over; or
a stranger with a ledger of its own, who unlocks the host and begins run 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Guards(NamedTuple):
    """What the protocol holds on to; each can be taken away to see what it is there for."""

    epoch: bool = True
    """A record is refused when another machine has taken the run over since."""
    void: bool = True
    """Who is told that a command never began makes sure that it never will."""
    token: bool = True
    """A command looks for its lease before anything else; an operator looks for it at the end."""
    again: bool = True
    """A command looks for its lease once more when its note is made."""
    alive: bool = True
    """Whoever takes or frees a host looks for commands of others that are alive there."""
    undo: bool = True
    """The way back is on record before a command acts, not after it."""
    boot: bool = True
    """"It never began" is said only by the mark that the run made in this boot of the host."""
    fence: bool = True
    """A run does not go on where another run was since."""
    same: bool = True
    """Whoever takes the lease of its own run over takes the very one that it looked at."""

    def without(self, *names: str) -> Guards:
        """The same, these taken away."""
        off: dict[str, Any] = dict.fromkeys(names, False)
        return self._replace(**off)


NAMES = {
    "epoch": "the epoch of records",
    "void": "the void",
    "token": "the first look at the lease",
    "again": "the second look at the lease",
    "alive": "the look for what is alive",
    "undo": "the way back before the act",
    "boot": "the mark of the boot",
    "fence": "who was here last",
    "same": "the very lease that was looked at",
}
"""The guards, as the table names them."""


class Bounds(NamedTuple):
    """How often each thing may happen, at most."""

    kills: int = 1
    """An operator's process, at any moment."""
    takeovers: int = 1
    """A run that is gone on with, by anybody, while its driver may be alive (a false alarm)."""
    cuts: int = 0
    """A link, while a command is on its way or at work."""
    powers: int = 0
    """A host, at any moment."""
    unlocks: int = 0
    """A stranger who frees the host, when the lease has expired or by force."""
    mates: bool = True
    """False: B never takes a run over and is never killed; it is a stranger, if anybody."""
    red: bool = True
    """Whether a check may be red after the step, so that the run goes back by itself."""
    tries: int = 2
    """Attempts of the command, and of its undo."""
    leased: bool = True
    """False: a step on the deploying machine, which has no lease, and no second operator."""


class Command(NamedTuple):
    """A command that was sent to the host. Its key is what its note is named by."""

    run: int
    kind: str
    """`act`, or `undo`."""
    attempt: int
    token: int
    """The lease that it was sent under."""
    at: str = "sent"
    """sent, seen (its lease was), noted, valid (it was not declared void), acting, acted."""

    @property
    def key(self) -> Key:
        return (self.run, self.kind, self.attempt)


Key = tuple[int, str, int]


class Lease(NamedTuple):
    """The lock of the host."""

    token: int
    run: int


class Records(NamedTuple):
    """What the ledger has of one run."""

    epoch: int = 0
    act: int = 0
    """The attempt whose intent is on record; 0 before the first."""
    act_end: str = ""
    """done, none (it never began), unknown; empty while it is not on record."""
    undo: int = 0
    undo_end: str = ""
    wish: bool = False
    """It goes back."""
    deployed: bool = False
    back: bool = False
    """It ended as backed out."""

    @property
    def over(self) -> bool:
        return self.deployed or self.back


class Operator(NamedTuple):
    """One process that drives a run."""

    run: int
    epoch: int
    token: int
    back: bool
    """It was told to abort."""
    at: str
    """What it does next; see `operators`."""


class State(NamedTuple):
    """Everything, at one moment."""

    lease: Lease | None = None
    last: int = 0
    """The run that had the host last."""
    seen: int = 0
    """The epoch of run 1 that the host knows."""
    marks: frozenset[int] = frozenset()
    """The runs that came to the host first in this boot of it."""
    notes: frozenset[tuple[Key, str]] = frozenset()
    """begun, ended, dead (its shell is gone, and there is no end) or void."""
    voids: frozenset[Key] = frozenset()
    """Whoever asked was told that these never began."""
    commands: frozenset[Command] = frozenset()
    effects: tuple[int, int] = (0, 0)
    """How often the effect of each run is there."""
    order: tuple[int, ...] = ()
    """The runs whose commands acted, in their order."""
    runs: tuple[Records, Records] = (Records(), Records())
    a: Operator | None = None
    b: Operator | None = None
    b_is: str = ""
    """`mate` once B has taken run 1 over, `stranger` once it has begun to unlock."""
    tokens: int = 0
    """How many leases were ever asked for."""
    left: Bounds = Bounds()
    wrong: str = ""
    """A rule that a move broke."""

    def note(self, key: Key) -> str:
        return next((word for known, word in self.notes if known == key), "")

    def noted(self, key: Key, word: str) -> State:
        others = frozenset(note for note in self.notes if note[0] != key)
        return self._replace(notes=others | {(key, word)})

    def on_record(self, run: int) -> Records:
        return self.runs[run - 1]

    def recorded(self, run: int, **what: Any) -> State:
        new = self.on_record(run)._replace(**what)
        return self._replace(runs=(new, self.runs[1]) if run == 1 else (self.runs[0], new))

    def moved(self, old: Command, new: Command | None) -> State:
        return self._replace(commands=self.commands - {old} | ({new} if new else frozenset()))

    def living(self, *, beside: int) -> tuple[Command, ...]:
        """The commands of other runs that are alive under their notes."""
        at = ("noted", "valid", "acting", "acted")
        return tuple(c for c in self.commands if c.run != beside and c.at in at)

    def spent(self, name: str) -> State:
        less: dict[str, Any] = {name: getattr(self.left, name) - 1}
        return self._replace(left=self.left._replace(**less))

    def who(self, name: str) -> Operator | None:
        return self.a if name == "a" else self.b

    def operated(self, name: str, operator: Operator | None) -> State:
        return self._replace(a=operator) if name == "a" else self._replace(b=operator)


BESIDE = "two commands are at work on the service at one time"
TWICE = "an effect is there twice"
NOT_DEPLOYED = "a run is on record as deployed, and the host has not what it did"
NOT_BACK = "a run is on record as backed out, and what it did is there"
BENEATH = "a run goes on, or back, on a host where another one was since"
RULES = (BESIDE, TWICE, NOT_DEPLOYED, NOT_BACK, BENEATH)


def broken(state: State) -> str:
    """The rule that does not hold in a state; empty when all do."""
    if state.wrong:
        return state.wrong
    for records, effect in zip(state.runs, state.effects, strict=True):
        if effect > 1:
            return TWICE
        if records.deployed and not effect:
            return NOT_DEPLOYED
        if records.back and effect:
            return NOT_BACK
    return ""
