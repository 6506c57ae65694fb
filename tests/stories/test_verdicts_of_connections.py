"""`tcp`, `tls` and `http` against servers that are half there: what is told is true."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.model import Host
from backout.probes.http import Http
from backout.probes.sql import Sql
from backout.probes.tcp import Tcp
from backout.probes.tls import Tls
from support.looks import observe
from support.loopback import Certificate, Raw, Web, authority
from support.ports import free_port
from support.postgres import Postgres

HERE = Host(name="web1", address="127.0.0.1")

# --- tcp ---------------------------------------------------------------------------------


@contextlib.contextmanager
def black_hole(port: int) -> Iterator[str]:
    """An address on which a connection is neither taken nor refused: its queue is full."""
    with contextlib.ExitStack() as links:
        hole = links.enter_context(socket.create_server(("127.0.0.9", port), backlog=0))
        for _ in range(3):
            link = links.enter_context(socket.socket())
            link.setblocking(False)
            link.connect_ex(hole.getsockname())
        yield "127.0.0.9"


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """A name with these addresses, in this order."""

    def answer(_name: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_an_address_that_is_silent_does_not_hold_up_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Raw(lambda link: link.sendall(b"well\n")) as server, black_hole(server.port) as hole:
        resolving(monkeypatch, hole, "127.0.0.8", "127.0.0.1")
        options = {"address": f"shop.test:{server.port}", "banner": True}
        seen = observe(Tcp, options, timeout=30.0)
    assert (seen.error, seen.facts["banner"]) == ("", "well\n")
    assert seen.elapsed_ms < 15_000


def test_all_addresses_share_one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with black_hole(port) as hole:
        resolving(monkeypatch, *[hole] * 10)
        seen = observe(Tcp, f"shop.test:{port}", timeout=2.0)
    assert seen.error == f"timed out after 2 s while connecting (shop.test:{port})"
    assert seen.elapsed_ms < 15_000


def test_when_every_address_refuses_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    resolving(monkeypatch, "127.0.0.7", "127.0.0.8")
    assert observe(Tcp, f"shop.test:{port}").error == f"connection refused by shop.test:{port}"


@pytest.mark.parametrize("hosts", ["db.test", "far.test,db.test"])
def test_a_database_is_found_behind_whichever_of_its_addresses_answers(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, hosts: str
) -> None:
    at = {"database": f"host={hosts} port={postgres.port} user=postgres", "query": "SELECT 1 AS n"}
    with black_hole(postgres.port) as hole:
        resolving(monkeypatch, hole, hole, hole, "127.0.0.1")
        seen = observe(Sql, at, timeout=20.0)
        resolving(monkeypatch, *[hole] * 10)
        lost = observe(Sql, at, timeout=2.0)
    assert (seen.error, seen.facts.get("rows")) == ("", [{"n": 1}])
    assert seen.elapsed_ms < 15_000
    assert lost.error == "no answer within 2 s"
    assert lost.elapsed_ms < 15_000


def test_a_banner_without_a_line_break_is_what_came() -> None:
    done = threading.Event()

    def prompt(link: socket.socket) -> None:
        link.sendall(b"login: ")
        done.wait(60)

    with Raw(prompt) as server:
        seen = observe(Tcp, {"address": f"127.0.0.1:{server.port}", "banner": True}, timeout=30)
        done.set()
    assert (seen.error, seen.facts["banner"]) == ("", "login: ")


# --- client certificates -----------------------------------------------------------------


@pytest.fixture
def ca(tmp_path: Path) -> Certificate:
    return authority(tmp_path)


@pytest.mark.parametrize("kind", [Http, Tls])
def test_a_server_that_wants_a_client_certificate_is_told_as_that(
    ca: Certificate, kind: Any
) -> None:
    ours, stranger = ca.issue("us"), authority(ca.directory / "other").issue("stranger")
    with Web(certificate=ca.issue("127.0.0.1"), clients=ca) as web:
        address = web.url if kind is Http else f"127.0.0.1:{web.port}"
        options = {kind.Options.short: address, "ca": str(ca.file)}
        without = observe(kind, options)
        known = {"cert": str(ours.file), "key": str(ours.key_file)}
        taken = observe(kind, {**options, **known})
        other = {"cert": str(stranger.file), "key": str(stranger.key_file)}
        refused = observe(kind, {**options, **other})
    said = [s.error or s.facts.get("tls", {}).get("refusal", "") for s in (without, refused)]
    for words in said:
        assert "certificate" in words or "right after the handshake" in words, said
        assert "refused by" not in words
    assert not taken.error
    if kind is Tls:
        assert [seen.facts["tls"]["accepted"] for seen in (without, taken, refused)] == [
            False,
            True,
            False,
        ]
        assert without.facts["tls"]["verified"] is True


# --- which certificate ends when ---------------------------------------------------------


def test_an_old_root_that_is_sent_along_matters_to_nobody(ca: Certificate) -> None:
    old = authority(ca.directory / "old", days=-5)
    with Web(certificate=_along(ca.issue("127.0.0.1", days=60), old)) as web:
        seen = observe(Tls, {"address": f"127.0.0.1:{web.port}", "ca": str(ca.file)})
        http = observe(Http, {"url": web.url, "ca": str(ca.file)})
    tls = seen.facts["tls"]
    assert (tls["verified"], tls["days_left"]) == (True, 60)
    assert [(each["days_left"], each["needed"]) for each in tls["chain"]] == [
        (60, True),
        (-5, False),
    ]
    assert http.facts["tls"]["days_left"] == 60


def test_the_authority_that_ends_first_is_named(tmp_path: Path) -> None:
    ca = authority(tmp_path, days=9)
    with Web(certificate=ca.issue("127.0.0.1", days=60)) as web:
        tls = observe(Tls, {"address": f"127.0.0.1:{web.port}", "ca": str(ca.file)}).facts["tls"]
    assert (tls["days_left"], tls["first_to_end"]) == (9, "CN = Test Authority (the authority)")


def _along(certificate: Certificate, other: Certificate) -> Certificate:
    """The certificate, whose server sends another one along."""

    class Along(Certificate):
        @property
        def file(self) -> Path:
            path = self.directory / "chain.pem"
            path.write_bytes(certificate.pem + other.pem)
            return path

    return Along(
        certificate.directory, certificate.certificate, certificate.key, certificate.issuer
    )


# --- STARTTLS ----------------------------------------------------------------------------


def speaking(certificate: Certificate, *turns: tuple[bytes, bytes]) -> Callable[[Any], None]:
    """A server that answers in turn, and shakes hands after the last answer."""

    def serve(link: socket.socket) -> None:
        for wanted, answer in turns:
            if wanted and not link.recv(100).startswith(wanted):
                return
            link.sendall(answer)
        with (
            contextlib.suppress(OSError),
            certificate.server_context().wrap_socket(link, server_side=True) as secured,
        ):
            secured.recv(1)

    return serve


SPOKEN: dict[str, tuple[tuple[bytes, bytes], ...]] = {
    "smtp": (
        (b"", b"220-welcome\r\n220 mail.test\r\n"),
        (b"EHLO", b"250-mail.test\r\n250-SIZE 9\r\n250 STARTTLS\r\n"),
        (b"STARTTLS", b"220 go on\r\n"),
    ),
    "imap": ((b"", b"* OK ready\r\n"), (b"a STARTTLS", b"* hm\r\na OK begin\r\n")),
    "pop3": ((b"", b"+OK ready\r\n"), (b"STLS", b"+OK begin\r\n")),
    "ftp": ((b"", b"220 ready\r\n"), (b"AUTH TLS", b"234 begin\r\n")),
    "ldap": ((b"0", b"0\x0c\x02\x01\x01x\x07\x0a\x01\x00\x04\x00\x04\x00"),),
}


@pytest.mark.parametrize("protocol", SPOKEN)
def test_tls_is_asked_for_in_the_protocol_of_the_server(ca: Certificate, protocol: str) -> None:
    mail = ca.issue("mail.test", days=20)
    with Raw(speaking(mail, *SPOKEN[protocol])) as server:
        options = {"address": f"mail.test:{server.port}", "starttls": protocol, "ca": str(ca.file)}
        seen = observe(Tls, options, host=HERE)
    assert not seen.error
    tls = seen.facts["tls"]
    assert (tls["verified"], tls["accepted"], tls["days_left"]) == (True, True, 20)


def test_postgres_is_asked_too(postgres: Postgres) -> None:
    """The tests' own has TLS switched off, and says so."""
    options = {"address": f"127.0.0.1:{postgres.port}", "starttls": "postgres"}
    words = f"no TLS over postgres from 127.0.0.1:{postgres.port}: it has TLS switched off"
    assert observe(Tls, options).error == words


def test_postgres_shakes_hands_after_one_octet(ca: Certificate) -> None:
    database = ca.issue("db.test", days=30)
    with Raw(speaking(database, (b"\0\0\0\x08", b"S"))) as server:
        options = {"address": f"db.test:{server.port}", "starttls": "postgres", "ca": str(ca.file)}
        seen = observe(Tls, options, host=HERE)
    assert (seen.error, seen.facts["tls"]["verified"]) == ("", True)


def test_a_server_that_offers_no_starttls_is_no_proof(ca: Certificate) -> None:
    turns = (
        (b"", b"220 mail.test\r\n"),
        (b"EHLO", b"250 SIZE 9\r\n"),
        (b"STARTTLS", b"502 what?\r\n"),
    )
    with Raw(speaking(ca.issue("mail.test"), *turns)) as server:
        options = {"address": f"127.0.0.1:{server.port}", "starttls": "smtp", "ca": str(ca.file)}
        seen = observe(Tls, options)
    assert seen.error.endswith(": it said '502 what?'")
    assert seen.facts == {}
