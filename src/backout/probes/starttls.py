"""Asking a server that begins in plain text for TLS, up to the moment of the handshake."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Mapping

LONGEST = 16 * 1024
_LDAP = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
"""An extended request, numbered 1, by RFC 4511: the name of StartTLS, and no value."""


class NotOffered(Exception):
    """The server does not speak the protocol, or will not have TLS; with its words."""


def ask(link: socket.socket, protocol: str) -> None:
    """Go on until the server waits for the handshake. Raises NotOffered, and OSError."""
    _PROTOCOLS[protocol][1](link)


def port_of(protocol: str) -> int:
    """The usual port of a protocol; 443 without one."""
    return _PROTOCOLS[protocol][0] if protocol else 443


def _smtp(link: socket.socket) -> None:
    _until(link, rb"220[ \r\n].*")
    link.sendall(b"EHLO backout\r\n")
    _until(link, rb"250[ \r\n].*", begun=rb"250-.*")
    _said(link, b"STARTTLS\r\n", rb"220[ \r\n].*")


def _imap(link: socket.socket) -> None:
    _until(link, rb"\* (?:OK|PREAUTH).*")
    _said(link, b"a STARTTLS\r\n", rb"a OK.*", begun=rb"\* .*")


def _pop3(link: socket.socket) -> None:
    _until(link, rb"\+OK.*")
    _said(link, b"STLS\r\n", rb"\+OK.*")


def _ftp(link: socket.socket) -> None:
    _until(link, rb"220[ \r\n].*", begun=rb"220-.*| .*")
    _said(link, b"AUTH TLS\r\n", rb"234.*")


def _postgres(link: socket.socket) -> None:
    link.sendall(struct.pack("!ii", 8, 80877103))
    answer = link.recv(1)
    if answer != b"S":
        words = "it has TLS switched off" if answer == b"N" else f"it said {answer!r}"
        raise NotOffered(words)


def _ldap(link: socket.socket) -> None:
    link.sendall(_LDAP)
    answer = link.recv(LONGEST)
    if b"\x0a\x01\x00" not in answer[:16]:
        raise NotOffered(f"it said {answer[:60]!r}")


def _said(link: socket.socket, words: bytes, wanted: bytes, begun: bytes = rb"(?!)") -> None:
    link.sendall(words)
    _until(link, wanted, begun)


def _until(link: socket.socket, wanted: bytes, begun: bytes = rb"\d{3}-.*") -> None:
    """Read line by line, and not one octet more: what follows is TLS."""
    while True:
        line = _line(link)
        if re.match(wanted, line):
            return
        if not re.match(begun, line):
            raise NotOffered(f"it said {line.decode('utf-8', 'replace').strip()!r}")


def _line(link: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < LONGEST:
        octet = link.recv(1)
        if not octet:
            raise NotOffered(f"it closed the connection after {line!r}")
        line += octet
    return line


_PROTOCOLS: Mapping[str, tuple[int, Callable[[socket.socket], None]]] = {
    "smtp": (25, _smtp),
    "imap": (143, _imap),
    "pop3": (110, _pop3),
    "ftp": (21, _ftp),
    "postgres": (5432, _postgres),
    "ldap": (389, _ldap),
}
