"""systemd units, of the system or of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from backout.model import Identity, Options, Result
from backout.restarters.backend import (
    Backend,
    log_of,
    nobody_knows,
    pairs,
    quote,
    section,
)
from backout.restarters.listeners import judge, scan

SHOWN = (
    "Id,LoadState,ActiveState,SubState,Result,NRestarts,InvocationID,MainPID,ControlGroup,"
    "ExecMainStartTimestampMonotonic,WorkingDirectory,NeedDaemonReload"
)


class SystemdOptions(Options):
    """`scope: user` is the connected user's own manager; `sudo` is `sudo -n` before it all."""

    scope: Literal["system", "user"] = "system"
    sudo: bool = False


class Systemd(Backend):
    """`service.name` is the unit, with or without `.service`."""

    Options: ClassVar[type[Options]] = SystemdOptions

    def identity(self) -> Identity:
        """The unit's invocation and main process. Its exit code 0 of `restart` proves nothing:
        a simple service that dies at start has it too."""
        port = self.service.port
        found = self.look(
            self._show(), section("uptime"), "cat /proc/uptime", scan(port, sudo=self._sudo)
        )
        if isinstance(found, Result):
            return nobody_knows(found)
        unit = pairs(found[""])
        if unit.get("LoadState") == "not-found":
            return Identity(up=False, known=False, detail=f"no unit {unit.get('Id')}")
        group = unit.get("ControlGroup", "")
        return judge(
            found, port, _identity(unit, found["uptime"]), lambda holder: holder.within(group)
        )

    def restart(self, key: str) -> Result:
        """The start limit guards against restarts by itself, not against this one: it is
        lifted first."""
        return self.change(
            key,
            self._session(),
            f"{self._systemctl('reset-failed')} 2>/dev/null || :",
            self._systemctl("restart"),
        )

    def stop(self, key: str) -> Result:
        return self.change(key, self._session(), self._systemctl("stop"))

    def logs(self, lines: int) -> str:
        scope = ("--user-unit",) if self._user else ("-u",)
        command = self._command("journalctl", *scope, self.service.name)
        result = self.read(self._session(), f"{command} --no-pager -q -o short-iso -n {lines:d}")
        return log_of(result, self.service, lines)

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
        scope = ("--user",) if self._user else ()
        return self._command("systemctl", *scope, *words, "--", self.service.name)

    def _command(self, *words: str) -> str:
        return quote(*(("sudo", "-n") if self._sudo else ()), *words)


def _identity(unit: Mapping[str, str], uptime: str) -> Identity:
    active = unit.get("ActiveState") in ("active", "reloading")
    process = unit.get("MainPID", "0")
    started = unit.get("ExecMainStartTimestampMonotonic", "0")
    serving = active or process != "0"
    return Identity(
        up=active,
        value=f"{unit.get('InvocationID')}.{process}.{started}" if serving else "",
        restarts=int(unit["NRestarts"]) if unit.get("NRestarts", "").isdigit() else None,
        uptime=float(uptime.split()[0]) - int(started) / 1e6 if process != "0" else None,
        detail=_words(unit),
    )


def _words(unit: Mapping[str, str]) -> str:
    words = f"{unit.get('ActiveState')} ({unit.get('SubState')})"
    if unit.get("Result", "success") != "success":
        words += f", {unit['Result']}"
    if unit.get("NeedDaemonReload") == "yes":
        words += ", its unit file changed on disk: systemctl daemon-reload"
    return words
