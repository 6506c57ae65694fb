"""The web view over HTTP: pages that are read without script, parts of them that follow by
themselves, and forms of those who may act.

What is shown and what is done comes from a `Desk`; here is who may ask for it, and how.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from backout.adapters.web.address import Address
from backout.adapters.web.hub import Hub, Part
from backout.adapters.web.server import guarded
from backout.adapters.web.visitors import COOKIE, LASTS, Door, TooMany, Visitor
from backout.errors import BackoutError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
LARGEST = 65_536
"""Bytes of a form."""
STATIC = {"style.css": "text/css", "console.css": "text/css", "live.js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One page, whole."""

    html: str
    status: int = 200


class Desk(Protocol):
    """What the view is made of. Asked from any thread."""

    def page(self, path: str, query: Mapping[str, str], visitor: Visitor) -> Shown: ...
    def part(self, path: str) -> Part | None:
        """What follows by itself on that page; None where there is no such page."""
        ...

    def act(self, what: str, form: Mapping[str, str], visitor: Visitor) -> str:
        """Do it, as that visitor; the path to go on to. Raises BackoutError."""
        ...

    def told(self, error: BackoutError, visitor: Visitor) -> Shown: ...
    def door(self, words: str, to: str) -> Shown:
        """The page that asks for a token."""
        ...

    def changed(self) -> Any:
        """Another answer when anything was written since."""
        ...


@dataclass(slots=True)
class Console:
    """What is served, and to whom."""

    desk: Desk
    door: Door
    address: Address
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.hub = Hub(self.desk.part, self.desk.changed)

    def application(self) -> Any:
        """Everything as an ASGI application."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/static/{name}", self._static, methods=["GET"]),
            Route("/enter", self._enter, methods=["POST"]),
            Route("/leave", self._leave, methods=["POST"]),
            Route("/live/{path:path}", self._live, methods=["GET"]),
            Route("/act/{what}", self._act, methods=["POST"]),
            Route("/{path:path}", self._page, methods=["GET"]),
        ]
        return guarded(Starlette(routes=routes), self.address)

    # --- reading -------------------------------------------------------------------------

    async def _page(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        path = request.path_params["path"].strip("/")
        if visitor is None:
            return _html(self.desk.door("", f"/{path}"), 401)
        query = {name: value[:200] for name, value in request.query_params.items()}
        return _html(await _in_thread(self.desk.page, path, query, visitor))

    async def _live(self, request: Request) -> Response:
        from starlette.responses import Response, StreamingResponse

        if await self._visitor(request) is None:
            return Response("no token\n", 401, media_type="text/plain")
        stream = self._while_known(request, self.hub.follow(request.path_params["path"].strip("/")))
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _while_known(
        self, request: Request, events: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Whoever may not look any more is told nothing any more."""
        words = (request.cookies.get(COOKIE, ""), _peer(request), dict(request.headers))
        async for event in events:
            if self.door.stale:
                await _in_thread(self.door.look)
            if self.door.known(*words) is None:
                return
            yield event

    def _static(self, request: Request) -> Response:
        from starlette.responses import Response

        name = request.path_params["name"]
        if name not in STATIC:
            return Response("there is no such file\n", 404, media_type="text/plain")
        content = (files("backout.adapters") / "templates" / name).read_bytes()
        return Response(content, media_type=STATIC[name])

    # --- coming and going ----------------------------------------------------------------

    async def _visitor(self, request: Request) -> Visitor | None:
        cookie, headers = request.cookies.get(COOKIE, ""), dict(request.headers)
        visitor: Visitor | None = await _in_thread(
            self.door.visitor, cookie, _peer(request), headers
        )
        return visitor

    async def _enter(self, request: Request) -> Response:
        form = await _form(request)
        to = _on_this_site(form.get("to", "/"))
        try:
            cookie = await _in_thread(
                self.door.enter, form.get("token", "").strip(), _peer(request)
            )
        except TooMany:
            return _html(self.desk.door("Too many wrong tokens. Wait a minute.", to), 429)
        if not cookie or _is_foreign(request):
            return _html(self.desk.door("That is no token of this server.", to), 401)
        answer = _redirect(to)
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=int(LASTS),
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto") == "https",
        )
        return answer

    async def _leave(self, request: Request) -> Response:
        visitor, form = await self._visitor(request), await _form(request)
        if visitor is not None and _is_theirs(request, form, visitor):
            self.door.leave(request.cookies.get(COOKIE, ""))
        answer = _redirect("/")
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    # --- acting --------------------------------------------------------------------------

    async def _act(self, request: Request) -> Response:
        from starlette.responses import Response

        visitor, form = await self._visitor(request), await _form(request)
        if visitor is None:
            return _html(self.desk.door("", "/"), 401)
        if not _is_theirs(request, form, visitor):
            return Response("this form is not of your session\n", 403, media_type="text/plain")
        try:
            to = await _in_thread(self.desk.act, request.path_params["what"], form, visitor)
        except BackoutError as error:
            return _html(self.desk.told(error, visitor))
        return _redirect(_on_this_site(to))


async def _in_thread(do: Any, *words: Any) -> Any:
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(do, *words)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; none of one that is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _is_theirs(request: Request, form: Mapping[str, str], visitor: Visitor) -> bool:
    """Whether a form was sent by a page that this visitor was shown."""
    same = hmac.compare_digest(form.get("csrf", "").encode(), visitor.csrf.encode())
    return bool(visitor.csrf) and same and not _is_foreign(request)


def _is_foreign(request: Request) -> bool:
    """Whether the browser says that another site's page has sent it. One that says where it is
    from leaves `Origin` empty on a page without referrer."""
    if site := request.headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return bool(origin) and urlsplit(origin or "").netloc != request.headers.get("host", "")


def _on_this_site(to: str) -> str:
    """A path of this server, whatever was asked for."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) else "/"


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""


def _html(shown: Shown, status: int = 0) -> Response:
    from starlette.responses import HTMLResponse

    body = shown.html.encode("utf-8", "replace")
    headers = {"Content-Security-Policy": POLICY}
    return HTMLResponse(body, status or shown.status, headers=headers)


def _redirect(to: str) -> Response:
    from starlette.responses import RedirectResponse

    return RedirectResponse(to, 303)
