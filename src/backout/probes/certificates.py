"""Certificates, as curl hands them over."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

Chain = Sequence[Iterable[tuple[str, str]]]


def facts_of(chain: Chain) -> dict[str, Any]:
    """The server's certificate; `days_left` is that of the first one in the chain to expire."""
    described = [describe(certificate) for certificate in chain]
    soonest = min(each["days_left"] for each in described)
    return {**described[0], "days_left": soonest, "chain": described}


def describe(certificate: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """One certificate of the chain as plain data."""
    said = dict(certificate)
    expires = ssl.cert_time_to_seconds(said["Expire date"])
    return {
        "subject": said.get("Subject", ""),
        "issuer": said.get("Issuer", ""),
        "not_after": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days_left": int((expires - time.time()) // 86400),
    }


def names_of(certificate: Iterable[tuple[str, str]]) -> list[str]:
    """The host names and addresses that a certificate is good for."""
    from cryptography import x509

    parsed = x509.load_pem_x509_certificate(dict(certificate)["Cert"].encode())
    try:
        good_for = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in good_for]
