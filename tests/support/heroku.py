"""A stand-in for Heroku's Platform API, whose every answer is held to its shape.

A call that it does not know, and an answer of another shape, fail the test that made them:
`stop` raises.
"""

from __future__ import annotations

import datetime
import json
import re
import socket
import threading
import uuid
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal, Self
from urllib.parse import unquote

from . import ports
from .bed import Bed
from .heroku_shapes import complaints

Json = dict[str, Any]
Status = Literal["failed", "pending", "succeeded", "expired"]
DEFAULT_PAGE = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One request that the stand-in was asked."""

    method: str
    path: str
    body: Any
    range: str
    status: int


@dataclass(slots=True)
class Answer:
    """What a request is answered; `definition` names the shape that the body must have."""

    status: int
    body: object
    definition: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class HerokuStandIn(Bed):
    """One application with releases and dynos. The attributes are the knobs."""

    formation: ClassVar[tuple[str, ...]] = ("web.1", "worker.1")
    """The dynos that run."""

    def __init__(self, app: str = "gigz") -> None:
        self.app = {"id": identifier("app"), "name": app}
        self.token = "token"
        self.port = ports.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.page_size = DEFAULT_PAGE
        self.remaining = 4500
        self.refusals = 0
        """How many of the next requests are answered 429."""
        self.retry_after: int | None = None
        """What a 429 says in its Retry-After header; None leaves the header out."""
        self.next_status: Status = "succeeded"
        """The status that the next release begins with; `finish` ends a pending one."""
        self.looks = 0
        """How many looks at a pending release it takes until it ends as `ends_as`; 0: none will."""
        self.ends_as: Status = "succeeded"
        self.dyno_state = "up"
        """The state of dynos that start from now on, for example `crashed`."""
        self.crashing: set[str] = set()
        """Slugs whose dynos crash."""
        self.build: Literal["none", "pending"] = "none"
        """Whether somebody's build is under way."""
        self.log = "heroku[web.1]: State changed from starting to crashed"
        """What a log session shows."""
        self.slugs: dict[str, bytes] = {}
        """What builds made, as archives."""
        self.releases: list[Json] = []
        self.dynos: dict[str, Json] = {}
        self.calls: list[Call] = []
        self.mistakes: list[str] = []
        self._lock = threading.Lock()
        self._servers: list[_Server] = []
        for number in (1, 2, 3):
            self.release(f"Deploy {number}")

    def start(self, listener: socket.socket | None = None) -> Self:
        """Answer at `url`; on `listener` when that socket is in another network namespace."""
        place = ("127.0.0.1", self.port)
        server = _Server(self, listener or socket.create_server(place))
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """End it; fail when it was asked something unknown or answered in another shape."""
        while self._servers:
            server = self._servers.pop()
            server.shutdown()
            server.server_close()
            ports.release(self.port)
        assert not self.mistakes, "\n".join(self.mistakes)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the real command line client finds the stand-in."""
        return {
            "HEROKU_HOST": self.url,
            "HEROKU_API_KEY": self.token,
            "HEROKU_SKIP_NEW_VERSION_CHECK": "1",
            "DISABLE_TELEMETRY": "true",
            "HIDE_HEROKU_RELEASE_NOTES": "true",
            "NO_COLOR": "1",
            "CI": "1",
        }

    def release(self, description: str, *, slug: str | None = None, eligible: bool = True) -> Json:
        """Make a release with the status of `next_status`, and restart the dynos if it is done."""
        version = len(self.releases) + 1
        made: Json = {
            "addon_plan_names": [],
            "app": self.app,
            "artifacts": [],
            "created_at": _now(),
            "current": False,
            "description": description,
            "eligible_for_rollback": eligible,
            "id": identifier(f"release {version}"),
            "output_stream_url": None,
            "slug": {"id": slug or identifier(f"slug {version}")},
            "status": self.next_status,
            "updated_at": _now(),
            "user": {"id": identifier("user"), "email": "ops@example.invalid"},
            "version": version,
        }
        self.next_status = "succeeded"
        self.releases.append(made)
        if made["status"] == "succeeded":
            self._make_current(made)
        return made

    def finish(self, status: Status) -> None:
        """End the pending release with this status."""
        (pending,) = (each for each in self.releases if each["status"] == "pending")
        pending["status"] = status
        if status == "succeeded":
            self._make_current(pending)

    @property
    def current(self) -> Json:
        """The release that runs."""
        return next(each for each in self.releases if each["current"])

    def restart(self, name: str | None = None) -> None:
        """Start new dynos: one by name, those of a type, or all."""
        for dyno in self.formation:
            kind = dyno.partition(".")[0]
            if name in (None, dyno, kind):
                self.dynos[dyno] = self._dyno(dyno, kind)

    def answer(self, method: str, path: str, headers: Message, body: Any) -> Answer:
        """Answer one request, and note down what was wrong with it or with the answer."""
        with self._lock:
            if (method, path) == ("GET", "/logplex") and "Authorization" not in headers:
                return Answer(200, self.log)
            self._ripen(method, path)
            found = self._refusal(headers) or self._route(method, path, headers, body)
            if found.definition is not None:
                said = complaints(found.definition, found.body)
                self.mistakes += [f"answer to {method} {path}: {each}" for each in said]
            asked = headers.get("Range") or ""
            self.calls.append(Call(method, path, body, asked, found.status))
            return found

    def _ripen(self, method: str, path: str) -> None:
        """A pending release ends after it was looked at for a while."""
        pending = any(each["status"] == "pending" for each in self.releases)
        if method == "GET" and "/releases" in path and pending and self.looks:
            self.looks -= 1
            if not self.looks:
                self.finish(self.ends_as)

    def _refusal(self, headers: Message) -> Answer | None:
        if headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "unauthorized", "Invalid credentials provided.")
        if "version=3" not in (headers.get("Accept") or ""):
            return _error(404, "not_found", "The requested API endpoint was not found.")
        if self.refusals > 0 or self.remaining <= 0:
            self.refusals = max(0, self.refusals - 1)
            refused = _error(429, "rate_limit", "Your account reached the API rate limit")
            if self.retry_after is not None:
                refused.headers["Retry-After"] = str(self.retry_after)
            return refused
        self.remaining -= 1
        return None

    def _route(  # noqa: C901 - a branch for each address
        self, method: str, path: str, headers: Message, body: Any
    ) -> Answer:
        if (method, path) == ("GET", "/account/rate-limits"):
            return Answer(200, {"remaining": self.remaining}, "rate-limit")
        if (method, path) == ("GET", "/account"):
            return Answer(200, _account(), "account")
        parts = [unquote(part) for part in path.split("/")[1:]]
        if len(parts) < 2 or parts[0] != "apps":
            return self._unknown(method, path)
        if parts[1] not in self.app.values():
            return _missing("app")
        match method, *parts[2:]:
            case ["GET"]:
                return Answer(200, self._app(), "app")
            case ["GET", "dynos"]:
                return Answer(200, list(self.dynos.values()), "dyno")
            case ["GET", "dynos", name]:
                known = name in self.dynos
                return Answer(200, self.dynos[name], "dyno") if known else _missing("dyno")
            case ["DELETE", "dynos"]:
                return self._restarted(None)
            case ["DELETE", "dynos" | "formations", name]:
                return self._restarted(name)
            case ["GET", "releases"]:
                return self._page(headers.get("Range") or "")
            case ["GET", "releases", name]:
                one = self._find(name)
                return Answer(200, one, "release") if one else _missing("release")
            case ["GET", "builds"]:
                return Answer(200, [self._build()] if self.build == "pending" else [], "build")
            case ["POST", "log-sessions"]:
                url, now = f"{self.url}/logplex", _now()
                session = {"created_at": now, "id": identifier("log"), "logplex_url": url}
                return Answer(201, {**session, "updated_at": now}, "log-session")
            case ["POST", "releases"]:
                return self._roll_back(body)
        return self._unknown(method, path)

    def _restarted(self, name: str | None) -> Answer:
        types = {each["type"] for each in self.dynos.values()}
        if name is not None and name not in self.dynos and name not in types:
            return _missing("dyno")
        self.restart(name)
        return Answer(202, {})

    def _roll_back(self, body: Any) -> Answer:
        if not isinstance(body, dict) or set(body) != {"release"}:
            return self._unknown("POST", f"/apps/…/releases with {body}")
        target = self._find(str(body["release"]))
        if target is None:
            return _error(422, "invalid_params", "Couldn't find that release.")
        if not target["eligible_for_rollback"]:
            return _error(422, "invalid_params", "Cannot roll back to this release.")
        made = self.release(f"Rollback to v{target['version']}", slug=target["slug"]["id"])
        return Answer(201, made, "release")

    def _page(self, asked: str) -> Answer:
        """The page that a Range header such as `version ]5..; max=10, order=desc` asks for."""
        wanted = re.fullmatch(r"(version|id)? *(\]?)([^. ]*)\.\.([^;, ]*)(.*)", asked.strip())
        exclusive, start, options = (wanted[2], wanted[3], wanted[5]) if wanted else ("", "", asked)
        descending = "order=desc" in options
        given = re.search(r"max=(\d+)", options)
        size = min(int(given[1]) if given else DEFAULT_PAGE, self.page_size)
        sign = -1 if descending else 1
        ordered = sorted(self.releases, key=lambda each: sign * int(each["version"]))
        if start.isdigit():
            first = sign * int(start) + (1 if exclusive else 0)
            ordered = [each for each in ordered if sign * int(each["version"]) >= first]
        page, rest = ordered[:size], ordered[size:]
        headers = {"Accept-Ranges": "id, version"}
        if page:
            last = page[-1]["version"]
            headers["Content-Range"] = f"version {page[0]['version']}..{last}; max={size}"
            if rest:
                order = ", order=desc" if descending else ""
                headers["Next-Range"] = f"version ]{last}..; max={size}{order}"
        return Answer(206 if rest else 200, page, "release", headers)

    def _unknown(self, method: str, path: str) -> Answer:
        self.mistakes.append(f"the stand-in does not know {method} {path}")
        return _error(404, "not_found", "The requested API endpoint was not found.")

    def _find(self, name: str) -> Json | None:
        names = (name, name.removeprefix("v"))
        return next(
            (each for each in self.releases if {each["id"], str(each["version"])} & {*names}), None
        )

    def _make_current(self, release: Json) -> None:
        for each in self.releases:
            each["current"] = each is release
        self.restart()

    def _dyno(self, name: str, kind: str) -> Json:
        return {
            "app": self.app,
            "attach_url": None,
            "command": "node index.js",
            "created_at": _now(),
            "id": str(uuid.uuid4()),
            "name": name,
            "release": {"id": self.current["id"], "version": self.current["version"]},
            "size": "Basic",
            "state": "crashed" if self.current["slug"]["id"] in self.crashing else self.dyno_state,
            "type": kind,
            "updated_at": _now(),
        }

    def _build(self) -> Json:
        return {
            "app": {"id": self.app["id"]},
            "buildpacks": [{"url": "https://buildpacks.example.invalid", "name": "heroku/nodejs"}],
            "created_at": _now(),
            "generation": "cedar",
            "id": identifier("build"),
            "output_stream_url": "https://build-output.example.invalid",
            "release": None,
            "slug": None,
            "source_blob": {
                "checksum": None,
                "url": "https://sources.example.invalid",
                "version": None,
                "version_description": None,
            },
            "stack": "heroku-24",
            "status": "pending",
            "updated_at": _now(),
            "user": {"id": identifier("user"), "email": "ops@example.invalid"},
        }

    def _app(self) -> Json:
        stack = {"id": identifier("stack"), "name": "heroku-24"}
        return {
            **self.app,
            "acm": False,
            "archived_at": None,
            "build_stack": stack,
            "buildpack_provided_description": None,
            "created_at": _now(),
            "generation": {"id": identifier("generation"), "name": "cedar"},
            "git_url": f"https://git.heroku.com/{self.app['name']}.git",
            "internal_routing": False,
            "maintenance": False,
            "organization": None,
            "owner": {"id": identifier("user"), "email": "ops@example.invalid"},
            "region": {"id": identifier("region"), "name": "us"},
            "released_at": _now(),
            "repo_size": 0,
            "slug_size": 0,
            "space": None,
            "stack": stack,
            "team": None,
            "updated_at": _now(),
            "web_url": f"https://{self.app['name']}.herokuapp.com/",
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, bed: HerokuStandIn, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.bed = bed


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null")
        path = self.path.partition("?")[0]
        answer = self.server.bed.answer(self.command, path, self.headers, body)
        log = isinstance(answer.body, str)
        data = (str(answer.body) if log else json.dumps(answer.body)).encode()
        self.send_response(answer.status)
        for name, value in {
            "Content-Type": "text/plain" if log else "application/json",
            "Content-Length": str(len(data)),
            "Request-Id": str(uuid.uuid4()),
            "RateLimit-Remaining": str(self.server.bed.remaining),
            **answer.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: `calls` is the log."""


def identifier(name: str) -> str:
    """The id that a thing of this name has here."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(status: int, kind: str, message: str) -> Answer:
    return Answer(status, {"id": kind, "message": message})


def _missing(resource: str) -> Answer:
    found = _error(404, "not_found", f"Couldn't find that {resource}.")
    assert isinstance(found.body, dict)
    found.body["resource"] = resource
    return found


def _account() -> Json:
    return {
        "allow_tracking": True,
        "beta": False,
        "country_of_residence": None,
        "created_at": _now(),
        "default_organization": None,
        "default_team": None,
        "delinquent_at": None,
        "email": "ops@example.invalid",
        "federated": False,
        "id": identifier("user"),
        "identity_provider": None,
        "last_login": _now(),
        "name": "Ops",
        "sms_number": None,
        "suspended_at": None,
        "two_factor_authentication": False,
        "updated_at": _now(),
        "verified": False,
    }
