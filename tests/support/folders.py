"""Machines that are directories here, each opened by as many transports as are asked for."""

from __future__ import annotations

from pathlib import Path

from backout.adapters.transports.local import LocalTransport
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.vault import Vault
from backout.model import Host


class Folders:
    """Some hosts, and whatever else has a name."""

    def __init__(self, directory: Path, names: tuple[str, ...] = ("web1", "web2", "web3")) -> None:
        self.directory = directory
        self.names = names

    def home(self, name: str) -> Path:
        return self.directory / name / ".backout"

    def transports(self, *names: str) -> list[ShellTransport]:
        return [
            LocalTransport(Host(name=name), str(self.home(name)), Vault({}))
            for name in names or self.names
        ]

    def locked(self) -> list[str]:
        return [name for name in self.names if (self.home(name) / "lock").exists()]
