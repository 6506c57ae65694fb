"""The objects that verbs answer, as types: what `--json` prints is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Words = Mapping[str, Any]


class Told:
    """An object that can be told as JSON."""

    __slots__ = ()

    def to_data(self) -> dict[str, Any]:
        """Its fields by name, and those of what it holds."""
        return asdict(self)  # type: ignore[call-overload,no-any-return] # every heir is a dataclass


@dataclass(frozen=True, slots=True)
class LastRun(Told):
    """The newest run of a target."""

    run: str
    verb: str
    runbook: str
    outcome: str | None
    exit_code: int | None
    started_at: str
    by: str


@dataclass(frozen=True, slots=True)
class TargetLine(Told):
    """One target: what its file and the journal say of it."""

    target: str
    file: str
    hosts: tuple[str, ...] = ()
    protected: bool = False
    example: bool = False
    release: Words | None = None
    known_good: bool = False
    checks: tuple[str, ...] = ()
    last_run: LastRun | None = None
    problem: str = ""
    """Why its file cannot be read; empty when it can."""


@dataclass(frozen=True, slots=True)
class TargetList(Told):
    """`targets`."""

    targets: tuple[TargetLine, ...]


@dataclass(frozen=True, slots=True)
class HostLog(Told):
    """The last lines of one host's service."""

    host: str
    lines: tuple[str, ...] = ()
    reason: str = ""
    """Why they could not be read."""


@dataclass(frozen=True, slots=True)
class Logs(Told):
    """`logs`."""

    target: str
    logs: tuple[HostLog, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class HostOutput(Told):
    """What a command said on one host."""

    host: str
    state: str
    exit_code: int | None
    seconds: float
    stdout: str
    stderr: str
    reason: str


@dataclass(frozen=True, slots=True)
class Looked(Told):
    """`exec` of a command that is said to change nothing."""

    run: str
    target: str
    command: str
    exit_code: int
    outputs: tuple[HostOutput, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class Script(Told):
    """`completion`."""

    shell: str
    script: str


@dataclass(frozen=True, slots=True)
class Moved(Told):
    """`history.export` and `history.import`."""

    file: str
    targets: tuple[str, ...]
    runs: int
    """How many were written, or taken up."""
    next: str


@dataclass(frozen=True, slots=True)
class Pruned(Told):
    """`prune`."""

    before: str
    runs: tuple[str, ...]
    """Those whose records are gone."""
    outputs: int
    """How many steps of other runs have lost what they printed."""
    bytes: int
    """By how much the journal became smaller."""


@dataclass(frozen=True, slots=True)
class LeftHost(Told):
    """What was taken away on one host."""

    host: str
    directory: str
    kib: int | None
    """How much it was; None where nothing was."""
    left: tuple[str, ...]
    """What lies there and is not Backout's."""


@dataclass(frozen=True, slots=True)
class Uninstalled(Told):
    """`uninstall`."""

    target: str
    hosts: tuple[LeftHost, ...]
    runs: int
    """How many the journal had."""
    next: str


@dataclass(frozen=True, slots=True)
class Returned(Told):
    """What one failure on purpose showed of the way back."""

    name: str
    """The step after which it failed."""
    run: str | None = None
    returned: bool | None = None
    """Whether the target is on the release it had, and healthy; None where nobody can tell."""
    reason: str = ""
    """Why not; empty when it is."""
    release: Words | None = None
    """What it is on."""
    proof: tuple[str, ...] = ()
    """The checks that passed at the end."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Rehearsed(Told):
    """`rehearse`: the steps, and what can be held against the runbook later."""

    rehearsal: str
    target: str
    runbook: str
    digest: str
    """SHA-256 of the runbook, as it was understood."""
    version: str
    """Backout's."""
    outcome: str
    exit_code: int
    reason: str
    release: Words | None
    started_at: str
    ended_at: str
    steps: tuple[Returned, ...]
    next: str
    trouble: Words | None = None
    """The report of the run that went wrong."""
