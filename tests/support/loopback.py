"""Servers on loopback that answer what a test tells them, and certificates to answer with."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    sni: str | None = None


@dataclass(frozen=True)
class Answer:
    """What to answer; `status` 0 closes the connection without a word."""

    body: bytes | str = b""
    status: int = 200
    headers: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),)


Respond = Callable[[Asked], Answer]


class Web:
    """An HTTP server, or HTTPS with a certificate, that keeps what it was asked."""

    def __init__(
        self,
        respond: Respond | Answer | bytes | str = "{}",
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        certificate: Certificate | None = None,
        clients: Certificate | None = None,
    ) -> None:
        self.asked: list[Asked] = []
        self.respond: Respond = respond if callable(respond) else lambda _: _answer(respond)
        self._sni: dict[str, str | None] = {"name": None}
        self._server = _server(address, port, self)
        self.address, self.port = address, int(self._server.server_address[1])
        self.scheme = "http"
        if certificate:
            self.scheme = "https"
            context = certificate.server_context(clients)
            context.sni_callback = lambda _link, name, _context: self._sni.update(name=name)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}:{self.port}"

    @property
    def sni(self) -> str | None:
        """The name that the last TLS client asked for."""
        return self._sni["name"]

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


def _server(address: str, port: int, web: Web) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command,
                self.path,
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length).decode(),
                web.sni,
            )
            web.asked.append(asked)
            answer = web.respond(asked)
            if not answer.status:
                return
            content = answer.body.encode() if isinstance(answer.body, str) else answer.body
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle

        def log_message(self, format: str, *args: Any) -> None: ...

    return _Server((address, port), Handler)


def _answer(respond: Answer | bytes | str) -> Answer:
    return respond if isinstance(respond, Answer) else Answer(respond)


class Raw:
    """A TCP server that hands each connection to the test; for answers no server would give."""

    def __init__(
        self, serve: Callable[[socket.socket], None], *, address: str = "127.0.0.1"
    ) -> None:
        self._serve = serve
        self._listener = socket.create_server((address, 0))
        self.address, self.port = self._listener.getsockname()[:2]
        self._links: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def __enter__(self) -> Raw:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        for link in self._links:
            link.close()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self._links.append(link)
            try:
                self._serve(link)
            except OSError:
                link.close()


def request_of(link: socket.socket) -> bytes:
    """Read a request up to the end of its headers."""
    seen = b""
    while b"\r\n\r\n" not in seen and (chunk := link.recv(4096)):
        seen += chunk
    return seen


def reset(link: socket.socket) -> None:
    """Close with RST instead of FIN."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    link.close()


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key; its files are made in `directory`."""

    directory: Path
    certificate: x509.Certificate
    key: Key = field(repr=False)
    issuer: Certificate | None = None

    @property
    def file(self) -> Path:
        """The certificate and what it was issued by, without the root."""
        chain, each = [], self
        while each.issuer is not None:
            chain.append(each.pem)
            each = each.issuer
        return _written(self.directory, "cert.pem", b"".join(chain) or self.pem)

    @property
    def key_file(self) -> Path:
        content = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return _written(self.directory, "key.pem", content)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def server_context(self, clients: Certificate | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key_file)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.file)
        return context

    def issue(self, *names: str, days: float = 90, authority: bool = False) -> Certificate:
        """A certificate for `names` that ends in `days` days; a negative number is the past."""
        return _issued(self.directory / "-".join(names), names, days, self, authority=authority)


def authority(directory: Path, days: float = 365) -> Certificate:
    """A certificate authority of the test's own."""
    return _issued(directory / "authority", ("Test Authority",), days, None, authority=True)


def _issued(
    directory: Path,
    names: Sequence[str],
    days: float,
    issuer: Certificate | None,
    *,
    authority: bool,
) -> Certificate:
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    ends = datetime.now(UTC) + timedelta(days=days, hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(datetime.now(UTC), ends) - timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        good_for = x509.SubjectAlternativeName([_general_name(name) for name in names])
        builder = builder.add_extension(good_for, critical=False)
    signed = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Certificate(directory, signed, key, issuer)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _written(directory: Path, name: str, content: bytes) -> Path:
    path = directory / name
    path.write_bytes(content)
    return path
