"""What curl's error numbers mean, in plain words."""

from __future__ import annotations

import os
import re
from errno import ECONNREFUSED
from typing import Any
from urllib.parse import urlsplit

import pycurl

from backout.probes.base import place

PORTS = {"http": 80, "https": 443}


def explain(curl: Any, error: pycurl.error, url: str, timeout: float, address: str = "") -> str:
    """Why there is no answer, for the operator; `address` stood in for the URL's name."""
    number, message = error.args
    parts = urlsplit(url)
    peer = curl.getinfo(pycurl.PRIMARY_IP) or address or parts.hostname or ""
    where = place(peer, parts.port or PORTS[parts.scheme])
    match number:
        case pycurl.E_COULDNT_RESOLVE_HOST:
            return f"could not resolve {address or parts.hostname}"
        case pycurl.E_COULDNT_CONNECT:
            return _refused(curl.getinfo(pycurl.OS_ERRNO), where, message)
        case pycurl.E_OPERATION_TIMEDOUT:
            return f"timed out after {timeout:g} s while {_phase(curl, parts.scheme)} ({where})"
        case pycurl.E_GOT_NOTHING:
            return f"{where} closed the connection without an answer"
        case pycurl.E_PARTIAL_FILE:
            return f"{where} closed the connection in the middle of its answer"
        case pycurl.E_RECV_ERROR | pycurl.E_SEND_ERROR:
            words = _broken(curl.getinfo(pycurl.OS_ERRNO), where, message)
            return f"{words}{_suspicion(curl, parts.scheme)}"
        case pycurl.E_PEER_FAILED_VERIFICATION:
            return f"{certificate_trouble(message)} ({where})"
        case pycurl.E_SSL_CONNECT_ERROR:
            if told := refusal(message, after=False):
                return f"{told} ({where})"
            return f"the TLS handshake with {where} failed: {message}"
        case pycurl.E_UNSUPPORTED_PROTOCOL | pycurl.E_FTP_WEIRD_SERVER_REPLY:
            return f"{where} does not speak HTTP: {message}"
    return f"{message or f'curl error {number}'} ({where})"


def timing(curl: Any) -> dict[str, float]:
    """Each phase's own milliseconds, from the moments that curl noted."""
    dns, connected, secured, first, total = (
        curl.getinfo(moment) * 1000
        for moment in (
            pycurl.NAMELOOKUP_TIME,
            pycurl.CONNECT_TIME,
            pycurl.APPCONNECT_TIME,
            pycurl.STARTTRANSFER_TIME,
            pycurl.TOTAL_TIME,
        )
    )
    ready = secured or connected
    phases = {
        "dns": dns,
        "connect": max(0.0, connected - dns),
        "tls": max(0.0, secured - connected),
        "first_byte": max(0.0, first - ready),
        "total": total,
    }
    return {name: round(value, 3) for name, value in phases.items()}


def certificate_trouble(message: str) -> str:
    """OpenSSL's reason without what curl has around it, which differs by its version."""
    preamble = r"SSL certificate (?:problem: |OpenSSL verify result: )|(?:SSL|certificate verify): "
    return re.sub(rf"^(?:{preamble})| \(\d+\)$", "", message)


def refusal(message: str, *, after: bool = True) -> str:
    """What a server's TLS alert means for who we are: `after` the handshake any alert is about
    that, within it those that name a certificate. Empty for any other message."""
    said = message.lower().replace("_", " ")
    if "certificate required" in said:
        return "the server wants a client certificate"
    ours = r"unknown ca|bad certificate|unsupported certificate|certificate \w+|access denied"
    found = re.search(rf"\balert ({r'[a-z ]+' if after else ours})", said.rpartition("]")[2])
    return f"the server does not take our certificate: {found[1].strip()}" if found else ""


def _suspicion(curl: Any, scheme: str) -> str:
    """Since TLS 1.3 a server that wants a certificate hangs up after the handshake, and its alert
    may be lost."""
    secured = scheme == "https" and curl.getinfo(pycurl.APPCONNECT_TIME)
    early = secured and not curl.getinfo(pycurl.HEADER_SIZE)
    return ", right after the TLS handshake: does it want a client certificate?" if early else ""


def _refused(errno: int, where: str, message: str) -> str:
    if not errno:
        return f"could not connect to {where}: {message}"
    words = os.strerror(errno).lower()
    return f"{words} by {where}" if words == "connection refused" else f"{words}: {where}"


def _broken(errno: int, where: str, message: str) -> str:
    if told := refusal(message):
        return f"{told} ({where})"
    if "alert" in message or errno == ECONNREFUSED:  # left over from another address
        errno = 0
    words = os.strerror(errno).lower() if errno else message
    return f"{words} ({where})" if "peer" in words else f"the connection to {where} broke: {words}"


def _phase(curl: Any, scheme: str) -> str:
    if not curl.getinfo(pycurl.NAMELOOKUP_TIME):
        return "resolving the name"
    if not curl.getinfo(pycurl.CONNECT_TIME):
        return "connecting"
    if scheme == "https" and not curl.getinfo(pycurl.APPCONNECT_TIME):
        return "agreeing on TLS"
    if not curl.getinfo(pycurl.STARTTRANSFER_TIME):
        return "waiting for the answer"
    return "reading the answer"
