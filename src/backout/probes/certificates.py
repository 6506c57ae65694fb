"""Certificates, as curl hands them over: which of a chain ends when, and whether that matters."""

from __future__ import annotations

import ssl
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backout.model.files import refuse_endless

if TYPE_CHECKING:
    from cryptography import x509

Chain = Sequence[Iterable[tuple[str, str]]]
Ends = Mapping[bytes, datetime]


def facts_of(chain: Chain, bundle: str) -> dict[str, Any]:
    """The server's certificate, and the whole chain. `days_left` is that of the first one to end
    on the way from the server's to an authority of `bundle`, that authority included: what a
    server sends beside that way, such as an old root, matters to nobody."""
    parsed = [_parsed(dict(certificate)["Cert"]) for certificate in chain]
    way, anchor = _way(parsed, _authorities(bundle, _changed(bundle)))
    described = [
        {**describe(each), "needed": at in way} for at, each in enumerate(map(dict, chain))
    ]
    ends = [(each["days_left"], each["subject"]) for each in described if each["needed"]]
    if anchor:
        ends.append((_days(anchor.timestamp()), f"{described[max(way)]['issuer']} (the authority)"))
    days_left, first = min(ends)
    shown = {key: value for key, value in described[0].items() if key != "needed"}
    return {**shown, "days_left": days_left, "first_to_end": first, "chain": described}


def describe(certificate: Mapping[str, str]) -> dict[str, Any]:
    """One certificate of the chain as plain data."""
    expires = ssl.cert_time_to_seconds(certificate["Expire date"])
    return {
        "subject": certificate.get("Subject", ""),
        "issuer": certificate.get("Issuer", ""),
        "not_after": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "days_left": _days(expires),
    }


def names_of(certificate: Iterable[tuple[str, str]]) -> list[str]:
    """The host names and addresses that a certificate is good for."""
    from cryptography import x509

    parsed = _parsed(dict(certificate)["Cert"])
    try:
        good_for = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in good_for]


def _days(expires: float) -> int:
    return int((expires - time.time()) // 86400)


def _way(
    chain: Sequence[x509.Certificate], authorities: Ends
) -> tuple[Sequence[int], datetime | None]:
    """The places of those that lead from the first to an authority, and when that one ends. All
    of them, where none is known: then nobody can tell which matter."""
    way = [0]
    while True:
        issuer = chain[way[-1]].issuer.public_bytes()
        if issuer in authorities:
            return way, authorities[issuer]
        onward = (
            at
            for at, each in enumerate(chain)
            if at not in way and each.subject.public_bytes() == issuer
        )
        if (found := next(onward, None)) is None:
            return range(len(chain)), None
        way.append(found)


@lru_cache(maxsize=512)
def _parsed(pem: str) -> x509.Certificate:
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old authorities break rules that are younger
        return x509.load_pem_x509_certificate(pem.encode())


@lru_cache(maxsize=8)
def _authorities(bundle: str, _changed: float) -> Ends:
    """The authorities of a file by name, each with the latest moment at which one of that name
    ends; none of a file that cannot be read."""
    found: dict[bytes, datetime] = {}
    for part in _pems(bundle):
        try:
            each = _parsed(part)
        except ValueError:
            continue
        name, ends = each.subject.public_bytes(), each.not_valid_after_utc
        found[name] = max(ends, found.get(name, ends))
    return found


def _pems(bundle: str) -> Iterable[str]:
    end = "-----END CERTIFICATE-----"
    try:
        refuse_endless(Path(bundle))
        content = Path(bundle).read_text(errors="replace")
    except (OSError, ValueError):
        return ()
    parts = (part.partition("-----BEGIN CERTIFICATE-----") for part in content.split(end))
    return [begin + body + end for _words, begin, body in parts if begin]


def _changed(bundle: str) -> float:
    try:
        return Path(bundle).stat().st_mtime
    except (OSError, ValueError):
        return 0.0
