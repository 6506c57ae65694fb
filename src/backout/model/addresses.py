"""When two spellings are one address. Pure."""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import suppress
from urllib.parse import unquote

_NUMBERS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}")


def canonical(name: str) -> str:
    """A host's name or address as it is compared: `127.1`, `0x7f000001`, `2130706433` and
    `[::ffff:127.0.0.1]` are `127.0.0.1`; a name is in lower case, without escapes and without
    its last dot."""
    plain = unquote(name).strip("[]").lower().removesuffix(".")
    if _NUMBERS.fullmatch(plain):
        with suppress(OSError):
            return socket.inet_ntoa(socket.inet_aton(plain))
    with suppress(ValueError):
        address = ipaddress.ip_address(plain)
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return str(mapped or address)
    with suppress(UnicodeError):
        return plain.encode("idna").decode()
    return plain
