"""systemd units, of the system or of a user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from backout.model import Boolean, Identity, Options, Result, State
from backout.restarters import reloading
from backout.restarters.backend import (
    PATHS_OF,
    START_OF,
    Backend,
    log_of,
    nobody_knows,
    pairs,
    paths,
    quote,
    section,
    text_of,
    understood,
)
from backout.restarters.listeners import Holder, judge, scan

SHOWN = (
    "Id,LoadState,ActiveState,SubState,Result,NRestarts,InvocationID,MainPID,ControlGroup,"
    "ExecMainStartTimestampMonotonic,InactiveExitTimestampMonotonic,WorkingDirectory,ExecStart,"
    "NeedDaemonReload,Type,RemainAfterExit,TriggeredBy"
)
_RELOAD = "its unit file changed on disk and is not loaded: systemctl daemon-reload"
_ONE = "name one unit, or a host's own `service` for each"
_PATTERN = re.compile(r"[*?\[]")
_MAIN = "$(printf '%s\\n' \"$shown\" | sed -n 's/^MainPID=\\([1-9]\\)/\\1/p')"
"""As a shell word, or none."""
_TICKS = 100
"""Of the kernel's, in /proc, to a second."""
_ACTIVE = ("active", "reloading", "refreshing")
_TRYING = ("activating", "deactivating", "maintenance")
_OVER = ("failed", "inactive")

_LINGER = """\
me=$(id -un)
linger=$(loginctl show-user "$me" -p Linger --value 2>/dev/null) || linger=
if [ -z "$linger" ] && loginctl list-users >/dev/null 2>&1; then
  if [ -e "/var/lib/systemd/linger/$me" ]; then linger=yes; else linger=no; fi
fi
echo "Linger=$linger"
"""
"""Shell text: whether the user's own manager outlives the last session; nothing where no logind
would end it."""


class SystemdOptions(Options):
    """`scope: user` is the connected user's own manager; `sudo` is `sudo -n` before it all;
    `reload` is the unit's own way to bring new code, instead of a restart."""

    scope: Literal["system", "user"] = "system"
    sudo: Boolean = False
    reload: Boolean = False

    def misnamed(self, name: str) -> str:
        """A pattern is judged by whichever unit is listed last; a target is active whether or not
        what it wants was restarted."""
        if _PATTERN.search(name):
            return f"{name} is a pattern: {_ONE}"
        return f"{name} is a target: {_ONE}" if name.endswith(".target") else ""


