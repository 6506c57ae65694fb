"""The inventory: hosts, service, source, rollout, checks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
)

from backout.model.addresses import canonical
from backout.model.checks import Check
from backout.model.comparing import Compare
from backout.model.operands import Branch, Operand, Reached, Remote
from backout.model.protection import Protection, Rehearsing
from backout.model.services import Service
from backout.model.units import (
    Batch,
    Boolean,
    Duration,
    Noun,
    Port,
    Severity,
    Span,
    Words,
    known_timezone,
    zone_name,
)

ZoneName = Annotated[str, AfterValidator(zone_name)] | Literal[""]


class Host(Noun):
    """One machine. `connection: local` is this one, without SSH; plug-ins may bring others."""

    name: str
    address: Reached = ""
    connection: str = "ssh"
    groups: Words = ()
    port: Port | None = None
    user: Reached | None = None
    vars: Mapping[str, Any] = Field(default_factory=dict)
    service: Service | None = None
    zone: ZoneName = ""
    """Whose workers reach it, where whoever drives is of another zone; else anybody does."""
    is_: str = Field(default="", alias="is")
    """Shell that only reads, and succeeds on the machine that is meant: asked right before each
    change there."""

    @property
    def machine(self) -> tuple[str, int | None] | None:
        """What two entries share that are one machine; None where that cannot be told from them."""
        if self.connection == "local":
            return "", None
        return (
            (canonical(self.address or self.name), self.port) if self.connection == "ssh" else None
        )


class Ssh(Noun):
    """How SSH connections are made; `~/.ssh/config` is honoured under all of it."""

    user: Reached | None = None
    identity: str | None = None
    known_hosts: str = ""
    """Empty: what `ssh_config` says, else `~/.ssh/known_hosts`."""
    config: str = "~/.ssh/config"
    connect_timeout: Span = 10.0


class Source(Noun):
    """What `commit`, `push` and `update` act on."""

    repository: Operand = "."
    remote: Remote = "origin"
    branch: Branch = "main"
    strategy: Literal["checkout", "releases", "image", "heroku"] = "checkout"
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


HERE = "here"
"""This machine, among the hosts where a balancer runs."""


class Balancer(Noun):
    """What sends requests to hosts. `options` is what the backend's own model made of the rest."""

    name: str
    backend: str
    on: Words = Field(min_length=1)
    """The hosts where it runs, or `here`: this machine."""
    for_: str = Field(default="all", alias="for")
    """The hosts that it sends requests to: a group, a host, or all but those where it runs."""
    member: Words = Field(default=("{{ host.name }}",), min_length=1)
    """What a host is called there: one name, or one for each instance on it."""
    drain_timeout: Span = 30.0
    """How long what is open on a member may take to end."""
    at_limit: Literal["fail", "proceed"] = "fail"
    """What becomes of the step when it has not ended by then."""
    within: Span = 30.0
    """How long the balancer may take to find a member well that was put back."""
    options: Any = None


class Rollout(Noun):
    """Batches over the hosts, and how many of them may fail in all."""

    batches: tuple[Batch, ...] = Field(default=(1, "100%"), min_length=1)
    max_failures: int = Field(default=0, ge=0)
    soak: Duration = 5.0
    watch: Duration = 0.0
    """How long the checks are watched between two batches."""
    watch_every: Span | None = None
    watch_limit: Span | None = None
    """How long what nobody can tell is watched at most; three times as long unless it is said."""
    compare: Annotated[
        Annotated[Literal["", "canary"], Tag("plain")] | Annotated[Compare, Tag("whole")],
        Discriminator(lambda value: "whole" if isinstance(value, dict | Compare) else "plain"),
    ] = ""
    """`canary`: latency and failed looks of the new hosts against those of the old ones; or also
    what others have counted."""
    hold_for: Span | None = None
    """How long `--hold` holds a run for a person's answer; then it is backed out."""
    drain: Boolean = False
    """Take each batch out of the balancers first, and put it back when it has settled."""
    keep_up: Batch = 1
    """How many of the members that served before still have to while a batch is out."""

    @property
    def comparing(self) -> Compare | None:
        """What is compared beside the checks, if anything is."""
        return Compare() if self.compare == "canary" else self.compare or None


