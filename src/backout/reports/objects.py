"""What the verbs about the journal, the hosts and the files answer."""

from __future__ import annotations

from dataclasses import dataclass

from backout.model import Outcome
from backout.reports.report import Ends, Known
from backout.reports.told import Told, named, sometimes


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
    approvals: int = sometimes(0)
    """How many other people have to agree to each plan."""
    frozen: str = sometimes("")
    """Until when, and why; left out while it is not."""
    release: Known = None
    known_good: bool = False
    checks: tuple[str, ...] = ()
    last_run: LastRun | None = None
    problem: str = ""
    """Why its file cannot be read; empty when it can."""


@dataclass(frozen=True, slots=True)
class TargetList(Told):
    """`targets`."""

    targets: tuple[TargetLine, ...]
    next: str = ""


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
    requests: int = sometimes(0)
    """How many approvals, that have expired or were used, are gone."""
    letters: int = sometimes(0)
    """How many messages of runs, that were delivered, are gone."""


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
class Nothing(Told):
    """A verb whose answer was seen while it ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine(Told):
    """One run of the past."""

    run: str
    target: str
    verb: str = ""
    runbook: str
    outcome: Outcome | None = None
    """None while it has not ended."""
    exit_code: int | None = None
    started_at: str
    seconds: float | None = None
    ends: Ends = named("release", default=Ends())
    by: str = ""
    subject: str = ""
    """Of the commit that it brought."""
    marks: tuple[str, ...] = sometimes(())
    """What is to be known of it at a glance: a freeze that it broke."""


@dataclass(frozen=True, slots=True)
class History(Told):
    """`history`."""

    runs: tuple[HistoryLine, ...]


@dataclass(frozen=True, slots=True)
class ChainFault(Told):
    """A run whose records are not those that were written."""

    run: str
    what: str


@dataclass(frozen=True, slots=True)
class Chain(Told):
    """`history --check`."""

    target: str | None
    """None is all of them."""
    runs: int
    faults: tuple[ChainFault, ...]


@dataclass(frozen=True, slots=True)
class Linted(Told):
    """`lint`, without a mistake: with some it is an error."""

    runbooks: int
    inventories: int
    mistakes: tuple[str, ...] = ()
    notes: tuple[str, ...] = sometimes(())
    """What is no mistake, and may cost something."""


@dataclass(frozen=True, slots=True)
class Written(Told):
    """`init`."""

    written: tuple[str, ...]
    kept: tuple[str, ...]
    backend: str
    notes: tuple[str, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class Played(Told):
    """`demo` and `example.gigz`."""

    directory: str
    exit_codes: tuple[int, ...]
