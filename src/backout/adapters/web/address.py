"""Where the status page is served, and the names that requests may use."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backout.errors import Mistakes, Refused

if TYPE_CHECKING:
    pass

PORT = 8642
LOCAL = ("localhost", "localhost.localdomain", "ip6-localhost")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and the names that requests may use beside addresses."""

    host: str
    port: int
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, *, anywhere: bool = False, names: Sequence[str] = ()) -> Address:
        """`127.0.0.1:8642`, `[::1]:8642`, `8642` or an address alone. Raises Mistakes, and Refused
        for an address that others can reach unless that is meant (`anywhere`)."""
        host, port = _parted(text)
        if not (host.is_loopback or anywhere):
            raise Refused(
                f"--listen {text}: everybody who reaches {host} could read the status page",
                state="nothing is watched or served",
                next=f"--listen 127.0.0.1:{port}, or add --listen-anywhere if that is meant",
            )
        return cls(str(host), port, tuple(name.lower() for name in names))

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    def bind(self) -> socket.socket:
        """Raises Refused when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=128)
        except OSError as error:
            raise Refused(
                f"cannot listen on {self.url}: {error.strerror}",
                state="nothing is watched or served",
                next="name another port: --listen 127.0.0.1:0 takes any free one",
            ) from error

    def answers_to(self, header: str) -> bool:
        """Whether a request with this Host header means us."""
        name = _name_in(header)
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return self.loopback and name in LOCAL
        return address.is_loopback or not self.loopback


def _parted(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    found = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[^:\[\]]*))(?::?(?P<port>\d+))?", text)
    if found is None or not text:
        raise _mistaken(text)
    host, port = found["six"] or found["four"] or "127.0.0.1", found["port"]
    if host.isdigit():
        host, port = "127.0.0.1", host + (port or "")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        number = int(port) if port else PORT
        if number > 65535:
            raise ValueError
        return ipaddress.ip_address(host), number
    except ValueError:
        raise _mistaken(text) from None


def _mistaken(text: str) -> Mistakes:
    return Mistakes(
        f"--listen {text!r} is no address; write 127.0.0.1:8642 or [::1]:8642",
        where="command line",
        next="invoke watch --listen 127.0.0.1:8642",
    )


def _name_in(header: str) -> str:
    """The host of a Host header, without its port."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^:\[\]/@\s]+))(?::\d{1,5})?", header)
    return (found[1] or found[2]).lower().rstrip(".") if found else ""
