"""What the kinds of check share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import ClassVar

from backout.model import Host, NoOptions, Options, Words

EXCERPT = 16 * 1024
"""How much evidence a probe hands over; it is redacted first and cut to size after that."""

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class Kind:
    """The usual kind: it needs `expect`, and its cleanup is done when `expects` holds."""

    Options: ClassVar[type[Options]] = NoOptions
    names: ClassVar[Mapping[str, str]] = {}
    kinds: ClassVar[Mapping[str, str]] = {"elapsed_ms": "a number"}
    """Of some of the names, and of what is below them, the kind of value: for lint."""
    expects: ClassVar[Words] = ()
    """What holds when all is well: judges a cleanup, and a check of a kind that judges itself."""
    per_host: ClassVar[bool] = False
    """True when a check of this kind looks at hosts only: `on` is needed."""
    connects: ClassVar[bool] = False
    """True when it connects to the host, or to what stands near it, by itself: such a host that
    another zone alone reaches is looked at from there."""
    blames: ClassVar[bool] = True
    """False when what it finds is no fault of the release: it takes none back."""
    judges_itself: ClassVar[bool] = False
    """True when a check of this kind may do without `expect`."""


def address_of(host: Host | None) -> str:
    """Where to connect for a check on `host`; empty when names are to be resolved as usual."""
    if host is None or host.connection == "local":
        return ""
    return host.address or host.name


def ending(text: str) -> str:
    """The end of a text that is too long as evidence, in whole lines: half a secret is not known
    for one."""
    end = text[-EXCERPT:]
    return end if len(end) == len(text) else end.partition("\n")[2] or end


def place(name: str, port: int | str) -> str:
    """`name:port`, with an IPv6 address in brackets."""
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def instead_of_any(address: str) -> str:
    """For curl's CONNECT_TO: this address, whatever host the URL names. (Named, it would have to
    be spelled as curl spells it after it has read the URL.)"""
    return f"::{place(address, '')}"


@cache
def authorities() -> str:
    """The file of trusted certificate authorities: the machine's own, where private ones are
    installed too, else certifi's; empty leaves it to the library."""
    import ssl

    own = ssl.get_default_verify_paths().cafile
    for path in (own, *BUNDLES):
        if path and Path(path).is_file():
            return path
    try:
        import certifi
    except ImportError:
        return ""
    return certifi.where()
