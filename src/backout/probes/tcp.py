"""`tcp`: does something accept connections there, and what does it say."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import ClassVar

from backout.model import Boolean, Observation, Options, Slips, Words
from backout.ports import ProbeRequest
from backout.probes.base import EXCERPT, Kind, address_of, place
from backout.probes.connect import connected

QUIET = 1.0
"""Seconds of silence after which what came is all that comes."""
NO_PLACE = "{!r} is not host:port"


class TcpOptions(Options):
    """`host:port`; on a host the port alone is enough."""

    short: ClassVar[str] = "address"
    address: str | int
    send: str = ""
    banner: Boolean = False
    """Wait for what the server says first, or answers to `send`."""

    def slips(self) -> Slips:
        if "{{" not in str(self.address) and not _port(str(self.address)):
            yield "address", NO_PLACE.format(self.address)


class Tcp(Kind):
    """On a host it connects to that host's address, whatever name stands before the port."""

    Options: ClassVar[type[Options]] = TcpOptions
    connects: ClassVar[bool] = True
    names: ClassVar[Mapping[str, str]] = {
        "connected": "true when the connection was accepted",
        "banner": "what the server said, when `send` or `banner` asks for it",
        "elapsed_ms": "connecting, in milliseconds",
    }
    kinds: ClassVar[Mapping[str, str]] = {
        "elapsed_ms": "a number",
        "connected": "a boolean",
        "banner": "text",
    }
    expects: ClassVar[Words] = ("connected",)

    def observe(self, look: ProbeRequest) -> Observation:
        """Connect; say and hear what the options ask for."""
        address = str(look.options.address)
        name = address_of(look.host) or address.rpartition(":")[0].strip("[]") or "127.0.0.1"
        if not (port := _port(address)):
            return Observation(error=NO_PLACE.format(look.options.address))
        started = time.monotonic()
        doing = "connecting"
        try:
            with connected(name, port, look.timeout) as link:
                elapsed = (time.monotonic() - started) * 1000
                facts: dict[str, object] = {"connected": True, "elapsed_ms": elapsed}
                doing = "waiting for its words"
                if look.options.send or look.options.banner:
                    link.sendall(look.vault.reveal(look.options.send).encode())
                    facts["banner"] = _heard(link, started + look.timeout)
        except TimeoutError:
            error = f"timed out after {look.timeout:g} s while {doing} ({place(name, port)})"
        except socket.gaierror:
            error = f"could not resolve {name}"
        except OSError as trouble:
            error = _words(trouble, place(name, port))
        else:
            return Observation(facts, elapsed_ms=elapsed, excerpt=str(facts.get("banner", "")))
        return Observation(error=error, elapsed_ms=(time.monotonic() - started) * 1000)


def _port(address: str) -> int:
    """The port that it ends with; 0 where it ends with none."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdecimal() and int(port) < 65536 else 0


def _heard(link: socket.socket, deadline: float) -> str:
    """The first line, or as much as came before the server closed, fell silent, or EXCERPT was
    full. Raises TimeoutError when nothing came."""
    heard = b""
    while b"\n" not in heard and len(heard) < EXCERPT:
        left = max(0.001, deadline - time.monotonic())
        link.settimeout(min(left, QUIET) if heard else left)
        try:
            chunk = link.recv(4096)
        except TimeoutError:
            if heard:
                break
            raise
        if not chunk:
            break
        heard += chunk
    return heard[:EXCERPT].decode("utf-8", "replace")


def _words(trouble: OSError, where: str) -> str:
    words = (trouble.strerror or str(trouble)).lower()
    return f"{words} by {where}" if words == "connection refused" else f"{words}: {where}"
