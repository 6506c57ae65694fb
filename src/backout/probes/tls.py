"""`tls`: the certificates that a server shows, whether they are trusted or not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import pycurl

from backout.model import Observation, Options, Words
from backout.ports import Look
from backout.probes.base import Kind, address_of, authorities, instead_of_any, place
from backout.probes.certificates import facts_of, names_of
from backout.probes.curl import certificate_trouble, explain


class TlsOptions(Options):
    """`host:port`; the port is 443 unless it is given."""

    short: ClassVar[str] = "address"
    address: str
    ca: str = ""


class Tls(Kind):
    """Looks twice: trusting anybody, to read the certificates even when they are expired, and
    then as strictly as a browser. On a host it connects to that host's address."""

    Options: ClassVar[type[Options]] = TlsOptions
    names: ClassVar[Mapping[str, str]] = {
        "tls": "verified, reason, days_left of the first one to expire, not_after, subject,"
        " issuer, names, and the whole chain",
        "elapsed_ms": "the handshake in milliseconds",
    }
    expects: ClassVar[Words] = ("tls.verified",)

    def observe(self, look: Look) -> Observation:
        """Read the chain, then verify it."""
        started = time.monotonic()
        name, port = _split(look.options.address)
        chain, trouble = _shake(look, name, port, look.timeout, strict=False)
        elapsed = (time.monotonic() - started) * 1000
        if not chain:
            return Observation(error=trouble or "no certificate came", elapsed_ms=elapsed)
        left = look.timeout - elapsed / 1000
        _, reason = _shake(look, name, port, max(left, 0.001), strict=True)
        shown = facts_of(chain) | {"names": names_of(chain[0])}
        facts = {"tls": shown | {"verified": not reason, "reason": reason}, "elapsed_ms": elapsed}
        excerpt = f"{shown['subject']} until {shown['not_after']} {reason}".rstrip()
        return Observation(facts, elapsed_ms=elapsed, excerpt=excerpt)


def _split(address: str) -> tuple[str, int]:
    name, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and not name.endswith(":"):
        return name.strip("[]"), int(port)
    return address.strip("[]"), 443


def _shake(
    look: Look, name: str, port: int, timeout: float, *, strict: bool
) -> tuple[list[Any], str]:
    """Shake hands and hang up: the chain, and what was wrong."""
    url = f"https://{place(name, port)}"
    curl = pycurl.Curl()
    try:
        curl.setopt(pycurl.URL, url.encode())
        curl.setopt(pycurl.CONNECT_ONLY, 1)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.SSL_ENABLE_ALPN, 0)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout * 1000)))
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(timeout * 1000)))
        curl.setopt(pycurl.OPT_CERTINFO, 1)
        curl.setopt(pycurl.SSL_VERIFYPEER, int(strict))
        curl.setopt(pycurl.SSL_VERIFYHOST, 2 if strict else 0)
        if bundle := look.options.ca or authorities():
            curl.setopt(pycurl.CAINFO, bundle)
        if address := address_of(look.host):
            curl.setopt(pycurl.CONNECT_TO, [instead_of_any(address)])
        curl.perform()
        return curl.getinfo(pycurl.INFO_CERTINFO), ""
    except pycurl.error as error:
        if error.args[0] == pycurl.E_PEER_FAILED_VERIFICATION:
            return [], certificate_trouble(error.args[1])
        return [], explain(curl, error, url, look.timeout, address_of(look.host))
    finally:
        curl.close()
