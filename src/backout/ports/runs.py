"""The seams of a run: machines, steps, the journal, the lock, the person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from backout.model import (
    CheckKey,
    Command,
    Finding,
    Host,
    Identity,
    Options,
    Record,
    Release,
    Result,
    Service,
    Step,
    Target,
    Undo,
)
from backout.ports.restarters import Restarter, Slotted

if TYPE_CHECKING:
    from backout.ports.traffic import Traffic

from backout.ports.people import Operator, SecondPerson

T = TypeVar("T")


class Clock(Protocol):
    """Time; tests wait for nothing."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None: ...


PAUSES = (0.0, 1.0, 2.0)
"""Seconds before what could not be asked is asked again: a link may be cut for a moment, and a
shell killed, and that is no reason to call a run unfinished, or to turn back."""


class Vault(Protocol):
    """Secrets by reference."""

    def fetch(self, names: Iterable[str]) -> None:
        """Fetch these now. Raises Refused for one that cannot be had."""

    @property
    def warnings(self) -> Sequence[str]:
        """What a person should know about how the secrets are kept."""

    def reveal(self, text: str) -> str:
        """`text` with every secret reference replaced by its value. Raises Refused when a
        secret cannot be fetched."""

    def redact(self, text: str) -> str:
        """`text` without any secret value in force, in whatever encoding it stands there."""


