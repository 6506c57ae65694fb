"""`tls`: every certificate is read, and judged as strictly as a browser does."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.model import Host
from backout.probes.curl import certificate_trouble
from backout.probes.tls import Tls
from support.looks import observe
from support.loopback import Raw, Web, authority, reset
from support.ports import free_port


def test_a_good_certificate_is_verified_and_described(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    with Web(certificate=ca.issue("127.0.0.1", "shop.test", days=40)) as web:
        seen = observe(Tls, {"address": f"127.0.0.1:{web.port}", "ca": str(ca.file)})
    assert not seen.error
    tls = seen.facts["tls"]
    assert (tls["verified"], tls["reason"]) == (True, "")
    assert tls["days_left"] == 40
    assert tls["subject"] == "CN = 127.0.0.1"
    assert tls["issuer"] == "CN = Test Authority"
    assert tls["names"] == ["127.0.0.1", "shop.test"]
    assert len(tls["chain"]) == 1
    assert seen.facts["elapsed_ms"] > 0


@pytest.mark.parametrize(
    "said",
    [
        "SSL certificate problem: certificate has expired",
        "SSL certificate OpenSSL verify result: certificate has expired (10)",
        "certificate verify: certificate has expired",
    ],
)
def test_why_a_certificate_is_not_taken_is_said_without_what_curl_has_around_it(said: str) -> None:
    assert certificate_trouble(said) == "certificate has expired"


@pytest.mark.parametrize("spelled", ["127.1", "0x7f000001", "%31%32%37.0.0.1", "LOCALHOST"])
def test_on_a_host_it_is_asked_however_the_address_spells_another(
    tmp_path: Path, spelled: str
) -> None:
    ca = authority(tmp_path)
    with (
        Web(certificate=ca.issue("own.test")) as own,
        Web(certificate=ca.issue("web2.test"), address="127.0.0.2", port=own.port),
    ):
        options = {"address": f"{spelled}:{own.port}", "ca": str(ca.file)}
        seen = observe(Tls, options, host=Host(name="web2", address="127.0.0.2"))
    assert seen.facts["tls"]["names"] == ["web2.test"]


@pytest.mark.parametrize(
    ("name", "days", "trusted", "reason"),
    [
        ("127.0.0.1", -3, True, "certificate has expired"),
        ("shop.test", 90, True, "no alternative certificate subject name matches"),
        ("127.0.0.1", 90, False, "unable to get local issuer certificate"),
    ],
    ids=["expired", "another name", "unknown authority"],
)
def test_a_bad_certificate_is_still_read(
    tmp_path: Path, name: str, days: float, trusted: bool, reason: str
) -> None:
    ca = authority(tmp_path)
    with Web(certificate=ca.issue(name, days=days)) as web:
        options = {"address": f"127.0.0.1:{web.port}"} | ({"ca": str(ca.file)} if trusted else {})
        seen = observe(Tls, options)
    assert not seen.error
    assert seen.facts["tls"]["verified"] is False
    assert seen.facts["tls"]["reason"].startswith(reason)
    assert seen.facts["tls"]["days_left"] == days
    assert reason in seen.excerpt


def test_the_whole_chain_is_shown_and_its_first_end_counts(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    between = ca.issue("Between", days=5, authority=True)
    with Web(certificate=between.issue("shop.test", days=60)) as web:
        host = Host(name="web1", address="127.0.0.1")
        options = {"address": f"shop.test:{web.port}", "ca": str(ca.file)}
        seen = observe(Tls, options, host=host)
    tls = seen.facts["tls"]
    assert [each["days_left"] for each in tls["chain"]] == [60, 5]
    assert [each["issuer"] for each in tls["chain"]] == ["CN = Between", "CN = Test Authority"]
    assert tls["days_left"] == 5
    assert tls["verified"] is True
    assert web.sni == "shop.test"


def test_no_tls_is_an_error_in_plain_words() -> None:
    port = free_port()
    refused = observe(Tls, f"127.0.0.1:{port}")
    assert refused.error == f"connection refused by 127.0.0.1:{port}"
    with Web() as plain:
        seen = observe(Tls, f"127.0.0.1:{plain.port}")
    assert f"the TLS handshake with 127.0.0.1:{plain.port} failed" in seen.error
    with Raw(reset) as server:
        assert observe(Tls, f"127.0.0.1:{server.port}").error
    assert refused.facts == seen.facts == {}


def test_a_server_that_says_nothing_times_out() -> None:
    with Raw(lambda _: None) as server:
        seen = observe(Tls, f"127.0.0.1:{server.port}", timeout=2)
    assert "timed out after 2 s while agreeing on TLS" in seen.error
