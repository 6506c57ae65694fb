"""`http`: one request over a new connection."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import SplitResult, urljoin, urlsplit

import pycurl
from pydantic import Field

from backout.model import Boolean, Observation, Options, Slips, TemplateText, Words
from backout.model.addresses import canonical
from backout.ports import ProbeRequest
from backout.probes.base import EXCERPT, Kind, address_of, authorities, instead_of_any
from backout.probes.certificates import facts_of
from backout.probes.content import CODINGS, LIMIT, Content, read
from backout.probes.curl import PORTS, explain, timing

Headers = tuple[tuple[str, str], ...]
REDIRECTS = {301, 302, 303, 307, 308}


class HttpOptions(Options):
    """One request. Redirects are reported, not followed, unless `follow` says how many."""

    short: ClassVar[str] = "url"
    url: str
    method: str = ""
    headers: Mapping[str, str] = Field(default_factory=dict)
    json_: Any = Field(default=None, alias="json")
    body: str = ""
    follow: int | TemplateText = 0
    cert: str = ""
    key: str = ""
    ca: str = ""
    insecure: Boolean = False
    proxy: str = ""
    """None is used unless it is named here: a check through a proxy proves the proxy."""

    def slips(self) -> Slips:
        if not re.match(r"https?://|[^:]{0,5}\{\{", self.url, re.IGNORECASE):
            yield "url", f"{self.url!r} begins with neither http:// nor https://"
        elif re.match(r"https?://([/?#:]|$)", self.url, re.IGNORECASE):
            yield "url", f"{self.url!r} names no host"


class Http(Kind):
    """On a host it connects to that host's address whatever the URL's name resolves to."""

    Options: ClassVar[type[Options]] = HttpOptions
    connects: ClassVar[bool] = True
    names: ClassVar[Mapping[str, str]] = {
        "status": "the status code",
        "headers": "lower-case name -> value; repeated ones are joined by a comma",
        "body": "the parsed JSON body; there is none when the answer is not JSON",
        "text": "the body as text",
        "truncated": "true when the body was longer than 1 MiB",
        "redirect": "where a redirect points to, or empty",
        "elapsed_ms": "the whole request in milliseconds",
        "timing": "milliseconds spent on dns, connect, tls and first_byte; and total",
        "tls": "days_left, not_after, subject, issuer (https)",
    }
    kinds: ClassVar[Mapping[str, str]] = {
        "elapsed_ms": "a number",
        "status": "a number",
        "headers": "a mapping",
        "text": "text",
        "truncated": "a boolean",
        "redirect": "text",
        "timing": "a mapping",
        "timing.total": "a number",
        "tls.days_left": "a number",
    }
    expects: ClassVar[Words] = ("status < 400",)

    def observe(self, look: ProbeRequest) -> Observation:
        """Ask, follow redirects as far as allowed, and tell what came."""
        try:
            request = _request(look)
        except ValueError as error:
            return Observation(error=str(error))
        spent = 0.0
        with _handle(kept=not look.options.follow) as curl:
            for hops in range(max(0, int(look.options.follow)), -1, -1):
                answer = _perform(curl, request, look, look.timeout - spent / 1000)
                spent += answer.elapsed_ms
                onward = answer.redirect(request.url)
                if not (hops and _is_http(onward)):
                    break
                request = request.onward(onward, answer.status)
        if onward and look.options.follow and not answer.error:
            answer.error = _astray(onward, int(look.options.follow))
        if answer.error:
            return Observation(error=answer.error, elapsed_ms=spent, excerpt=answer.excerpt)
        facts = {**answer.facts(request.url), "elapsed_ms": spent}
        return Observation(facts=facts, elapsed_ms=spent, excerpt=answer.excerpt)


_HANDLES = threading.local()


@contextmanager
def _handle(*, kept: bool) -> Iterator[Any]:
    """This thread's own, which costs less than a new one: nothing of one request is left in it
    for the next, but for cookies, and those come only where redirects are followed."""
    if not kept:
        with closing(pycurl.Curl()) as curl:
            yield curl
        return
    if not hasattr(_HANDLES, "curl"):
        _HANDLES.curl = pycurl.Curl()
    try:
        yield _HANDLES.curl
    finally:
        _HANDLES.curl.reset()


@dataclass(frozen=True, slots=True)
class _Request:
    url: str
    method: str
    headers: Headers
    body: bytes

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    def onward(self, url: str, status: int) -> _Request:
        """The request that follows a redirect. Another origin gets none of the headers, for
        they may hold credentials; https in the place of http on one name is the same origin."""
        old, new = _origin(self.url), _origin(url)
        same = old == new or ((old[0], new) == ("http", ("https", old[1], 443)) and old[2] == 80)
        keep = self.method == "HEAD" or (
            status != 303 and (status not in (301, 302) or self.method != "POST")
        )
        return _Request(
            url,
            self.method if keep else "GET",
            _fitting(self.headers, keep) if same else (),
            self.body if keep and same else b"",
        )


def _fitting(headers: Headers, keep: bool) -> Headers:
    """Those that speak of the body go where it stays."""
    return headers if keep else tuple(h for h in headers if not h[0].lower().startswith("content-"))


@dataclass
class _Answer:
    """What came; `headers` and `text` are read when all of it is there."""

    status: int = 0
    lines: list[str] = field(default_factory=list)
    ended: bool = False
    """Whether the empty line came that ends the headers."""
    content: bytearray = field(default_factory=bytearray)
    truncated: bool = False
    elapsed_ms: float = 0.0
    timing: dict[str, float] = field(default_factory=dict)
    chain: list[Any] = field(default_factory=list)
    error: str = ""
    bundle: str = ""
    """The file of the authorities that were trusted."""

    def header(self, line: bytes) -> None:
        self.ended = not line.strip()
        if line.startswith(b"HTTP/"):
            self.lines.clear()
        else:
            self.lines.append(line.decode("latin-1"))

    def write(self, chunk: bytes) -> int:
        """Take a chunk; a short count makes curl stop reading."""
        room = LIMIT - len(self.content)
        self.content += chunk[:room]
        self.truncated = len(chunk) > room
        return min(len(chunk), room)

    @cached_property
    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self.lines:
            name, colon, value = line.partition(":")
            if colon:
                name, value = name.strip().lower(), value.strip()
                found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @cached_property
    def said(self) -> Content:
        return read(bytes(self.content), self.headers, truncated=self.truncated)

    @property
    def excerpt(self) -> str:
        if self.error and not self.status:
            return ""
        return f"{self.status} {str(self.said.text)[:EXCERPT]}".rstrip()

    def redirect(self, base: str) -> str:
        """Where the answer points to; empty when it is no redirect."""
        location = self.headers.get("location", "")
        return _joined(base, location) if self.status in REDIRECTS and location else ""

    def facts(self, url: str) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "status": self.status,
            "headers": self.headers,
            **self.said.facts(),
            "redirect": self.redirect(url),
            "timing": self.timing,
        }
        if self.chain:
            facts["tls"] = facts_of(self.chain, self.bundle)
        return facts


def _astray(onward: str, most: int) -> str:
    """Where redirects are followed, one that is left is not the answer: a circle of them is what
    browsers call too many redirects, whatever `status < 400` would make of it."""
    if not _is_http(onward):
        return f"redirected to {onward}, which is no http address"
    return f"redirected more than {most} times, at last to {onward}"


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        return False


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)


def _joined(base: str, location: str) -> str:
    """Where a `Location` points to. Its octets that stand in no URL, such as a space or raw
    UTF-8, are escaped, as browsers and curl do."""
    escaped = "".join(c if "!" <= c <= "~" else f"%{ord(c):02X}" for c in location)
    try:
        return urljoin(base, escaped)
    except ValueError:  # brackets that are none
        return escaped


def _request(look: ProbeRequest) -> _Request:
    """The request with its secrets. Raises ValueError when it cannot be sent as it is."""
    options, reveal = look.options, look.vault.reveal
    url = reveal(options.url)
    if not _is_http(url):
        place = options.url.partition("://")[2].partition("/")[0]
        bare = place.count(":") > 1 and "[" not in place
        hint = "; an IPv6 address stands in brackets" if bare else ""
        raise ValueError(f"{options.url!r} is not an http or https URL{hint}")
    if options.json_ is not None:
        body = json.dumps(_revealed(options.json_, reveal), allow_nan=False).encode()
    else:
        body = reveal(options.body).encode()
    headers = {name: reveal(value) for name, value in options.headers.items()}
    for name, value in headers.items():
        if re.search(r"[\r\n\0]", name + value):
            raise ValueError(f"the header {name!r} holds a line break")
    return _Request(
        url,
        (options.method or ("POST" if body else "GET")).upper(),
        tuple(_with_type(headers, body, options.json_ is not None)),
        body,
    )


def _with_type(headers: Mapping[str, str], body: bytes, is_json: bool) -> Iterator[tuple[str, str]]:
    yield from headers.items()
    given = {name.lower() for name in headers}
    if body and "content-type" not in given:
        yield "Content-Type", "application/json" if is_json else "text/plain; charset=utf-8"
    if "user-agent" not in given:
        yield "User-Agent", "backout"


def _revealed(value: Any, reveal: Any) -> Any:
    """JSON data with its secrets, leaf by leaf, so that a quote in one breaks nothing."""
    if isinstance(value, str):
        return reveal(value)
    if isinstance(value, Mapping):
        return {reveal(key): _revealed(each, reveal) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(each, reveal) for each in value]
    return value


def _perform(curl: Any, request: _Request, look: ProbeRequest, timeout: float) -> _Answer:
    """Ask once. The cookies that came on the way stay with the handle."""
    answer = _Answer()
    if timeout <= 0:
        answer.error = f"timed out after {look.timeout:g} s while following redirects"
        return answer
    curl.reset()
    _prepare(curl, request, look, timeout)
    curl.setopt(pycurl.HEADERFUNCTION, answer.header)
    curl.setopt(pycurl.WRITEFUNCTION, answer.write)
    try:
        curl.perform()
        if not answer.ended:  # to curl that is a whole answer, without a body
            raise pycurl.error(pycurl.E_PARTIAL_FILE, "")
    except pycurl.error as error:
        if not answer.truncated:
            answer.error = _words(curl, error, request, look)
    answer.status = curl.getinfo(pycurl.RESPONSE_CODE)
    answer.timing = timing(curl)
    answer.elapsed_ms = answer.timing["total"]
    if request.parts.scheme == "https":
        answer.chain = curl.getinfo(pycurl.INFO_CERTINFO)
        answer.bundle = look.options.ca or authorities()
    return answer


def _words(curl: Any, error: pycurl.error, request: _Request, look: ProbeRequest) -> str:
    return explain(curl, error, request.url, look.timeout, _instead(request, look))


def _instead(request: _Request, look: ProbeRequest) -> str:
    """The host's own address, whatever the URL's name resolves to and however it is spelled; a
    redirect to another name goes there."""
    address = address_of(look.host)
    if not address:
        return ""
    asked = urlsplit(look.vault.reveal(look.options.url)).hostname or ""
    same = canonical(request.parts.hostname or "") == canonical(asked)
    return address if same else ""


def _prepare(curl: Any, request: _Request, look: ProbeRequest, timeout: float) -> None:
    options, reveal = look.options, look.vault.reveal
    curl.setopt(pycurl.URL, request.url.encode())
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.FRESH_CONNECT, 1)
    curl.setopt(pycurl.FORBID_REUSE, 1)
    curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)
    curl.setopt(pycurl.SSL_SESSIONID_CACHE, 0)
    curl.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout * 1000)))
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(timeout * 1000)))
    curl.setopt(pycurl.PROXY, reveal(options.proxy))
    curl.setopt(pycurl.ACCEPT_ENCODING, CODINGS)
    curl.setopt(pycurl.HTTP_CONTENT_DECODING, 0)
    if look.options.follow:
        curl.setopt(pycurl.COOKIEFILE, "")
    curl.setopt(pycurl.OPT_CERTINFO, 1)
    _trust(curl, options)
    if address := _instead(request, look):
        curl.setopt(pycurl.CONNECT_TO, [instead_of_any(address)])
    headers = [f"{name}: {value}" if value else f"{name};" for name, value in request.headers]
    curl.setopt(pycurl.HTTPHEADER, [line.encode() for line in (*headers, "Expect:")])
    if request.method == "HEAD":
        curl.setopt(pycurl.NOBODY, 1)
    else:
        if request.body:
            curl.setopt(pycurl.POSTFIELDS, request.body)
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)


def _trust(curl: Any, options: Any) -> None:
    if bundle := options.ca or authorities():
        curl.setopt(pycurl.CAINFO, bundle)
    if options.insecure:
        curl.setopt(pycurl.SSL_VERIFYPEER, 0)
        curl.setopt(pycurl.SSL_VERIFYHOST, 0)
    if options.cert:
        curl.setopt(pycurl.SSLCERT, options.cert)
    if options.key:
        curl.setopt(pycurl.SSLKEY, options.key)