class Transport(Protocol):
    """One machine that commands can be run on. Quoting happens here, once."""

    host: Host

    def run(self, command: Command) -> Result:
        """Run `command` to its end.

        DONE when it exited 0, FAILED when it exited otherwise (with `exit_code`), UNKNOWN when
        its end was not seen: a lost link, or a timeout (its process group is killed first).
        Raises Unreachable only when it certainly never began.
        """

    def recall(self, key: str, wait: float) -> Result | None:
        """What became of the command that ran under `key`.

        None when it never began. A command that still runs is waited for, `wait` seconds at
        most, then its process group is ended and the result is UNKNOWN. Raises Unreachable.
        """

    def began(self, key: str) -> bool:
        """Whether this process has begun a command under `key` on the machine, whatever became
        of it."""
        ...

    def unexplained(self, run: str, keys: Iterable[str]) -> Sequence[str]:
        """The notes of a run on the machine that are of none of these keys: the journal that has
        no others does not know of them. Raises Unreachable."""
        ...

    def put(self, content: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file on the machine, whole or not at all (temporary name, then rename).
        Raises Unreachable when the link is down, OSError when the machine says no."""

    def close(self) -> None: ...


class RestartBackend(Protocol):
    """A row of the table `restarters.BACKENDS`."""

    Options: ClassVar[type[Options]]

    def __call__(self, service: Service, transport: Transport) -> Restarter: ...


class StepKind(Protocol):
    """A row of the table `steps.KINDS`."""

    Options: ClassVar[type[Options]]
    changes: ClassVar[bool]
    """False for kinds that only read or wait."""
    undoes: ClassVar[bool]
    """True for kinds that bring their own undo; the others need `undo:` in the runbook."""
    reaches: ClassVar[bool]
    """False for kinds whose act and undo leave alone what a service runs."""
    shell: ClassVar[bool]
    """True when the texts `undo` and `check` of such a step are shell."""
    publishes: ClassVar[bool]
    """True for kinds that make or publish the commit: what is shipped as it is leaves them out."""
    brings: ClassVar[bool]
    """True when such a step may bring anything to a host: a unit file, a program."""
    acts_here: ClassVar[bool]
    """True for kinds that act from this machine, whatever host they are for."""

    def describe(self, work: StepContext) -> str:
        """What would run, for `plan`; pure."""

    def reads(self, work: StepContext) -> Sequence[str]:
        """The files and directories of this machine whose content it brings along; pure."""
        ...

    def ready(self, work: StepContext, *, made: bool) -> None:
        """Look, before the first change, whether the step can succeed at all. `made`: other
        steps of the run may bring what is missing. Raises Refused."""

    def settles_first(self, options: Any) -> bool:
        """Whether it is taken back only when its host has settled again after all other undos."""
        ...

    def asks(self, options: Any) -> bool:
        """Whether it asks the person at the run's own terminal."""
        ...

    def before(self, work: StepContext) -> Undo:
        """Read the state to come back to, and resolve the undo from it. Changes nothing.
        Raises Refused when the way back cannot be known."""

    def act(self, work: StepContext) -> Result:
        """Do it. UNREACHABLE, and Unreachable, say that a machine was away: it never began, unless
        a command has begun under the key, and then nobody knows."""
        ...

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        """What became of an interrupted `act`: its result, None when it certainly never
        began, UNKNOWN when nobody can tell."""

    def done(self, work: StepContext) -> bool | None:
        """What the step's own `check` says: True done already, False not done, None when there
        is no check or it cannot tell. Reads only."""

    def unready(self, work: StepContext, undo: Undo) -> str:
        """Why this undo could not do its work now; empty when nothing speaks against it. Asked
        before a rollback begins. Reads only. Raises Refused and Unreachable."""

    def undo(self, work: StepContext, undo: Undo) -> Result:
        """Go back; idempotent, also where `act` never ran."""


class Once(Protocol):
    """What is the same for every host of a run is asked once."""

    def __call__(self, about: str, ask: Callable[[], T], /) -> T:
        """The answer under that name: of `ask`, or as it was given before. Raises as it does."""
        ...


def _each_time(_about: str, ask: Callable[[], T]) -> T:
    return ask()


@dataclass(frozen=True, slots=True)
class StepContext:
    """All that a step may use: one step, rendered, on one machine, within one run."""

    step: Step
    options: Any
    """The step's options, rendered and validated again."""
    key: str
    """Names this action within its run, for the journal and the note on the machine."""
    target: Target
    run: str
    release: Release
    """The release that the run makes."""
    previous: Release | None
    host: Host | None
    transport: Transport
    """The host's, or this machine's for a step without `on`."""
    here: Transport
    restarter: Callable[[], Restarter]
    vault: Vault
    clock: Clock
    operator: Operator
    verify: Callable[[Sequence[str]], tuple[Finding, ...]]
    """Run checks (all when empty) on this batch's hosts; findings that must pass and do not
    are in the result."""
    say: Callable[[str], None]
    """A line for the screen."""
    render: Callable[[str], str]
    """A template text (a file's content), rendered with this step's names, without quoting.
    Raises Mistakes."""
    served: Callable[[], Identity | None] = lambda: None
    """Who served on this host when a step last looked, where it is certain that the same
    processes do so now."""
    slots: Callable[[], Slotted | None] = lambda: None
    """The service's two slots, where it has them."""
    went: Undo | None = None
    """Where it settles again, the way back that it resolved when it went forward: an empty one
    where it never began. None on the way forward."""
    resolved: Undo | None = None
    """Where it acts, its way back, as it is on record."""
    undoing: bool = False
    """Whether what this step did is undone, or will be: of what was interrupted only the end
    matters then, not what came of it."""
    second: SecondPerson | None = None
    """Where somebody else can be asked."""
    was_up: bool | None = None
    """Whether the service ran on this host before the run, well or not; None when nobody could
    tell, and on the way forward."""
    was_well: bool = True
    """False when it ran before the run, and was not up."""
    traffic: Traffic | None = None
    """What it may use of a balancer, where it moves traffic."""
    once: Once = _each_time
    """For what this machine is asked on behalf of every host."""
    gate: Callable[[], str] = str
    """Why it must not act now, asked right before it does; empty when it may."""
    refused: Callable[[], str] = str
    """Why it must not act after all: what hosts said when they were told that it is about to.
    Nobody is asked."""
    origin: str = ""
    """The key under which the step acted first, where a rollback does again what it had taken
    back: what was kept for the way back then is kept in the same place now."""

    @property
    def keeps(self) -> str:
        """What to call that which it keeps for its way back: the same for every attempt."""
        return (self.origin or self.key).partition("#")[0]


class Journal(Protocol):
    """The runs of one working copy: intents with their undo, outcomes, and the ledger. What is
    returned from is durable. Raises BackoutError when it could not be written."""

    def begin(self, run: str, key: str, record: Mapping[str, Any]) -> None:
        """`key` is about to act, and this is its way back."""

    def end(self, run: str, key: str, record: Mapping[str, Any]) -> None:
        """What became of `key`."""

    def note(self, run: str, kind: str, record: Mapping[str, Any]) -> None:
        """A decision of the run."""

    def recall(self, run: str) -> Sequence[Record]:
        """Every record of a run, in order."""

    def over(self, run: str) -> bool:
        """Whether it is closed, and left nothing half done: a host that still names it was away
        when it ended. False for a run that is not known."""
        ...

    def number_seen(self, target: str, number: int) -> None:
        """Durably: no number up to this one is given out again."""
        ...

    def finish(
        self,
        run: str,
        outcome: str,
        record: Mapping[str, Any],
        *,
        release: Release | None = None,
        known_good: bool = False,
        covers: Sequence[str] = (),
        restored: int | None = None,
    ) -> None:
        """The decided outcome (a `decided` record) and the ledger, in one transaction."""


@dataclass(frozen=True, slots=True)
class Claim:
    """By what right a machine goes on with a run: it began it, or has taken it over."""

    epoch: int = 0
    """How often the run was taken over."""
    id: str = ""
    """Tells two machines apart that took it over at once."""
    turn: int = 0
    """How often it was gone on with. Of its own processes the later one holds the hosts."""


OWN = Claim()
"""The run's own machine."""
TAKEN = "taken"
"""The record of a machine that took a run over from another: its claim, from whom, and which hosts
were `away` then, so that what they have of it is not known."""
GOES_ON = "goes_on"
"""The record of a process that goes on with a run, before it takes any host."""
HEARD = "heard"
"""The record that some of those have told what they have; it says who is `away` still."""


READY = "ready"
"""The record that all is looked at, held and confirmed: what follows changes something."""
HELD, ANSWERED = "held", "answered"
"""The records that a run stands still and what it asks, and what one question was answered. They
are on its hosts when they are written, as far as those can be reached."""
NEEDS_PERSON = "needs_person"
"""The record that a run has come to where it cannot go on by itself: `why`, and `next`."""
AWAITS_APPROVAL = "awaits_approval"
"""The record that a run waits for somebody's yes: `what`, and `next`. People are told of it in the
transaction that writes it."""


class Lock(Protocol):
    """The lease on every host of a target."""

    def hold(
        self,
        transports: Sequence[Transport],
        run: str,
        *,
        others: Sequence[Transport] = (),
        here: Transport | None = None,
        began: Collection[str] = (),
        claim: Claim = OWN,
        changed: Callable[[], bool] = lambda: False,
        over: Callable[[str], bool] = lambda _: False,
    ) -> AbstractContextManager[Sequence[str]]:
        """Hold every host, or none, and of the `others` those that can be. `here` is this
        machine, where a run's own commands leave notes. What the run was on before (`began`) is
        not marked anew: that its mark is gone means that notes were lost. With an older `claim`
        than a host has seen of the run nothing is held: it was taken over. The lease of a run that
        is `over` is taken away, where nothing is alive. Gives the names of the machines that it is
        on now. Raises Held with who, since when and at which step. Who is refused leaves every host
        as it was, unless the run has `changed` something: then what it holds stays its own."""

    def found(self, host: str) -> str | None:
        """The host's own record as it was when the host was taken, told once; None where it was
        not seen."""

    def lost(self, hosts: Collection[str] = ()) -> str:
        """Why what is held is not held any more, asked of every host: nothing when it is. That
        one of these `hosts` cannot be asked is a reason too."""

    def refused(self, host: str) -> str:
        """Why nothing begins for a host any more, as it said when it was told that something is
        about to; without a name why nothing does on this machine. Nobody is asked."""

    def keep(self) -> None:
        """Leave the leases standing at the end: backing out is incomplete."""


Bodies = tuple[tuple[CheckKey, int, bytes], ...]
"""Rolled-up hours or days: of which check, from when, and what was folded."""
