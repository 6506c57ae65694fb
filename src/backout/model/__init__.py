"""The nouns.

What comes from a file is a frozen pydantic model that forbids what it does not know; what
Backout makes itself is a frozen, slotted dataclass. Tuples, not lists. Durations are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from backout.model.operands import Branch, Operand, Reached, Remote

# --- small types -------------------------------------------------------------------------

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d))")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> float:
    """A duration such as `500ms`, `5s`, `1m30s`, `2h` or a bare number of seconds.

    Raises ValueError when the text is not a duration.
    """
    if isinstance(value, bool):
        raise ValueError("not a duration; write 5s, 2m or 1h30m")
    if isinstance(value, int | float):
        if value < 0 or value != value or value == float("inf"):
            raise ValueError("a duration cannot be negative or endless")
        return float(value)
    parts = _DURATION.findall(value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError(f"{value!r} is not a duration; write 5s, 2m or 1h30m")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def duration(seconds: float) -> str:
    """Seconds as a person reads them: `12ms`, `0.4s`, `12s`, `1m12s`, `2h05m`."""
    if seconds < 0.0995:
        return f"{round(seconds * 1000)}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def _percent_or_count(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and re.fullmatch(r"(?:[1-9]\d?|100)%", value):
        return value
    raise ValueError(f"{value!r} is not a batch; write a count of hosts (1) or a share (25%)")


NO_TEMPLATE = "not a {{ template }}"


def _template(value: str) -> str:
    if "{{" not in value:
        raise ValueError(NO_TEMPLATE)
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{value!r} is not a timezone; write Europe/Berlin, or UTC") from None
    return value


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({"type": ["number", "string"], "description": "5s, 2m, 1h30m, or seconds"}),
]
Batch = Annotated[
    int | str,
    BeforeValidator(_percent_or_count),
    WithJsonSchema({"type": ["integer", "string"], "pattern": r"^(?:[1-9]\d?|100)%$"}),
]
TemplateText = Annotated[str, AfterValidator(_template)]
Boolean = Annotated[bool, Strict()]
"""`true` or `false`: `yes`, `on` and 1 are not what they seem in YAML."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Words = tuple[str, ...]
Severity = Literal["info", "warning", "critical"]
"""How much it matters."""
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""The least first."""
BaselinePolicy = Literal["passes", "fails", "any"]
"""What a check must say before a change."""


def frozen(value: Any) -> Any:
    """A JSON-like value as plain data that nobody is expected to change."""
    return value


class Noun(BaseModel):
    """A thing read from a file: frozen, and strict about names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Options(Noun):
    """The options of one kind of step, check or restart backend."""

    short: ClassVar[str] = ""
    """The field that a bare scalar or list fills: `run: "make"`."""
    shell_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that are POSIX shell text: what `{{ … }}` puts into them is quoted."""
    told_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that are shown or written down as they are, so that no secret may stand in them."""
    secret_fields: ClassVar[tuple[str, ...]] = ()
    """Of a restart backend: the fields that a secret may stand in."""

    def needs(self, connection: str) -> str:  # noqa: ARG002 - most need none, however reached
        """The extra of Backout's that brings a library which this needs; empty for most."""
        return ""


class NoOptions(Options):
    """A kind that has nothing to say."""


# --- the inventory -----------------------------------------------------------------------


class Service(Noun):
    """What `restart` restarts. `options` is what the backend's own model made of the rest."""

    name: Operand
    backend: str
    directory: Operand = ""
    port: int | TemplateText | None = None
    """When given, a restart is proved only if the new process owns this listening port."""
    options: Any = None


class Host(Noun):
    """One machine. `connection: local` is this one, without SSH; plug-ins may bring others."""

    name: str
    address: Reached = ""
    connection: str = "ssh"
    groups: Words = ()
    port: int | None = None
    user: Reached | None = None
    vars: Mapping[str, Any] = Field(default_factory=dict)
    service: Service | None = None


class Ssh(Noun):
    """How SSH connections are made; `~/.ssh/config` is honoured under all of it."""

    user: Reached | None = None
    identity: str | None = None
    known_hosts: str = ""
    """Empty: what `ssh_config` says, else `~/.ssh/known_hosts`."""
    config: str = "~/.ssh/config"
    connect_timeout: Duration = 10.0


class Source(Noun):
    """What `commit`, `push` and `update` act on."""

    repository: Operand = "."
    remote: Remote = "origin"
    branch: Branch = "main"
    strategy: str = "checkout"
    directory: Operand = ""
    keep: int = Field(default=5, ge=2)
    shared: Words = ()
    submodules: Boolean | None = None
    """True brings them, false leaves them out; unsaid, a commit that has some is refused."""
    lfs: Boolean = True
    """False: files in Git LFS may arrive as pointers."""
    image: Operand = ""
    app: Operand = ""


