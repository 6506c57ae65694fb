"""What the verbs of watching answer: looks, alerts, silences, what this machine does by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from backout.model import Verdict
from backout.reports.report import VerifyReport
from backout.reports.told import Told, sometimes


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedOnce(VerifyReport):
    """One target after one look at each of its checks."""

    held: str = sometimes("")
    """The run that holds it: then it was not looked at."""


@dataclass(frozen=True, slots=True)
class Watched(Told):
    """`watch --once`."""

    verdict: Verdict
    targets: tuple[WatchedOnce, ...]
    broken: Mapping[str, str] = field(default_factory=dict)
    """Inventories that cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class Stopped(Told):
    """`watch`, when it was stopped."""

    stopped: bool = True


@dataclass(frozen=True, slots=True)
class Acknowledged(Told):
    """`alert.ack`."""

    acknowledged: tuple[str, ...]
    by: str


@dataclass(frozen=True, slots=True)
class Silenced(Told):
    """`alert.silence`."""

    silenced: str
    check: str | None
    until: str


@dataclass(frozen=True, slots=True)
class OpenAlert(Told):
    """Something that is wrong."""

    target: str
    check: str
    host: str | None
    title: str
    severity: str
    since: str
    seconds: float
    acknowledged: str | None
    told: bool
    acknowledge: str
    """The command that says that somebody knows."""


@dataclass(frozen=True, slots=True)
class Silence(Told):
    """Nothing is told of a target, or of one of its checks, until then."""

    target: str
    check: str | None
    until: str
    by: str


@dataclass(frozen=True, slots=True)
class Alerts(Told):
    """`alert.list`."""

    alerts: tuple[OpenAlert, ...]
    silences: tuple[Silence, ...]


@dataclass(frozen=True, slots=True)
class InstalledEntry(Told):
    """A unit or a line of a crontab."""

    name: str
    state: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Installed(Told):
    """`schedule.install`, `schedule.remove` and `schedule.show`."""

    entries: tuple[InstalledEntry, ...]


@dataclass(frozen=True, slots=True)
class KeyShown(Told):
    """`token.add`."""

    name: str
    role: str
    token: str
    """It is not kept, and cannot be shown again."""


@dataclass(frozen=True, slots=True)
class Key(Told):
    """Who may use the web view."""

    name: str
    role: str
    since: str
    by: str


@dataclass(frozen=True, slots=True)
class Keyring(Told):
    """`token.list`, and `token.remove`: who may."""

    tokens: tuple[Key, ...]