def _as_url(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


def _as_notices(value: Any) -> Any:
    """A list, or one destination alone, is of alerts."""
    alone = isinstance(value, str) or (isinstance(value, Mapping) and "url" in value)
    return {"alerts": [value] if alone else value} if alone or _is_list(value) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


class Notify(Noun):
    """One destination of alerts: an Apprise URL, and from which severity on it hears of them."""

    url: str
    severity: Severity = "info"


class Destination(Noun):
    """One destination of what a run has to say: an Apprise URL."""

    url: str


class Notices(Noun):
    """Who is told of what. A list instead of this is `alerts`."""

    alerts: tuple[Annotated[Notify, BeforeValidator(_as_url)], ...] = ()
    """Checks that went bad, and are well again."""
    deploys: tuple[Annotated[Destination, BeforeValidator(_as_url)], ...] = ()
    """What runs do: begun, deployed, backed out, rolled back, a person is needed."""


class Maintenance(Noun):
    """A window by schedule: nothing is told while it lasts, and what is wrong still at its end."""

    cron: str
    for_: Span = Field(alias="for")
    checks: Words = ()
    """All of them when none is named."""


def _as_time(value: str) -> str:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        said = f"{value!r} is no date or time; write 2026-12-20T18:00, or 2026-12-20"
        raise ValueError(said) from None
    return value


Time = Annotated[str, AfterValidator(_as_time)]


class Freeze(Noun):
    """When nothing is deployed, and why: by schedule, or from one time until another."""

    why: str
    cron: str = ""
    for_: Span | None = Field(default=None, alias="for")
    from_: Time | Literal[""] = Field(default="", alias="from")
    until: Time | Literal[""] = ""
    timezone: Annotated[str, AfterValidator(known_timezone)] | Literal[""] = ""
    """In which its times are meant; without it that of the inventory."""


class Bake(Noun):
    """After a deploy: watch harder for a while, and revert once if it goes bad."""

    for_: Span = Field(alias="for")
    every: Span = 15.0


class Target(Noun):
    """One inventory, whole."""

    name: str
    file: str = ""
    example: Boolean = False
    """Its hosts are nobody's: it can be read and planned, and a deploy is refused."""
    protected: Annotated[
        Annotated[Boolean, Tag("plain")] | Annotated[Protection, Tag("whole")],
        Discriminator(lambda value: "plain" if isinstance(value, bool | str | int) else "whole"),
    ] = False
    """Whether changing it asks for its name; and how many other people have to agree."""
    rehearsed: (
        Annotated[
            Annotated[Literal["required"], Tag("plain")] | Annotated[Rehearsing, Tag("whole")],
            Discriminator(lambda value: "plain" if isinstance(value, str) else "whole"),
        ]
        | None
    ) = None
    """Whether a runbook must have been rehearsed, as it is now, before it is begun here."""
    hosts: Mapping[str, Host] = Field(default_factory=dict)
    ssh: Ssh = Ssh()
    service: Service | None = None
    source: Source | None = None
    sample: str = ""
    state: str = ""
    vars: Mapping[str, Any] = Field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = Field(default_factory=dict)
    balancers: Mapping[str, Balancer] = Field(default_factory=dict)
    rollout: Rollout = Rollout()
    checks: Mapping[str, Check] = Field(default_factory=dict)
    bake: Bake | None = None
    timezone: Annotated[str, AfterValidator(known_timezone)] = "UTC"
    """In which `cron` schedules are meant."""
    notify: Annotated[Notices, BeforeValidator(_as_notices)] = Notices()
    """Where alerts go, and the messages of deploys."""
    maintenance: tuple[Maintenance, ...] = ()
    freeze: tuple[Freeze, ...] = ()
    """When nothing is deployed; the way back is always open."""
    zone: ZoneName = ""
    """Whose workers drive what is handed over; where it is empty, as `backout.yaml` has it."""
    deadman: str = ""
    """Asked while the schedule is kept, and with `/fail` when it is not: a dead-man's switch."""

    @property
    def protection(self) -> Protection:
        """How many others have to agree, and for how long that holds."""
        known = self.protected if isinstance(self.protected, Protection) else None
        return known or Protection(approvals=0)

    @property
    def rehearsing(self) -> Rehearsing | None:
        """What rehearsal is asked for, if one is."""
        return Rehearsing() if self.rehearsed == "required" else self.rehearsed or None

    def select(self, on: str) -> tuple[Host, ...]:
        """The hosts that `on` names (`all`, a group or a host), in inventory order."""
        return tuple(
            host for host in self.hosts.values() if on in ("all", host.name) or on in host.groups
        )

    def checks_of(self, host: str) -> Words:
        """The checks of a host itself."""
        each = ((check.name, check.on) for check in self.checks.values())
        return tuple(n for n, on in each if on and any(h.name == host for h in self.select(on)))

    def behind(self, balancer: Balancer) -> tuple[Host, ...]:
        """The hosts that a balancer sends requests to."""
        return tuple(h for h in self.select(balancer.for_) if h.name not in balancer.on)

    def balancers_of(self, host: str, named: str = "") -> tuple[Balancer, ...]:
        """The balancers that send requests to a host, or the named one of them."""
        each = (b for b in self.balancers.values() if named in ("", b.name))
        return tuple(b for b in each if any(h.name == host for h in self.behind(b)))

    def where(self, balancer: Balancer) -> Words:
        """The hosts where a balancer runs; this machine is the empty name."""
        return tuple("" if on == HERE and on not in self.hosts else on for on in balancer.on)

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
