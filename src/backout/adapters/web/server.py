"""The status page over HTTP, with `/metrics` and `/health`. Nothing can be done here.

On loopback unless told otherwise. A request must call this server by an address or by a name that
it goes by, so that a page of somebody else's cannot reach it under a name of its own (DNS
rebinding). Needs the extra `backout[web]`.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backout.adapters.web.html import RUN
from backout.errors import Mistakes, Refused
from backout.model import Incident, Sample, Spot, Verdict

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry
    from starlette.requests import Request
    from starlette.responses import Response

PORT = 8642
PAGES = ("index.html", "live.html", "again.html")
LOCAL = ("localhost", "localhost.localdomain", "ip6-localhost")
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_POLICY = re.compile(rb'http-equiv="Content-Security-Policy" content="([^"]*)"')


# --- where to listen ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and the names that requests may use beside addresses."""

    host: str
    port: int
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, *, anywhere: bool = False, names: Sequence[str] = ()) -> Address:
        """`127.0.0.1:8642`, `[::1]:8642`, `8642` or an address alone. Raises Mistakes, and Refused
        for an address that others can reach unless that is meant (`anywhere`)."""
        host, port = _parted(text)
        if not (host.is_loopback or anywhere):
            raise Refused(
                f"--listen {text}: everybody who reaches {host} could read the status page",
                state="nothing is watched or served",
                next=f"--listen 127.0.0.1:{port}, or add --listen-anywhere if that is meant",
            )
        return cls(str(host), port, tuple(name.lower() for name in names))

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    def bind(self) -> socket.socket:
        """Raises Refused when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=128)
        except OSError as error:
            raise Refused(
                f"cannot listen on {self.url}: {error.strerror}",
                state="nothing is watched or served",
                next="name another port: --listen 127.0.0.1:0 takes any free one",
            ) from error

    def answers_to(self, header: str) -> bool:
        """Whether a request with this Host header means us."""
        name = _name_in(header)
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return self.loopback and name in LOCAL
        return address.is_loopback or not self.loopback


def _parted(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    found = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[^:\[\]]*))(?::?(?P<port>\d+))?", text)
    if found is None or not text:
        raise _mistaken(text)
    host, port = found["six"] or found["four"] or "127.0.0.1", found["port"]
    if host.isdigit():
        host, port = "127.0.0.1", host + (port or "")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        number = int(port) if port else PORT
        if number > 65535:
            raise ValueError
        return ipaddress.ip_address(host), number
    except ValueError:
        raise _mistaken(text) from None


def _mistaken(text: str) -> Mistakes:
    return Mistakes(
        f"--listen {text!r} is no address; write 127.0.0.1:8642 or [::1]:8642",
        where="command line",
        next="invoke watch --listen 127.0.0.1:8642",
    )


def _name_in(header: str) -> str:
    """The host of a Host header, without its port."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^:\[\]/@\s]+))(?::\d{1,5})?", header)
    return (found[1] or found[2]).lower().rstrip(".") if found else ""


# --- what is served ----------------------------------------------------------------------