class Systemd(Backend):
    """`service.name` is the unit, with or without `.service`."""

    Options: ClassVar[type[Options]] = SystemdOptions
    slotted: ClassVar[bool] = True

    def identity(self) -> Identity:
        """The unit's invocation and main process. Its exit code 0 of `restart` proves nothing:
        a simple service that dies at start has it too."""
        port = self.service.port
        if self._pattern:
            return Identity(up=False, known=False, detail=self._pattern)
        found = self.look(
            PATHS_OF,
            f"{self._session()}\nshown=$({self._systemctl('show', '-p', self._shown)})".strip(),
            "printf '%s\\n' \"$shown\"",
            _LINGER if self._user else "",
            section("uptime"),
            "cat /proc/uptime",
            section("paths"),
            f"paths_of {_MAIN}",
            *self._begun(),
            scan(port, sudo=self._sudo),
            *(reloading.scan(_MAIN, self.service.prove) if self._reload else ()),
        )
        if isinstance(found, Result):
            return nobody_knows(found)
        unit = pairs(found[""])
        if unit.get("LoadState") == "not-found":
            words = f"no unit {unit.get('Id')}"
            obstacle = f"{words}: systemctl list-unit-files"
            return Identity(up=False, known=False, absent=True, detail=words, obstacle=obstacle)
        main = replace(_hindered(unit, found["uptime"]), paths=paths(found))
        identity = reloading.serving(main, unit.get("MainPID", ""), found) if self._reload else main
        judged = judge(
            found,
            port,
            self._lasting(unit, identity),
            lambda each: _ours(each, unit, up=main.up),
            lambda each: _left_over(each, unit, found.get("main", "")),
        )
        return reloading.proved(judged, main, found) if self._reload else judged

    def _begun(self) -> Sequence[str]:
        """Shell text: when its main process started, for whom listens to be held against it."""
        if self.service.port is None:
            return ()
        return (START_OF, section("main"), f"for pid in {_MAIN}; do start_of $pid; done")

    @property
    def _pattern(self) -> str:
        """Why the name cannot be judged; empty when it is one unit's."""
        return str(self.service.options.misnamed(self.service.name))

    def _lasting(self, unit: Mapping[str, str], identity: Identity) -> Identity:
        """A user's manager that does not linger ends with the last session: with ours."""
        if unit.get("Linger") != "no":
            return identity
        words = "without lingering it ends with the user's last session"
        cure = f"{words}: loginctl enable-linger"
        over_ssh = self.transport.host.connection != "local"
        obstacle = cure if over_ssh else ""
        return replace(identity, detail=f"{identity.detail}, {words}", obstacle=obstacle)

    def restart(self, key: str) -> Result:
        """The start limit guards against restarts by itself, not against this one: it is
        lifted first. Unit files are loaded first: of one that was put back with its old time
        systemd does not see that it changed."""
        if self._pattern:
            return Result(State.FAILED, reason=self._pattern)
        return self.change(
            key,
            self._session(),
            f"{self._manager('daemon-reload')} || :",
            f"{self._systemctl('reset-failed')} 2>/dev/null || :",
            self._systemctl("reload-or-restart" if self._reload else "restart"),
        )

    def pids(self, seen: Identity) -> tuple[int, ...]:
        return () if self._reload else tuple(int(w.split(".")[1]) for w in seen.value.split())

    def stop(self, key: str) -> Result:
        if self._pattern:
            return Result(State.FAILED, reason=self._pattern)
        return self.change(key, self._session(), self._systemctl("stop"))

    def logs(self, lines: int) -> str:
        scope = ("--user-unit",) if self._user else ("-u",)
        command = self._command("journalctl", *scope, self.service.name)
        result = self.read(self._session(), f"{command} --no-pager -q -o short-iso -n {lines:d}")
        return log_of(result, self.service, lines)

    def definition(self) -> Mapping[str, str | None]:
        """The unit file and what is dropped in beside it. What systemd has not loaded yet shows as
        the need to."""
        read = self.read(
            self._session(),
            "export LC_ALL=C",
            self._systemctl("cat"),
            self._systemctl("show", "-p", "NeedDaemonReload"),
        )
        if not read.ok and "No files found" in read.stderr:
            return {"unit": None}
        return {"unit": text_of(read, f"the unit {self.service.name}")}

    def find(self) -> Sequence[Mapping[str, str]]:
        result = self.read(self._show())
        unit = pairs(result.stdout) if result.ok else {}
        if unit.get("LoadState") != "loaded":
            return ()
        name = unit["Id"].removesuffix(".service")
        directory = unit.get("WorkingDirectory", "").lstrip("!-")
        line = {"backend": "systemd", "name": name, "directory": directory}
        return ({key: value for key, value in line.items() if value},)

    @property
    def _reload(self) -> bool:
        return bool(self.service.options.reload)

    @property
    def _shown(self) -> str:
        return f"{SHOWN},CanReload" if self._reload else SHOWN

    @property
    def _user(self) -> bool:
        return bool(self.service.options.scope == "user")

    @property
    def _sudo(self) -> bool:
        return bool(self.service.options.sudo)

    def _show(self) -> str:
        return f"{self._session()}\n{self._systemctl('show', '-p', SHOWN)}".strip()

    def _session(self) -> str:
        if not self._user:
            return ""
        return 'export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"'

    def _systemctl(self, *words: str) -> str:
        return self._manager(*words, "--", self.service.name)

    def _manager(self, *words: str) -> str:
        scope = ("--user",) if self._user else ()
        return self._command("systemctl", *scope, *words)

    def _command(self, *words: str) -> str:
        return quote(*(("sudo", "-n") if self._sudo else ()), *words)