class SecretSource(Noun):
    """Where one secret is fetched when it is first needed: exactly one of the three."""

    env: str | None = None
    command: str | None = None
    file: str | None = None


class Rollout(Noun):
    """Batches over the hosts, and how many of them may fail in all."""

    batches: tuple[Batch, ...] = (1, "100%")
    max_failures: int = Field(default=0, ge=0)
    soak: Duration = 5.0


class Retry(Noun):
    """Try again `every` so often `for` so long."""

    for_: Duration = Field(alias="for")
    every: Duration = 2.0


class Alert(Noun):
    """How many bad results open an alert, how many good ones resolve it, and reminders.

    `after: 3` means three in a row; with `of: 5` it means three of the last five.
    """

    after: int = Field(default=3, ge=1)
    of: int | None = Field(default=None, ge=1, le=100)
    recover: int = Field(default=2, ge=1)
    remind: Duration | None = None

    @field_validator("of")
    @classmethod
    def _wide_enough(cls, of: int | None, info: ValidationInfo) -> int | None:
        if of is not None and of < info.data.get("after", 1):
            raise ValueError(f"must be at least `after`, which is {info.data['after']}")
        return of


class Cleanup(Noun):
    """What removes the traces of a check, whatever became of it."""

    kind: str
    options: Any


class Check(Noun):
    """One check. `options` is what the kind's own model made of `http: …` and its like."""

    name: str
    kind: str
    options: Any
    on: str | None = None
    expect: Words = ()
    save: Mapping[str, str] = Field(default_factory=dict)
    then: Words = ()
    cleanup: Cleanup | None = None
    baseline: BaselinePolicy = "passes"
    timeout: Duration = 10.0
    retry: Retry | None = None
    every: Duration | None = None
    cron: str | None = None
    alert: Alert = Alert()
    doc: str = ""
    """A link or a sentence for the person who is woken."""
    severity: Severity = "critical"


class Notify(Noun):
    """One destination of alerts: an Apprise URL, and from which severity on it hears of them."""

    url: str
    severity: Severity = "info"


class Maintenance(Noun):
    """A window by schedule: nothing is told while it lasts, and what is wrong still at its end."""

    cron: str
    for_: Duration = Field(alias="for")
    checks: Words = ()
    """All of them when none is named."""


