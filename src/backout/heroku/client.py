"""A client for Heroku's Platform API, version 3.

It says what Heroku said: refusals in Heroku's own words, every page of a list, and, for a
change whose answer was lost, that nobody knows.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any
from urllib.parse import quote, urlsplit

API = "https://api.heroku.com"
TIMEOUT = 15.0
"""Seconds that Heroku may take to connect, and between two parts of an answer."""
AGAIN = 2
"""How often a question is asked again that failed on Heroku's side, or on the way."""
PATIENCE = 90.0
"""Seconds of rate limiting that are waited out before a request is given up."""

_LATEST = "started_at ..; max=10, order=desc"

Json = dict[str, Any]


class HerokuError(Exception):
    """Heroku refused, in its own words; or did not answer, and then `answered` is False and
    nobody knows what became of a change."""

    def __init__(
        self, words: str, *, status: int = 0, kind: str = "", retry_after: float = 0.0
    ) -> None:
        super().__init__(words)
        self.status = status
        self.kind = kind
        """Heroku's own name for it, for example `not_found` or `rate_limit`."""
        self.retry_after = retry_after
        """Seconds after which Heroku wants to be asked again; 0 where it did not say."""

    @property
    def answered(self) -> bool:
        return self.status > 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What Heroku said to one request."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise HerokuError("Heroku's answer is not JSON", status=self.status) from None


class Heroku:
    """The API as one account. Every method raises HerokuError."""

    def __init__(
        self,
        token: str,
        *,
        api: str = API,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        where = urlsplit(api)
        if where.scheme != "https" and where.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise HerokuError(f"the token goes only over https, not to {api}", status=400)
        self._token = token
        self._api = api.rstrip("/")
        self._timeout = timeout
        self._patience = patience
        self._sleep = sleep

    def app(self, app: str) -> Json:
        """The application itself."""
        found: Json = self._ask("GET", _path(app)).json()
        return found

    def dynos(self, app: str) -> list[Json]:
        """What runs now, one-off dynos included."""
        return [dyno for page in self._pages(f"{_path(app)}/dynos") for dyno in page]

    def releases(self, app: str) -> Iterator[Json]:
        """Newest first; pages are fetched as they are needed."""
        newest_first = "version ..; max=50, order=desc"
        for page in self._pages(f"{_path(app)}/releases", newest_first):
            yield from page

    def release(self, app: str, name: str) -> Json:
        """One release, by id or version."""
        found: Json = self._ask("GET", f"{_path(app)}/releases/{quote(name, safe='')}").json()
        return found

    def current(self, app: str) -> Json | None:
        """The release that is the application's now."""
        return next((release for release in self.releases(app) if release["current"]), None)

    def building(self, app: str) -> bool:
        """Whether one of the latest builds has not ended."""
        latest = self._ask("GET", f"{_path(app)}/builds", range=_LATEST).json()
        return any(build["status"] == "pending" for build in latest)

    def output(self, release: Json) -> str:
        """What the release's own command wrote."""
        url = release["output_stream_url"]
        return self._fetch(url) if url else ""

    def restart(self, app: str, process: str = "") -> None:
        """Replace every dyno, or those of one process type."""
        part = f"/formations/{quote(process, safe='')}" if process else "/dynos"
        self._ask("DELETE", _path(app) + part)

    def roll_back(self, app: str, release: str) -> Json:
        """Make a new release that is a copy of the one with this id; its `status` may still be
        pending."""
        made: Json = self._ask("POST", f"{_path(app)}/releases", {"release": release}).json()
        return made

    def logs(self, app: str, lines: int, process: str = "") -> str:
        """The last lines that the application and its platform wrote."""
        wanted = {"lines": lines, "tail": False, **({"type": process} if process else {})}
        session = self._ask("POST", f"{_path(app)}/log-sessions", wanted).json()
        return self._fetch(session["logplex_url"])

    def _fetch(self, url: str) -> str:
        """A text that Heroku keeps elsewhere; the token does not go there."""
        return self._send(urllib.request.Request(url)).body.decode(errors="replace")  # noqa: S310

    def _pages(self, path: str, first: str = "") -> Iterator[list[Json]]:
        asked = first
        while True:
            answer = self._ask("GET", path, range=asked)
            yield answer.json()
            asked = answer.headers.get("Next-Range", "")
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT or not asked:
                return

    def _ask(self, method: str, path: str, body: Json | None = None, range: str = "") -> Answer:
        request = urllib.request.Request(  # noqa: S310 - https or loopback, see __init__
            self._api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.heroku+json; version=3",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "backout",
                **({"Range": range} if range else {}),
            },
        )
        return self._patiently(request)

    def _patiently(self, request: urllib.request.Request) -> Answer:
        """A request that was refused for its rate was not carried out, and a question changes
        nothing: both are sent again."""
        waited, pause, left = 0.0, 1.0, AGAIN if request.get_method() == "GET" else 0
        while True:
            answer = self._answered(request)
            if isinstance(answer, Answer):
                return answer
            error = answer
            limited = error.status == http.HTTPStatus.TOO_MANY_REQUESTS
            wait = error.retry_after or pause
            if (not limited and (left <= 0 or _final(error))) or waited + wait > self._patience:
                raise error
            left -= 0 if limited else 1
            self._sleep(wait)
            waited, pause = waited + wait, pause * 2

    def _answered(self, request: urllib.request.Request) -> Answer | HerokuError:
        """What it was answered, or why it was not."""
        try:
            answer = self._send(request)
        except HerokuError as error:
            return error
        return answer if answer.status < http.HTTPStatus.MULTIPLE_CHOICES else _refusal(answer)

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            with _OPENER.open(request, timeout=self._timeout) as reply:
                return Answer(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise HerokuError(
                f"no answer from {urlsplit(request.full_url).netloc}: {reason}"
            ) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token elsewhere."""

    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002
        fp: IO[bytes],  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: http.client.HTTPMessage,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _path(app: str) -> str:
    return f"/apps/{quote(app, safe='')}"


def _final(error: HerokuError) -> bool:
    """Whether asking again would be answered the same."""
    return error.answered and error.status < http.HTTPStatus.INTERNAL_SERVER_ERROR


def _refusal(answer: Answer) -> HerokuError:
    try:
        told = json.loads(answer.body)
        kind, words = str(told.get("id", "")), str(told["message"])
    except (ValueError, KeyError, AttributeError):
        kind, words = "", f"Heroku answered {answer.status}"
    said = answer.headers.get("Retry-After", "")
    after = float(said) if said.isdecimal() and said.isascii() else 0.0
    return HerokuError(words, status=answer.status, kind=kind, retry_after=after)