@dataclass(slots=True)
class Site:
    """What is served, and from where."""

    directory: Path
    address: Address
    health: Callable[[], Mapping[str, Any]]
    metrics: Metrics
    stale_after: float

    def application(self) -> Any:
        """Everything as an ASGI application."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/", self._page, methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            Route("/runs/{run}.html", self._run, methods=["GET"]),
            Route("/{name}", self._page, methods=["GET"]),
        ]
        return _Guard(Starlette(routes=routes), self.address)

    def _page(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        return self._file(self.directory / name if name in PAGES else None)

    def _run(self, request: Request) -> Response:
        run = request.path_params["run"]
        known = RUN.fullmatch(run)
        return self._file(self.directory / "runs" / f"{run}.html" if known else None)

    def _file(self, path: Path | None) -> Response:
        from starlette.responses import Response

        try:
            if path is None:
                raise FileNotFoundError
            content = path.read_bytes()
            age = time.time() - path.stat().st_mtime
        except OSError:
            return Response("there is no such page (yet)\n", 404, media_type="text/plain")
        if age > self.stale_after:
            content = content.replace(b'class="stale"', b'class="stale now"', 1)
        policy = _POLICY.search(content)
        allowed = unescape(policy[1].decode()) if policy else "default-src 'none'"
        headers = {"Content-Security-Policy": f"{allowed}; frame-ancestors 'none'"}
        return Response(content, headers=headers, media_type="text/html")

    def _health(self, _: Request) -> Response:
        from starlette.responses import JSONResponse

        health = self.health()
        return JSONResponse(dict(health), 200 if health.get("status") == "ok" else 503)

    def _metrics(self, _: Request) -> Response:
        from starlette.responses import Response

        return Response(self.metrics.text(), headers={"Content-Type": self.metrics.content_type})


class _Guard:
    """Lets a request through that means this server, and puts the headers on every answer."""

    def __init__(self, app: Any, address: Address) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                policed = any(name.lower() == _POLICED[0] for name, _ in given)
                message["headers"] = [*given, *_ENCODED, *([] if policed else [_POLICED])]
            await send(message)

        if scope["type"] == "http" and not self._means_us(scope["headers"]):
            from starlette.responses import Response

            words = "this server does not go by that name\n"
            await Response(words, 421, media_type="text/plain")(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _means_us(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        return len(hosts) == 1 and self._address.answers_to(hosts[0])


_ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_POLICED = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Server:
    """The site in a thread of its own."""

    def __init__(self, site: Site) -> None:
        """Raises Refused when the address cannot be had, or the libraries are missing."""
        try:
            import starlette  # noqa: F401
            import uvicorn
        except ImportError as error:
            raise Refused(
                f"--listen needs a library that is not installed: {error.name}",
                state="nothing is watched or served",
                next="pip install 'backout[web]'",
            ) from error
        self._socket = site.address.bind()
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            site.application(),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
            limit_concurrency=100,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="web", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(5)
        self._socket.close()


# --- metrics -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """What the gauges say at the next scrape."""

    last: Mapping[Spot, Sample | None] = field(default_factory=dict)
    incidents: Sequence[Incident] = ()
    """The open ones."""
    targets: Sequence[str] = ()
    runs: Sequence[tuple[str, str, str, int]] = ()
    """target, verb, outcome, how many."""
    written: float = 0.0


class Metrics:
    """What is measured, in Prometheus' text format. Every label is redacted."""

    def __init__(
        self,
        redact: Callable[[str], str],
        health: Callable[[], Mapping[str, Any]],
        now: Callable[[], float] = time.time,
    ) -> None:
        from prometheus_client import CollectorRegistry, Histogram
        from prometheus_client import Counter as Count

        self._redact = redact
        self._health = health
        self._now = now
        self.reading = Reading()
        self._registry: CollectorRegistry = CollectorRegistry()
        labels = ("target", "check", "host")
        self._latency = Histogram(
            "backout_check_latency_seconds",
            "How long a look took, the wait for a worker aside",
            labels,
            buckets=SECONDS,
            registry=self._registry,
        )
        self._queue = Histogram(
            "backout_check_queue_seconds",
            "How long a look that was due waited for a worker",
            ("target",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._looks = Count(
            "backout_looks", "Looks, by verdict", (*labels, "verdict"), registry=self._registry
        )
        self._registry.register(self)

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def observe(self, samples: Iterable[Sample]) -> None:
        """Count new looks."""
        for sample in samples:
            labels = self._labels(sample.spot)
            if sample.elapsed_ms > 0:
                self._latency.labels(*labels).observe(sample.elapsed_ms / 1000)
            self._queue.labels(labels[0]).observe(sample.queued_ms / 1000)
            self._looks.labels(*labels, str(sample.verdict)).inc()

    def text(self) -> bytes:
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    def describe(self) -> Iterator[Any]:
        """Nothing is known before the first scrape."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """The gauges, as they are now."""
        reading = self.reading
        yield self._checks(reading)
        yield from self._each(reading)
        open_ = Counter(each.spot.target for each in reading.incidents)
        yield self._gauge(
            "backout_incidents_open",
            "Open incidents",
            ("target",),
            (((name,), open_[name]) for name in reading.targets),
        )
        yield self._runs(reading)
        well = self._health().get("status") == "ok"
        yield self._gauge(
            "backout_watcher_well", "1 while all is watched as it should be", (), [((), well)]
        )
        yield self._gauge(
            "backout_status_page_age_seconds",
            "How old the status page is",
            (),
            [((), max(0.0, self._now() - reading.written))] if reading.written else [],
        )

    def _checks(self, reading: Reading) -> Any:
        counted = Counter(
            (spot.target, str(sample.verdict) if sample else "none")
            for spot, sample in reading.last.items()
        )
        verdicts = (*map(str, Verdict), "none")
        rows = (((t, v), counted[t, v]) for t in reading.targets for v in verdicts)
        return self._gauge(
            "backout_checks", "Checks by their last verdict", ("target", "verdict"), rows
        )

    def _each(self, reading: Reading) -> Iterator[Any]:
        seen = [(s, sample) for s, sample in reading.last.items() if sample]
        labels, now = ("target", "check", "host"), self._now()
        yield self._gauge(
            "backout_check_passes",
            "1 while the last look passed",
            labels,
            (((s.target, s.check, s.host), each.verdict is Verdict.PASS) for s, each in seen),
        )
        yield self._gauge(
            "backout_check_last_run_age_seconds",
            "How long ago the last look was",
            labels,
            (((s.target, s.check, s.host), max(0.0, now - each.at)) for s, each in seen),
        )

    def _runs(self, reading: Reading) -> Any:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            "backout_runs", "Runs that ended", labels=("target", "verb", "outcome")
        )
        for target, verb, outcome, count in reading.runs:
            family.add_metric([self._redact(target), verb, outcome], count)
        return family

    def _gauge(
        self,
        name: str,
        help: str,
        labels: Sequence[str],
        rows: Iterable[tuple[Sequence[str], float]],
    ) -> Any:
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(name, help, labels=labels)
        for values, value in rows:
            family.add_metric([self._redact(each) for each in values], float(value))
        return family

    def _labels(self, spot: Spot) -> tuple[str, str, str]:
        redact = self._redact
        return redact(spot.target), redact(spot.check), redact(spot.host)