def _as_notify(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class Bake(Noun):
    """After a deploy: watch harder for a while, and revert once if it goes bad."""

    for_: Duration = Field(alias="for")
    every: Duration = 15.0


class Target(Noun):
    """One inventory, whole."""

    name: str
    file: str = ""
    example: Boolean = False
    """Its hosts are nobody's: it can be read and planned, and a deploy is refused."""
    protected: Boolean = False
    hosts: Mapping[str, Host] = Field(default_factory=dict)
    ssh: Ssh = Ssh()
    service: Service | None = None
    source: Source | None = None
    sample: str = ""
    state: str = ""
    vars: Mapping[str, Any] = Field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = Field(default_factory=dict)
    rollout: Rollout = Rollout()
    checks: Mapping[str, Check] = Field(default_factory=dict)
    bake: Bake | None = None
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    """In which `cron` schedules are meant."""
    notify: tuple[Annotated[Notify, BeforeValidator(_as_notify)], ...] = ()
    """Where alerts go."""
    maintenance: tuple[Maintenance, ...] = ()
    deadman: str = ""
    """Asked while the schedule is kept, and with `/fail` when it is not: a dead-man's switch."""

    def select(self, on: str) -> tuple[Host, ...]:
        """The hosts that `on` names (`all`, a group or a host), in inventory order."""
        return tuple(
            host for host in self.hosts.values() if on in ("all", host.name) or on in host.groups
        )

    def service_on(self, host: Host | None) -> Service | None:
        """The service of a host: its own, or the target's."""
        return (host.service if host else None) or self.service

    def home_on(self, host: Host) -> str:
        """The directory on a host that holds Backout's lease, notes and release file."""
        if self.state:
            return self.state
        directory = self.source.directory if self.source else ""
        service = self.service_on(host)
        directory = directory or (service.directory if service else "")
        return f"{directory}/.backout" if directory else self._own_home

    @property
    def _own_home(self) -> str:
        """Below the login home; one folder for each name. A file that lies outside of the project
        may lie elsewhere for a colleague: of its name only the end counts."""
        name = self.name.rpartition("/")[2] if self.name.startswith("/") else self.name
        return f".backout/{name.removeprefix('./').replace('/', '+')}"

    def renamed(self, name: str) -> Target:
        """The same target under another name; what it keeps on its hosts stays where it is."""
        homes = {self.home_on(host) for host in self.hosts.values()}
        kept = self._own_home if homes == {self._own_home} else self.state
        return self.model_copy(update={"name": name, "state": kept})


# --- the runbook -------------------------------------------------------------------------


class Param(Noun):
    """A word the operator may give with `--param`."""

    type: Literal["str", "int", "bool", "list"] = "str"
    default: Any = None
    required: Boolean = False
    help: str = ""


class Step(Noun):
    """One step. `options` is what the kind's own model made of `run: …` and its like."""

    name: str
    kind: str
    options: Any
    on: str | None = None
    when: str | None = None
    cwd: str = ""
    env: Mapping[str, str] = Field(default_factory=dict)
    timeout: Duration = 600.0
    retry: Retry | None = None
    save: Mapping[str, str] = Field(default_factory=dict)
    undo: str | None = None
    check: str | None = None
    readonly: Boolean = False
    retry_safe: Boolean = False
    irreversible: str | None = None


class Rule(Noun):
    """One line of `diagnose`: when the CEL expression holds, this is what to say."""

    when: str
    say: str


class Runbook(Noun):
    """One runbook, whole."""

    name: str
    file: str = ""
    summary: str = ""
    document: str = ""
    targets: Words = ()
    """The targets that it is for, by name or pattern (`eu/*`); without them, any."""
    baseline: Mapping[str, BaselinePolicy] = Field(default_factory=dict)
    """What the target's checks must say before this runbook changes anything, where it is not
    what the inventory says: `fails` is what the runbook is there to turn green."""
    params: Mapping[str, Param] = Field(default_factory=dict)
    preflight: tuple[Step, ...] = ()
    steps: tuple[Step, ...] = ()
    settle: tuple[Step, ...] = ()
    finally_: tuple[Step, ...] = Field(default=(), alias="finally")
    diagnose: tuple[Rule, ...] = ()

    def is_for(self, target: str) -> bool:
        """Whether it may be run on a target of that name."""
        return not self.targets or any(fnmatchcase(target, pattern) for pattern in self.targets)


# --- what Backout makes ------------------------------------------------------------------


RED = "red"
"""What the result of a failed proof saves: its red findings, for whoever goes on."""


class State(StrEnum):
    """What became of something that was started."""

    DONE = "done"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Verdict(StrEnum):
    """What a check says."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Command:
    """Shell text for one machine.

    `script` is POSIX shell, run with `set -e`. `env` values may hold secret references (see
    `templating`); they are revealed at the transport and never stand in an argv. A command with
    a `key` changes something: it runs in its own process group under a note on the machine, so
    that its outcome can be recalled by that key after a lost link or a restart. Without a key
    it only reads.
    """

    script: str
    cwd: str = ""
    env: tuple[tuple[str, str], ...] = ()
    timeout: float = 600.0
    key: str = ""
    title: str = ""
    """What it is called where somebody asks what is at work on the machine."""
    fenced: bool = False
    """It changes something without a note, and runs only while the machine's lease is ours."""
    brief: bool = False
    """It certainly leaves no process behind, and needs no process group to itself."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command or an action did. A non-zero exit is a result, not an exception."""

    state: State
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    reason: str = ""
    """Why it is not done, in words for the operator; empty when done."""
    seconds: float = 0.0
    saved: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.state is State.DONE


@dataclass(frozen=True, slots=True)
class Undo:
    """The way back of one action, resolved before it acts; plain data, so that it can be
    journaled. `text` is what a person would type; `data` is what the step's kind needs;
    `summary` says in one line what it comes to."""

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
    irreversible: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who serves an application: the thing that a restart must change."""

    up: bool
    value: str = ""
    """One word for each serving process (PID and start time, container id); a word is never
    used again, so a service is new when none of its old words is left."""
    restarts: int | None = None
    """How often the backend restarted it by itself; None when the backend does not count."""
    uptime: float | None = None
    detail: str = ""
    """The backend's own words for its state."""
    known: bool = True
    """False when the service is not known to the backend, or nobody could tell."""
    absent: bool = False
    """True when the backend did answer, and has no such service."""
    trying: bool = False
    """True while its manager goes on trying to run it: a slow start, a crash loop."""
    over: bool = False
    """True when a part of it will not come up by itself: it ended, or its manager gave up."""
    obstacle: str = ""
    """Why no restart here could be proved, or none should be tried, and what to do about it."""
    images: tuple[tuple[str, str], ...] = ()
    """What its containers were made from: the image's name then, and its id."""
    outdated: str = ""
    """Why this is not what a restart has to bring; empty when it is."""
    paths: tuple[str, ...] = ()
    """The directories and programs that its processes run from, links followed."""
    pinned: tuple[str, ...] = ()
    """Paths that its manager keeps as they are, and that a restart uses again."""

    @property
    def runs(self) -> bool | None:
        """Whether it runs, well or not; None when nobody can tell."""
        if self.up or self.value or self.trying:
            return True
        return False if self.known or self.absent else None


@dataclass(frozen=True, slots=True)
class Observation:
    """What a probe saw. Illness is data: a transport error is in `error`, never raised."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """The names that `expect` may use, for example status, body and elapsed_ms."""
    error: str = ""
    elapsed_ms: float = 0.0
    queued_ms: float = 0.0
    """How long the check waited for a worker; never part of `elapsed_ms`."""
    excerpt: str = ""
    """The evidence a person wants to see, short."""
    unread: str = ""
    """What ought to have been looked at and was not, in words: then nothing passes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, judged."""

    check: str
    host: str | None
    verdict: Verdict
    elapsed_ms: float = 0.0
    failed: tuple[str, ...] = ()
    """The expectations that did not hold, as written."""
    reason: str = ""
    excerpt: str = ""
    saved: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    queued_ms: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.check}@{self.host}" if self.host else self.check

    def record(self) -> dict[str, Any]:
        """Plain data for the journal; the excerpt is for the screen only."""
        return {**asdict(self), "excerpt": "", "verdict": str(self.verdict)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Finding:
        """What `record` made plain."""
        verdict, failed = Verdict(record["verdict"]), tuple(record["failed"])
        return cls(**{**record, "verdict": verdict, "failed": failed})


@dataclass(frozen=True, slots=True)
class Release:
    """A numbered release of one target: `42 (3f9c2e1)`."""

    number: int
    commit: str = ""

    def __str__(self) -> str:
        return f"{self.number} ({self.commit[:7]})" if self.commit else str(self.number)

    def to_data(self) -> dict[str, Any]:
        """As `--json` has it."""
        return {"number": self.number, "commit": self.commit}


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    BACKED_OUT = "backed_out"
    BACKOUT_INCOMPLETE = "backout_incomplete"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


class HostState(StrEnum):
    """What a run did to a host, in the end."""

    DEPLOYED = "deployed"
    UNCHANGED = "unchanged"
    BACKED_OUT = "backed out"
    WITHDRAWN = "withdrawn"
    """It failed within the budget and went back alone."""
    ROLLED_BACK = "rolled back"
    STUCK = "NOT backed out"


@dataclass(frozen=True, slots=True)
class HostEnd:
    """A host at the end of a run: what was done to it, the release that it says it is on, and
    why it is not what it should be."""

    state: HostState
    release: Release | None = None
    why: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.why}" if self.why else str(self.state)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a host's lock, since when, and until when."""

    owner: str
    run: str
    token: str
    fence: int
    since: datetime
    expires: datetime
    step: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, for the screen, the log and the journal."""

    at: datetime
    kind: str
    """`phase`, `batch`, `step`, `check`, `note` or `warning`; `state` is how a check of `host`
    stands now, for a screen that shows it: it is no news."""
    text: str
    step: str = ""
    host: str = ""
    phase: str = ""
    state: str = ""
    """`running`, or a State, or a Verdict."""
    seconds: float = 0.0
    detail: str = ""


# --- watching ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class CheckKey:
    """One check of one target, on one host or on none: what has a schedule and a history."""

    target: str
    check: str
    host: str = ""

    @property
    def key(self) -> str:
        return f"{self.check}@{self.host}" if self.host else self.check

    def __str__(self) -> str:
        return f"{self.target}/{self.key}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a spot, as history keeps it."""

    spot: CheckKey
    at: float
    """Seconds since the epoch."""
    verdict: Verdict
    elapsed_ms: float
    queued_ms: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that is wrong from `since` until `resolved`."""

    spot: CheckKey
    kind: str
    """`fail` when it is seen to be wrong, `unknown` when nobody can tell."""
    since: float
    opened: float
    evidence: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    told: float | None = None
    """When it was last written to somebody; None while it is kept quiet."""
    acked: str = ""
    """Who knows about it."""
    resolved: float | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a receiver made of a message; delivered when there is no failure."""

    failure: str = ""
    unfit: bool = False
    """The receiver will never take this message."""
    closed: bool = False
    """The destination will take nothing until a person mends it."""
    wait: float = 0.0
    """How many seconds the receiver asks for before the next attempt."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """A deploy that is, or was, taken back by itself."""

    run: str
    target: str
    why: str
    """The checks that went bad, by name."""
    ended: float | None = None
    """When somebody was told how it ended; None while it is under way, or broke off."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one destination, until it is delivered."""

    target: str
    destination: str
    kind: str
    """`open`, `worse`, `remind`, `resolve`, `note` or `digest`."""
    key: str
    """The same for every attempt: a receiver that honours it sees the message once."""
    title: str
    body: str
    created: float
    incident: int = 0
    id: int = 0
    attempts: int = 0
    retry_at: float = 0.0
    failure: str = ""
