"""What Backout makes in a run: commands, results, identities, findings, releases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

EVIDENCE = 100
"""Lines of a log, or of what a step said, that a failure brings along: where a framework says much
after the cause, the cause is among them."""
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
    puts: str = ""
    """The file, as shell text, that what it prints goes into: whole, on the disk, and as long as
    the lease is ours; or not at all. Of a command that is `fenced`."""
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

    @property
    def first(self) -> bool:
        """Whether it goes before every other undo of its run: nobody sees the new release then."""
        return bool(self.data.get("first"))

    def keys(self, key: str) -> tuple[str, ...]:
        """The notes that an attempt of its action may leave: one, and one for each part."""
        return (key, *(f"{key}~{part}" for part in self.data.get("parts", ())))


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
class ZoneFinding:
    """What one zone has to say of a check, or that it says nothing."""

    zone: str
    verdict: Verdict | None = None
    """None of a zone that says nothing."""
    by: str = ""
    """The worker that looked last."""
    at: float | None = None
    """When it did, by the database's clock; None when nobody ever has."""
    elapsed_ms: float = 0.0
    reason: str = ""


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
    zones: tuple[ZoneFinding, ...] = ()
    """What it was made of, when several zones looked. Of a watcher's looks alone."""

    @property
    def key(self) -> str:
        return f"{self.check}@{self.host}" if self.host else self.check

    def record(self) -> dict[str, Any]:
        """Plain data for the journal; the excerpt is for the screen only, and what stands on a
        host is recorded once, at the end of a run."""
        facts = {name: fact for name, fact in self.facts.items() if name != "standing"}
        said = {**asdict(self), "facts": facts, "excerpt": "", "verdict": str(self.verdict)}
        del said["zones"]
        return said

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
    FAILED = "failed"
    """Of a command that is said to change nothing: there is nothing to go back from."""
    TAKEN_OVER = "taken_over"
    """Another machine goes on with the run, or has ended it."""


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
    stands now, for a screen that shows it: it is no news. `output` is a line that a command
    wrote, and `saying` the last one so far: of a step that runs on `host`."""
    text: str
    step: str = ""
    host: str = ""
    phase: str = ""
    state: str = ""
    """`running`, or a State, or a Verdict."""
    seconds: float = 0.0
    detail: str = ""
