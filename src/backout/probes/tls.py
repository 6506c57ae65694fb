"""`tls`: the certificates that a server shows, whether they are trusted or not."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import pycurl

from backout.model import Observation, Options, Words
from backout.ports import ProbeRequest
from backout.probes import starttls
from backout.probes.base import Kind, address_of, authorities, instead_of_any, place
from backout.probes.certificates import facts_of, names_of
from backout.probes.connect import connected
from backout.probes.curl import certificate_trouble, explain, refusal

PATIENCE = 0.3
"""Seconds that a server is given to say, after the handshake, that it will not have us."""


class TlsOptions(Options):
    """`host:port`; the port is 443, or the usual one of `starttls`, unless it is given."""

    short: ClassVar[str] = "address"
    address: str
    starttls: Literal["", "smtp", "imap", "pop3", "ftp", "postgres", "ldap"] = ""
    """The protocol in which TLS is asked for, where it does not begin by itself."""
    ca: str = ""
    cert: str = ""
    """Who we are, for a server that asks: a PEM file, and with `key` that of its key."""
    key: str = ""


class Tls(Kind):
    """Looks twice: trusting anybody, to read the certificates even when they are expired, and
    then as strictly as a browser. On a host it connects to that host's address."""

    Options: ClassVar[type[Options]] = TlsOptions
    connects: ClassVar[bool] = True
    names: ClassVar[Mapping[str, str]] = {
        "tls": "verified, reason, days_left and first_to_end of those that matter, not_after,"
        " subject, issuer, names, the whole chain; accepted and refusal, what the server says to"
        " our own certificate",
        "elapsed_ms": "the handshake in milliseconds",
    }
    kinds: ClassVar[Mapping[str, str]] = {
        "elapsed_ms": "a number",
        "tls": "a mapping",
        "tls.verified": "a boolean",
        "tls.accepted": "a boolean",
        "tls.days_left": "a number",
        "tls.chain": "a list",
        "tls.names": "a list",
    }
    expects: ClassVar[Words] = ("tls.verified && tls.accepted",)

    def observe(self, look: ProbeRequest) -> Observation:
        """Read the chain, then verify it, then see whether the server will have us."""
        started = time.monotonic()

        def left() -> float:
            return max(0.001, look.timeout - (time.monotonic() - started))

        try:
            handshake = _Handshake(look, left)
            chain, trouble = handshake.shaken(strict=False)
            elapsed = (time.monotonic() - started) * 1000
            if not chain:
                return Observation(error=trouble or "no certificate came", elapsed_ms=elapsed)
            _, reason = handshake.shaken(strict=True)
            refused = handshake.refusal()
        except (OSError, starttls.NotOffered) as error:
            elapsed = (time.monotonic() - started) * 1000
            return Observation(error=_words(look, error), elapsed_ms=elapsed)
        shown = facts_of(chain, handshake.bundle) | {"names": names_of(chain[0])}
        judged = {"verified": not reason, "reason": reason}
        judged |= {"accepted": not refused, "refusal": refused}
        excerpt = f"{shown['subject']} until {shown['not_after']} {reason} {refused}".rstrip()
        facts = {"tls": shown | judged, "elapsed_ms": elapsed}
        return Observation(facts, elapsed_ms=elapsed, excerpt=excerpt)


def _split(address: str, usual: int) -> tuple[str, int]:
    name, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and not name.endswith(":"):
        return name.strip("[]"), int(port)
    return address.strip("[]"), usual


def _words(look: ProbeRequest, error: Exception) -> str:
    protocol = look.options.starttls
    if isinstance(error, TimeoutError):
        return f"timed out after {look.timeout:g} s ({look.options.address})"
    if isinstance(error, starttls.NotOffered):
        return f"no TLS over {protocol} from {look.options.address}: {error}"
    return f"{(getattr(error, 'strerror', '') or str(error)).lower()} ({look.options.address})"


class _Handshake:
    """Handshakes with one server, each over a connection of its own."""

    def __init__(self, look: ProbeRequest, left: Callable[[], float]) -> None:
        self.look, self.left = look, left
        options = look.options
        self.name, self.port = _split(options.address, starttls.port_of(options.starttls))
        self.address = address_of(look.host)
        self.bundle = options.ca or authorities()

    def shaken(self, *, strict: bool) -> tuple[list[Any], str]:
        """Shake hands and hang up: the chain, and what was wrong."""
        url = f"https://{place(self.name, self.port)}"
        curl = pycurl.Curl()
        link = self._begun() if self.look.options.starttls else None
        try:
            self._prepare(curl, url, link, strict=strict)
            curl.perform()
            return curl.getinfo(pycurl.INFO_CERTINFO), ""
        except pycurl.error as error:
            if error.args[0] == pycurl.E_PEER_FAILED_VERIFICATION:
                return [], certificate_trouble(error.args[1])
            return [], explain(curl, error, url, self.look.timeout, self.address)
        finally:
            curl.close()
            if link:
                link.close()

    def _begun(self) -> socket.socket:
        """A connection on which the server waits for the handshake."""
        link = connected(self.address or self.name, self.port, self.left())
        try:
            if self.look.options.starttls:
                starttls.ask(link, self.look.options.starttls)
        except BaseException:
            link.close()
            raise
        return link

    def _prepare(self, curl: Any, url: str, link: socket.socket | None, *, strict: bool) -> None:
        options, left = self.look.options, max(1, int(self.left() * 1000))
        curl.setopt(pycurl.URL, url.encode())
        curl.setopt(pycurl.CONNECT_ONLY, 1)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.SSL_ENABLE_ALPN, 0)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.TIMEOUT_MS, left)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, left)
        curl.setopt(pycurl.OPT_CERTINFO, 1)
        curl.setopt(pycurl.SSL_VERIFYPEER, int(strict))
        curl.setopt(pycurl.SSL_VERIFYHOST, 2 if strict else 0)
        if self.bundle:
            curl.setopt(pycurl.CAINFO, self.bundle)
        if options.cert:
            curl.setopt(pycurl.SSLCERT, options.cert)
            curl.setopt(pycurl.SSLKEY, options.key or options.cert)
        if link is not None:
            instead = link.getpeername()[0]
            curl.setopt(pycurl.CONNECT_TO, [instead_of_any(instead)])
            curl.setopt(pycurl.OPENSOCKETFUNCTION, lambda _purpose, _address: link)
            already = pycurl.SOCKOPT_ALREADY_CONNECTED
            curl.setopt(pycurl.SOCKOPTFUNCTION, lambda _link, _purpose: already)
        elif self.address:
            curl.setopt(pycurl.CONNECT_TO, [instead_of_any(self.address)])

    def refusal(self) -> str:
        """Since TLS 1.3 a server says only after the handshake that it wants a certificate of
        ours, or will not have the one it got."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.look.options.cert:
            context.load_cert_chain(self.look.options.cert, self.look.options.key or None)
        with self._begun() as plain:
            try:
                with context.wrap_socket(plain, server_hostname=self.name) as link:
                    link.settimeout(min(PATIENCE, self.left()))
                    link.recv(1)
            except TimeoutError:
                return ""
            except ssl.SSLError as error:
                return refusal(str(error))
            except ConnectionError:  # its alert, if there was one, is lost
                return "the server closed the connection right after the handshake"
        return ""
