"""The status page over HTTP, with `/metrics` and `/health`. Nothing can be done here.

On loopback unless told otherwise. A request must call this server by an address or by a name that
it goes by, so that a page of somebody else's cannot reach it under a name of its own (DNS
rebinding). Needs the extra `backout[web]`.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from backout.adapters.web.address import Address
from backout.adapters.web.html import RUN
from backout.adapters.web.metrics import Metrics
from backout.errors import Refused
from backout.model import WatcherHealth

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGES = ("index.html", "live.html", "again.html", "status.json", "incidents.atom")
BADGE = re.compile(r"badge-[A-Za-z0-9][A-Za-z0-9_.+-]*\.svg")
MEDIA = {
    ".json": "application/json",
    ".atom": "application/atom+xml",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NICE = 10
"""How much a server that gives way does so."""
_POLICY = re.compile(rb'http-equiv="Content-Security-Policy" content="([^"]*)"')


@dataclass(slots=True)
class Site:
    """What is served, and from where."""

    directory: Path
    address: Address
    health: Callable[[], WatcherHealth]
    metrics: Metrics
    stale_after: float
    run_page: Callable[[str], str | None] = lambda _: None
    """Makes the page of a run of which there is no file."""
    stale: Callable[[str, bytes], bytes] = lambda _name, content: content
    """What a file that is no page says when it is too old, by its name and what it said."""

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
        return guarded(Starlette(routes=routes), self.address)

    def _page(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        known = name in PAGES or BADGE.fullmatch(name)
        return self._file(self.directory / name if known else None)

    def _run(self, request: Request) -> Response:
        run = request.path_params["run"]
        known = RUN.fullmatch(run)
        path = self.directory / "runs" / f"{run}.html" if known else None
        if path is not None and not path.exists() and (made := self.run_page(run)):
            return self._page_of(made.encode("utf-8", "replace"), "text/html")
        return self._file(path)

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
            content = self.stale(path.name, content)
        return self._page_of(content, MEDIA.get(path.suffix, "text/html"))

    def _page_of(self, content: bytes, media_type: str) -> Response:
        from starlette.responses import Response

        policy = _POLICY.search(content)
        allowed = unescape(policy[1].decode()) if policy else "default-src 'none'"
        headers = {"Content-Security-Policy": f"{allowed}; frame-ancestors 'none'"}
        return Response(content, headers=headers, media_type=media_type)

    def _health(self, _: Request) -> Response:
        from starlette.responses import JSONResponse

        health = self.health()
        return JSONResponse(health.to_data(), 200 if health.well else 503)

    def _metrics(self, _: Request) -> Response:
        from starlette.responses import Response

        return Response(self.metrics.text(), headers={"Content-Type": self.metrics.content_type})


def guarded(app: Any, address: Address) -> Any:
    """The application, for requests that mean this server; every answer has our headers."""
    return _Guard(app, address)


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


class Served(Protocol):
    """What a server serves, and where."""

    address: Address

    def application(self) -> Any: ...


class Server:
    """A site in a thread of its own."""

    def __init__(self, site: Served, *, gives_way: bool = False) -> None:
        """With `gives_way` it has room for many who follow, and its threads run when nobody else on
        this machine wants to. Raises Refused when the address cannot be had, or the libraries are
        missing."""
        try:
            import starlette  # noqa: F401
            import uvicorn
        except ImportError as error:
            raise Refused(
                f"--listen needs a library that is not installed: {error.name}",
                state="nothing is watched or served",
                next="pip install 'backout[web]'",
            ) from error
        from backout.adapters.web.patience import ROOM, Crowded, Patient

        self._gives_way = gives_way
        self._socket = site.address.bind()
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            site.application(),
            http=Crowded if gives_way else Patient,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
            limit_concurrency=10 * ROOM,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.run, name="web", daemon=True)

    def run(self) -> None:
        """Serve until it is stopped."""
        if self._gives_way:  # of this thread, and of those that it begins
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        self._server.run([self._socket])

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(5)
        self._socket.close()
