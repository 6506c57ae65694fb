"""Hosts with a network of their own: a cable to each that can be pulled, and power to cut."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from . import ports
from .guard import guard
from .machine import Machine
from .ssh_bed import SshBed
from .sshd import SshdHost
from .tools import program

_POOL = int(ipaddress.ip_address("10.192.0.0"))
_HOSTS_PER_BED = 62
_CLONE_NEWNET = 0x40000000


class NetnsHost(SshdHost):
    """A host behind a point-to-point cable; everything that SshdHost offers, and cable faults."""

    def __init__(
        self,
        machine: Machine,
        address: str,
        gateway: str,
        authorized_keys: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        assert machine.network is not None
        super().__init__(machine, address, 22, authorized_keys, environment)
        self.network = machine.network
        self.gateway = gateway
        self._token = 0

    def start(self) -> None:
        """Lay the cable when there is none yet, then start the machine and its server."""
        if not self._token:
            self._token = guard.add([program("ip"), "netns", "delete", self.network])
            self._lay_cable()
        super().start()

    def end(self) -> None:
        """End the machine and remove its network."""
        super().end()
        if self._token:
            _ip("netns", "delete", self.network)
            guard.remove(self._token)
            self._token = 0

    def partition(self) -> None:
        """Pull the cable: nothing passes, and neither side is told."""
        _ip("-n", self.network, "link", "set", "eth0", "down")

    def heal(self) -> None:
        """Plug the cable in again and lose no more packets; poll, for ARP may take a moment."""
        _ip("-n", self.network, "link", "set", "eth0", "up")
        self._iptables("-F", "INPUT")

    def lose(self, share: float) -> None:
        """Lose this share of the packets to the host; 1.0 drops every one."""
        rule = ["-A", "INPUT", "-i", "eth0"]
        if share < 1.0:
            rule += ["-m", "statistic", "--mode", "random", "--probability", str(share)]
        self._iptables(*rule, "-j", "DROP")

    def _iptables(self, *arguments: str) -> None:
        enter = [program("ip"), "netns", "exec", self.network]
        subprocess.run([*enter, program("iptables"), "-w", *arguments], check=True)

    def _lay_cable(self) -> None:
        here = self.network
        _ip("netns", "add", self.network)
        _ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", self.network)
        _ip("address", "add", self.gateway, "peer", self.address, "dev", here)
        _ip("link", "set", here, "up")
        inside = ("-n", self.network)
        _ip(*inside, "address", "add", self.address, "peer", self.gateway, "dev", "eth0")
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "link", "set", "eth0", "up")


class NetnsBed(SshBed[NetnsHost]):
    """Hosts on port 22 of private addresses that only this bed routes to."""

    def __init__(
        self,
        directory: Path,
        names: Sequence[str] = ("web1", "web2"),
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        assert len(names) <= _HOSTS_PER_BED
        # A claimed port is a number that no other test process has: it picks the addresses.
        number = ports.free_port()
        self._cleanup.callback(ports.release, number)
        base = _POOL + (number - ports.FIRST) * (_HOSTS_PER_BED + 2)
        self.gateway = str(ipaddress.ip_address(base))
        for index, name in enumerate(names, start=1):
            machine = Machine(name, directory / name, network=f"bed{number}-{index}")
            address = str(ipaddress.ip_address(base + index))
            keys = self.authorized_keys
            self._hosts[name] = NetnsHost(machine, address, self.gateway, keys, environment)


@contextmanager
def loopback_only() -> Iterator[str]:
    """A network that has nothing but its own loopback; yields its name."""
    number = ports.free_port()
    name = f"bed{number}-lo"
    token = guard.add([program("ip"), "netns", "delete", name])
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        _ip("netns", "delete", name)
        guard.remove(token)
        ports.release(number)


def listener_in(network: str, address: str, port: int) -> socket.socket:
    """A listening socket inside another network, usable from here."""

    def listen() -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{network}").open("rb") as handle:
            if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter the network {network}")
        return socket.create_server((address, port))

    # Only the thread that asks moves into the network, so it is one that ends here.
    with ThreadPoolExecutor(1) as mover:
        return mover.submit(listen).result()


def _ip(*arguments: str) -> None:
    subprocess.run([program("ip"), *arguments], check=True, stdin=subprocess.DEVNULL)
