"""What every bed of SSH hosts has: a client key, the client's files and an OpenSSH witness; and
an agent."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from .bed import Bed
from .tools import program
from .wait import eventually


class SshHost(Protocol):
    """A host that a client can reach, with a public key to pin."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def public_key(self) -> str: ...
    def start(self) -> None: ...
    def end(self) -> None: ...


HostT = TypeVar("HostT", bound=SshHost)


class SshBed(Bed, Generic[HostT]):
    """Hosts by name, reached with `identity`, `known_hosts` and `ssh_config`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.identity = directory / "id_ed25519"
        self.authorized_keys = directory / "authorized_keys"
        self.known_hosts = directory / "known_hosts"
        self.ssh_config = directory / "ssh_config"
        self._hosts: dict[str, HostT] = {}
        self._cleanup = ExitStack()

    def __getitem__(self, name: str) -> HostT:
        return self._hosts[name]

    def __iter__(self) -> Iterator[HostT]:
        return iter(self._hosts.values())

    def __len__(self) -> int:
        return len(self._hosts)

    def start(self) -> Self:
        """Start every host and write the client's files."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.identity.exists():
            make_key(self.identity, "client")
        shutil.copy(self.identity.with_suffix(".pub"), self.authorized_keys)
        for host in self:
            self._cleanup.callback(host.end)
            host.start()
        self.pin_keys()
        return self

    def stop(self) -> None:
        """End every host, whatever state a test left it in."""
        self._cleanup.close()

    def pin_keys(self) -> None:
        """Write known_hosts and ssh_config with the hosts' present keys."""
        self.known_hosts.write_text("".join(_known_hosts_line(host) for host in self))
        blocks = [
            f"Host {host.name}\n  HostName {host.address}\n  Port {host.port}\n" for host in self
        ]
        blocks.append(
            "Host *\n  User root\n"
            f"  IdentityFile {self.identity}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 5\n"
        )
        self.ssh_config.write_text("".join(blocks))

    def ssh_command(self, name: str, command: str) -> list[str]:
        """The OpenSSH client's command line for running `command` on a host."""
        return [program("ssh"), "-F", str(self.ssh_config), name, command]

    def ssh(
        self, name: str, command: str, *, timeout: float = 90.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the OpenSSH client: an independent witness of what a host says."""
        return subprocess.run(
            self.ssh_command(name, command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def inventory_hosts(self, groups: Sequence[str] = ("web",)) -> dict[str, dict[str, object]]:
        """The `hosts` mapping of an inventory that names these hosts."""
        return {
            host.name: {"address": host.address, "port": host.port, "groups": list(groups)}
            for host in self
        }

    def inventory_ssh(self) -> dict[str, object]:
        """The `ssh` mapping of an inventory that reaches these hosts."""
        return {
            "user": "root",
            "identity": str(self.identity),
            "known_hosts": str(self.known_hosts),
        }


def make_key(path: Path, comment: str) -> None:
    """Make a key pair without a passphrase."""
    command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", comment]
    subprocess.run([*command, "-f", str(path)], check=True)


@contextmanager
def ssh_agent(place: Path, key: Path) -> Iterator[None]:
    """An agent with a key, at this socket."""
    agent = subprocess.Popen(
        [program("ssh-agent"), "-D", "-a", str(place)], stdout=subprocess.DEVNULL
    )
    try:
        eventually(lambda: _listens(place), saying="ssh-agent")  # its socket is there before
        env = {**os.environ, "SSH_AUTH_SOCK": str(place)}
        subprocess.run([program("ssh-add"), "-q", str(key)], env=env, check=True)
        yield
    finally:
        agent.terminate()
        agent.wait(10)


def _listens(place: Path) -> bool:
    """Whether somebody accepts connections there. Raises OSError where nobody does yet."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(place))
    return True


def _known_hosts_line(host: SshHost) -> str:
    kind, key = host.public_key.split()[:2]
    place = host.address if host.port == 22 else f"[{host.address}]:{host.port}"
    return f"{place} {kind} {key}\n"