def _ours(holder: Holder, unit: Mapping[str, str], *, up: bool) -> bool:
    """Of its control group; while it does not run, its socket unit keeps the port for it."""
    group = unit.get("ControlGroup", "")
    kept = not up and ".socket" in unit.get("TriggeredBy", "") and holder.name == "systemd"
    return kept or (bool(group) and holder.within(group))


def _left_over(holder: Holder, unit: Mapping[str, str], main: str) -> bool:
    """Of its control group, and older than its start: what `KillMode=process` lets live on, and
    the new one then shares a group with. Told by the kernel's own clock, from when the main
    process began and how long before it the unit did."""
    begun, started = (
        _number(unit, f"{moment}TimestampMonotonic") for moment in ("InactiveExit", "ExecMainStart")
    )
    told = main.strip()
    if not (begun and started and told.isdigit() and holder.start is not None):
        return False
    before = max(0, started - begun)  # systemd may tell of the unit's start only after its process
    group, first = unit.get("ControlGroup", ""), int(told) - before / 1e6 * _TICKS
    return bool(group) and holder.within(group) and holder.start < first - 1


def _identity(unit: Mapping[str, str], uptime: str) -> Identity:
    state = unit.get("ActiveState", "")
    active = state in _ACTIVE
    process, started = _number(unit, "MainPID"), _number(unit, "ExecMainStartTimestampMonotonic")
    since = float(uptime.split()[0]) - started / 1e6 if process else -1.0
    return Identity(
        up=active,
        value=f"{unit.get('InvocationID')}.{process}.{started}" if active or process else "",
        restarts=_number(unit, "NRestarts") if "NRestarts" in unit else None,
        uptime=since if since >= 0 else None,  # a container may have a clock of its own
        trying=state in _TRYING,
        over=state in _OVER,
        detail=_words(unit),
        known=understood([state], _ACTIVE, _TRYING, _OVER),
        outdated=_RELOAD if unit.get("NeedDaemonReload") == "yes" else "",
        pinned=_pinned(unit),
    )


def _number(unit: Mapping[str, str], key: str) -> int:
    """What is not set is 0, by whatever word systemd says so."""
    text = unit.get(key, "")
    return int(text) if text.isdigit() else 0


def _hindered(unit: Mapping[str, str], uptime: str) -> Identity:
    """With what keeps systemd from starting it, or us from proving that it runs. A unit file that
    cannot be loaded may be what the run mends."""
    identity, name, load = _identity(unit, uptime), unit.get("Id"), unit.get("LoadState")
    if load == "masked":
        return replace(identity, obstacle=f"it is masked: systemctl unmask {name}")
    if unit.get("CanReload") == "no":
        return replace(identity, obstacle=reloading.NO_RELOAD)
    if load in ("bad-setting", "error"):
        words = f"its unit file cannot be loaded ({load}): systemd-analyze verify {name}"
        return replace(identity, absent=True, obstacle=words)
    if unit.get("Type") == "oneshot" and unit.get("RemainAfterExit") == "no":
        words = (
            "it is a oneshot, which ends by itself: start it by a step `run`, or name its timer"
            " as the service"
        )
        return replace(identity, obstacle=words)
    return identity


def _pinned(unit: Mapping[str, str]) -> tuple[str, ...]:
    """The directory and the command line, as the unit words them."""
    words = (unit.get("WorkingDirectory", "").lstrip("!-"), *unit.get("ExecStart", "").split())
    texts = (word.rpartition("=")[2] for word in words)
    return tuple(dict.fromkeys(text for text in texts if text.startswith("/")))


def _words(unit: Mapping[str, str]) -> str:
    if "ActiveState" not in unit:
        return "systemctl does not say whether it is active"
    words = f"{unit['ActiveState']} ({unit.get('SubState')})"
    if unit.get("Result", "success") != "success":
        words += f", {unit['Result']}"
    if unit.get("NeedDaemonReload") == "yes":
        words += f", {_RELOAD}"
    return words
