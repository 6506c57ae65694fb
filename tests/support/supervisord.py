"""A private supervisord with its programs, on this machine or inside a test machine."""

from __future__ import annotations

import http.client
import socket
import subprocess
import xmlrpc.client
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, cast

from .bed import Bed
from .machine import Machine
from .process import Process
from .tools import SYSTEM_PATH, venv_program
from .wait import eventually

_CONFIG = """\
[unix_http_server]
file={directory}/supervisor.sock
chmod=0700
[supervisord]
nodaemon=true
user=root
logfile={directory}/supervisord.log
pidfile={directory}/supervisord.pid
childlogdir={directory}
identifier=test
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{directory}/supervisor.sock
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One `[program:NAME]` section."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    def section(self, directory: Path) -> str:
        quoted = " ".join(f'"{word}"' if " " in word else word for word in self.command)
        pairs = ",".join(f'{name}="{value}"' for name, value in self.environment.items())
        options = {
            "command": quoted,
            "startsecs": "1",
            "startretries": "2",
            "stopwaitsecs": "5",
            "redirect_stderr": "true",
            "stdout_logfile": str(directory / f"{self.name}.log"),
            **({"environment": pairs} if pairs else {}),
            **self.options,
        }
        lines = "".join(f"{name}={value}\n" for name, value in options.items())
        return f"[program:{self.name}]\n{lines}"


class Supervisord(Bed):
    """A running supervisord; `config` is the file that supervisorctl is given with -c."""

    def __init__(
        self, directory: Path, programs: Sequence[Program], *, machine: Machine | None = None
    ) -> None:
        self.directory = directory
        self.config = directory / "supervisord.conf"
        self.socket = directory / "supervisor.sock"
        self.supervisorctl = venv_program("supervisorctl")
        self.extra = ""
        """More of its configuration."""
        self._programs = programs
        self._machine = machine
        self._process: Process | None = None

    def start(self) -> Self:
        """Start it; it answers when this returns (its programs may still be starting)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        sections = [program.section(self.directory) for program in self._programs]
        self.config.write_text(
            _CONFIG.format(directory=self.directory) + self.extra + "".join(sections)
        )
        argv = [venv_program("supervisord"), "-c", str(self.config)]
        machine = self._machine
        self._process = Process(
            machine.command(argv) if machine else argv,
            log=self.directory / "output.log",
            env=machine.environment() if machine else {"PATH": SYSTEM_PATH},
        )
        eventually(self._answers, saying="supervisord answering")
        return self

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run supervisorctl."""
        argv = [self.supervisorctl, "-c", str(self.config), *arguments]
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=90
        )

    def info(self, name: str) -> dict[str, object]:
        """What supervisord itself knows about a program: statename, pid, start, …"""
        with self._rpc() as rpc:
            return cast("dict[str, object]", rpc.supervisor.getProcessInfo(name))

    def state(self, name: str) -> str:
        return str(self.info(name)["statename"])

    def begin(self, name: str) -> None:
        """Start a program without waiting for what becomes of it."""
        with self._rpc() as rpc:
            rpc.supervisor.startProcess(name, False)

    def wait_state(self, name: str, state: str, within: float = 150.0) -> None:
        """Wait until a program is in a state such as RUNNING, BACKOFF or FATAL."""
        eventually(lambda: self.state(name) == state, within=within, saying=f"{name} {state}")

    def stop(self) -> None:
        """Shut it down together with its programs."""
        if self._process is None:
            return
        if self._process.running and self._answers():
            with self._rpc() as rpc:
                rpc.supervisor.shutdown()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(8)
        self._process.stop()
        self._process = None

    def _answers(self) -> bool:
        try:
            with self._rpc() as rpc:
                return bool(rpc.supervisor.getState())
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def _rpc(self) -> xmlrpc.client.ServerProxy:
        return xmlrpc.client.ServerProxy("http://127.0.0.1", _UnixTransport(self.socket))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, _host: object) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = ("localhost", connection)
        return connection
