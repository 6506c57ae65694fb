"""`http`: what it asks, what it tells, and how it words what went wrong."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backout.model import Host
from backout.probes.content import LIMIT
from backout.probes.http import Http
from support.looks import Secrets, observe
from support.loopback import Answer, Asked, Raw, Web, authority, request_of, reset
from support.ports import free_port

WEB1 = Host(name="web1", address="127.0.0.1")


def raw(content: bytes) -> Callable[[socket.socket], None]:
    """Answer with exactly these bytes, then close."""

    def serve(link: socket.socket) -> None:
        request_of(link)
        link.sendall(content)
        link.close()

    return serve


def test_an_answer_is_told_by_status_headers_body_text_and_timing() -> None:
    headers = [("Content-Type", "application/json"), ("X-Part", "one"), ("X-Part", "two")]
    with Web(Answer('{"status": "ok"}', headers=headers)) as web:
        seen = observe(Http, f"{web.url}/health?deep=1")
    assert not seen.error
    assert seen.facts["status"] == 200
    assert seen.facts["body"] == {"status": "ok"}
    assert seen.facts["text"] == '{"status": "ok"}'
    assert seen.facts["headers"]["x-part"] == "one, two"
    assert seen.facts["truncated"] is False
    assert set(seen.facts["timing"]) == {"dns", "connect", "tls", "first_byte", "total"}
    assert 0 < seen.facts["timing"]["total"] == seen.facts["elapsed_ms"] == seen.elapsed_ms
    assert seen.facts["timing"]["tls"] == 0
    assert "tls" not in seen.facts
    assert seen.excerpt == '200 {"status": "ok"}'
    assert web.asked[0].path == "/health?deep=1"


def test_json_is_posted_with_its_type_and_its_secrets() -> None:
    marker = "\ue000session\ue001"
    with Web() as web:
        observe(
            Http,
            {
                "url": f"{web.url}/f?key={marker}",
                "headers": {"X-Session": marker, "X-Empty": ""},
                "json": {"note": marker, "list": [1, True, None, {"in": marker}]},
            },
            vault=Secrets(session='quo"te'),
        )
    asked = web.asked[0]
    assert asked.method == "POST"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-session"] == 'quo"te'
    assert asked.headers["x-empty"] == ""
    assert json.loads(asked.body) == {
        "note": 'quo"te',
        "list": [1, True, None, {"in": 'quo"te'}],
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD"])
def test_every_method_is_sent_as_written(method: str) -> None:
    with Web("[]") as web:
        seen = observe(Http, {"url": web.url, "method": method.lower()})
    assert web.asked[0].method == method
    assert seen.facts["status"] == 200
    assert ("body" in seen.facts) is (method != "HEAD")


def test_a_header_with_a_line_break_is_not_sent() -> None:
    with Web() as web:
        options = {"url": web.url, "headers": {"X-A": "\ue000s\ue001"}}
        seen = observe(Http, options, vault=Secrets(s="a\r\nX-B: b"))
    assert seen.error == "the header 'X-A' holds a line break"
    assert web.asked == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "shop.test/health", "http://", "http://x:99999", "http://[::1", ""],
)
def test_only_http_and_https_are_asked(url: str) -> None:
    assert observe(Http, {"url": url}).error == f"{url!r} is not an http or https URL"


@pytest.mark.parametrize("url", ["http://::1:8080/", "https://fe80::1/health"])
def test_an_ipv6_address_without_its_brackets_is_told_so(url: str) -> None:
    assert observe(Http, {"url": url}).error.endswith("; an IPv6 address stands in brackets")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>all is well</html>",
        b'{"status": "ok"',
        b'{"lag": NaN}',
        b'{"lag": Infinity}',
        b'{"name": "\xff"}',
        b"[" * 100_000,
    ],
    ids=["empty", "html", "cut short", "NaN", "Infinity", "not utf-8", "too deep"],
)
def test_what_is_not_json_has_no_body(content: bytes) -> None:
    with Web(content) as web:
        seen = observe(Http, web.url)
    assert not seen.error
    assert seen.facts["status"] == 200
    assert "body" not in seen.facts
    assert "text" in seen.facts


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'"ok"', b"0", b"false"])
def test_any_json_value_is_a_body(content: bytes) -> None:
    with Web(content) as web:
        assert observe(Http, web.url).facts["body"] == json.loads(content)


def test_a_body_beyond_the_limit_is_cut_and_says_so() -> None:
    with Web(b'"' + b"x" * LIMIT + b'"') as web:
        seen = observe(Http, web.url)
    assert not seen.error
    assert seen.facts["truncated"] is True
    assert len(seen.facts["text"]) == LIMIT
    assert "body" not in seen.facts


def test_a_body_that_never_ends_is_cut_too() -> None:
    def serve(link: socket.socket) -> None:
        request_of(link)
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            link.sendall(b"x" * 65536)

    with Raw(serve) as server:
        seen = observe(Http, server.url)
    assert seen.facts["truncated"] is True
    assert len(seen.facts["text"]) == LIMIT


def test_a_body_of_exactly_the_limit_is_whole() -> None:
    content = b'"' + b"x" * (LIMIT - 2) + b'"'
    with Web(content) as web:
        seen = observe(Http, web.url)
    assert seen.facts["truncated"] is False
    assert len(seen.facts["body"]) == LIMIT - 2


def test_a_compressed_answer_is_opened_and_a_bomb_is_cut() -> None:
    headers = [("Content-Encoding", "gzip")]
    with Web(Answer(gzip.compress(b'{"a": 1}'), headers=headers)) as web:
        assert observe(Http, web.url).facts["body"] == {"a": 1}
    with Web(Answer(gzip.compress(b" " * 50 * LIMIT), headers=headers)) as web:
        assert observe(Http, web.url).facts["truncated"] is True


def test_a_chunked_answer_is_joined() -> None:
    chunked = (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n'
    )
    with Raw(raw(chunked)) as server:
        assert observe(Http, server.url).facts["body"] == {"a": 1}


def test_the_interim_answer_before_the_real_one_is_not_told() -> None:
    both = (
        b"HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nX-Late: yes\r\nContent-Length: 2\r\n\r\n{}"
    )
    with Raw(raw(both)) as server:
        facts = observe(Http, server.url).facts
    assert facts["status"] == 200
    assert "x-early" not in facts["headers"]
    assert facts["headers"]["x-late"] == "yes"


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        ("text/plain; charset=latin-1", "grün".encode("latin-1"), "grün"),
        ("text/plain", "grün".encode(), "grün"),
        ("text/plain; charset=no-such", "grün".encode(), "grün"),
        ("text/plain", b"gr\xffn", "gr�n"),
    ],
)
def test_text_is_read_in_the_charset_it_names(content_type: str, content: bytes, text: str) -> None:
    with Web(Answer(content, headers=[("Content-Type", content_type)])) as web:
        assert observe(Http, web.url).facts["text"] == text


# --- redirects ---------------------------------------------------------------------------


def redirecting(asked: Asked) -> Answer:
    if asked.path == "/end":
        return Answer(json.dumps({"method": asked.method}))
    status = int(asked.path.strip("/"))
    return Answer(status=status, headers=[("Location", "/end")])


def test_a_redirect_is_reported_not_followed() -> None:
    with Web(redirecting) as web:
        facts = observe(Http, f"{web.url}/302").facts
        assert facts["status"] == 302
        assert facts["redirect"] == f"{web.url}/end"
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_a_followed_post_becomes_what_the_status_says(status: int, method: str) -> None:
    with Web(redirecting) as web:
        options = {"url": f"{web.url}/{status}", "json": {"a": 1}, "follow": 1}
        facts = observe(Http, options).facts
    assert facts["body"] == {"method": method}
    assert web.asked[1].body == ('{"a": 1}' if method == "POST" else "")


def test_a_circle_of_redirects_is_no_answer() -> None:
    """`status < 400` would hold of it, and every browser gives up."""
    with Web(Answer(status=302, headers=[("Location", "/again")])) as web:
        seen = observe(Http, {"url": web.url, "follow": 2})
    assert seen.error == f"redirected more than 2 times, at last to {web.url}/again"
    assert len(web.asked) == 3


def test_another_origin_gets_no_header_of_the_check() -> None:
    with Web() as other:
        onward = Answer(status=307, headers=[("Location", f"{other.url}/there")])
        with Web(onward) as web:
            options = {
                "url": web.url,
                "headers": {"X-Session": "s3cret"},
                "json": {"password": "s3cret"},
                "follow": 3,
            }
            seen = observe(Http, options)
    assert seen.facts["status"] == 200
    assert web.asked[0].headers["x-session"] == "s3cret"
    assert "s3cret" not in str(other.asked[0])


def test_a_redirect_away_from_http_is_not_followed_there(tmp_path: Path) -> None:
    onward = Answer(status=302, headers=[("Location", f"file://{tmp_path}")])
    with Web(onward) as web:
        seen = observe(Http, {"url": web.url, "follow": 1})
    assert seen.error == f"redirected to file://{tmp_path}, which is no http address"


# --- a host of its own -------------------------------------------------------------------


def test_on_a_host_its_address_is_asked_under_the_name_of_the_url() -> None:
    with Web('"one"', address="127.0.0.1") as one, Web('"two"', address="127.0.0.2", port=one.port):
        url = f"http://shop.test:{one.port}/health"
        bodies = [
            observe(Http, url, host=Host(name=f"web{n}", address=f"127.0.0.{n}")).facts["body"]
            for n in (1, 2)
        ]
    assert bodies == ["one", "two"]
    assert one.asked[0].headers["host"] == f"shop.test:{one.port}"


def test_the_name_of_the_url_is_kept_for_tls(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    with Web('"ok"', certificate=ca.issue("shop.test", days=40)) as web:
        options = {"url": f"https://shop.test:{web.port}/", "ca": str(ca.file)}
        seen = observe(Http, options, host=WEB1)
    assert seen.error == ""
    assert web.sni == "shop.test"
    assert seen.facts["tls"]["days_left"] == 40
    assert seen.facts["tls"]["subject"] == "CN = shop.test"
    assert seen.facts["timing"]["tls"] > 0


SPELLINGS = (
    "127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 017700000001 0177.0.0.1 LOCALHOST"
    " localhost. %6cocalhost %31%32%37.0.0.1 u:p@127.0.0.1 web2@localhost [::1]"
    " [::ffff:127.0.0.1] [0:0:0:0:0:ffff:7f00:1]"
)


@pytest.mark.parametrize("spelled", SPELLINGS.split())
def test_on_a_host_it_is_asked_however_the_url_spells_another(spelled: str) -> None:
    web2 = Host(name="web2", address="127.0.0.2")
    with Web('"own"') as own, Web('"web2"', address="127.0.0.2", port=own.port):
        seen = observe(Http, f"http://{spelled}:{own.port}/", host=web2)
        port = free_port()
        refused = observe(Http, f"http://{spelled}:{port}/", host=web2)
    assert seen.facts["body"] == "web2"
    assert refused.error == f"connection refused by 127.0.0.2:{port}"
    assert own.asked == []


@pytest.mark.parametrize("spelled", ["127.0.0.1", "127.1", "2130706433", "%31%32%37.0.0.1"])
def test_a_redirect_to_another_spelling_of_the_name_stays_on_the_host(spelled: str) -> None:
    def onward(asked: Asked) -> Answer:
        moved = [("Location", f"http://{spelled}:{own.port}/there")]
        return Answer('"web2"', 302, moved) if asked.path == "/" else Answer('"web2"')

    web2 = Host(name="web2", address="127.0.0.2")
    with Web('"own"') as own, Web(onward, address="127.0.0.2", port=own.port):
        url = f"http://127.0.0.1:{own.port}/"
        seen = observe(Http, {"url": url, "follow": 1}, host=web2)
    assert (seen.facts.get("status"), seen.facts.get("body")) == (200, "web2")


def test_a_local_host_leaves_the_url_as_it_is() -> None:
    here = Host(name="here", connection="local", address="192.0.2.9")
    with Web('"ok"') as web:
        assert observe(Http, web.url, host=here).facts["body"] == "ok"


def test_a_name_that_is_served_elsewhere_is_told_apart() -> None:
    def by_name(asked: Asked) -> Answer:
        known = asked.headers["host"].startswith("shop.test")
        return Answer("{}", status=200 if known else 421)

    with Web(by_name) as web:
        good = observe(Http, f"http://shop.test:{web.port}", host=WEB1)
        wrong = observe(Http, f"http://other.test:{web.port}", host=WEB1)
    assert (good.facts["status"], wrong.facts["status"]) == (200, 421)


def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Web('"proxy"') as proxy, Web('"direct"') as web:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert observe(Http, web.url).facts["body"] == "direct"
        assert observe(Http, {"url": web.url, "proxy": proxy.url}).facts["body"] == "proxy"


# --- certificates ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "days", "trusted", "reason"),
    [
        ("127.0.0.1", -2, True, "certificate has expired"),
        ("shop.test", 90, True, "no alternative certificate subject name matches"),
        ("127.0.0.1", 90, False, "unable to get local issuer certificate"),
    ],
    ids=["expired", "another name", "unknown authority"],
)
def test_a_certificate_that_proves_nothing_is_an_error(
    tmp_path: Path, name: str, days: float, trusted: bool, reason: str
) -> None:
    ca = authority(tmp_path)
    with Web(certificate=ca.issue(name, days=days)) as web:
        options = {"url": web.url, **({"ca": str(ca.file)} if trusted else {})}
        seen = observe(Http, options)
        unchecked = observe(Http, {**options, "insecure": True})
    assert reason in seen.error
    assert seen.error.endswith(f"(127.0.0.1:{web.port})")
    assert seen.facts == {}
    assert unchecked.facts["status"] == 200


def test_a_client_certificate_is_shown_when_it_is_asked_for(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    mine = ca.issue("client.test")
    with Web('"ok"', certificate=ca.issue("127.0.0.1"), clients=ca) as web:
        options = {"url": web.url, "ca": str(ca.file)}
        with_it = observe(Http, {**options, "cert": str(mine.file), "key": str(mine.key_file)})
        without = observe(Http, options)
    assert with_it.facts["body"] == "ok"
    assert without.error
    assert without.facts == {}


# --- no answer ---------------------------------------------------------------------------


def test_a_refused_connection_names_the_address() -> None:
    port = free_port()
    seen = observe(Http, f"http://127.0.0.1:{port}")
    assert seen.error == f"connection refused by 127.0.0.1:{port}"
    assert seen.facts == {}
    there = observe(Http, f"http://shop.test:{port}", host=WEB1)
    assert there.error == f"connection refused by 127.0.0.1:{port}"


def test_an_unknown_name_is_named() -> None:
    assert observe(Http, "http://no-such-host.invalid/").error == (
        "could not resolve no-such-host.invalid"
    )


def answering(*parts: bytes, then: Callable[[socket.socket], None] = socket.socket.close) -> Any:
    def serve(link: socket.socket) -> None:
        request_of(link)
        for part in parts:
            link.sendall(part)
        then(link)

    return serve


HALF = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (answering(), "closed the connection without an answer"),
        (answering(then=reset), "connection reset by peer"),
        (answering(HALF), "closed the connection in the middle of its answer"),
        (answering(b"HTTP/1.1 200 OK\r\n"), "closed the connection in the middle of its answer"),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Le"),
            "closed the connection in the middle of its answer",
        ),
        (answering(HALF, then=reset), "connection reset by peer"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP"),
    ],
    ids=["closed", "reset", "half", "no header", "half a header", "reset half-way", "ssh"],
)
def test_a_broken_answer_is_an_error_and_no_fact(serve: Any, words: str) -> None:
    with Raw(serve) as server:
        seen = observe(Http, server.url)
    assert words in seen.error
    assert f"127.0.0.1:{server.port}" in seen.error
    assert seen.facts == {}


@pytest.mark.parametrize(
    ("sent", "phase"), [(b"", "waiting for the answer"), (HALF, "reading the answer")]
)
def test_a_timeout_says_what_it_waited_for(sent: bytes, phase: str) -> None:
    over = threading.Event()

    def serve(link: socket.socket) -> None:
        request_of(link)
        link.sendall(sent)
        over.wait(60)

    with Raw(serve) as server:
        seen = observe(Http, server.url, timeout=2)
        over.set()
    assert seen.error == f"timed out after 2 s while {phase} (127.0.0.1:{server.port})"
    assert seen.elapsed_ms >= 1990


def test_redirects_share_one_timeout() -> None:
    over = threading.Event()

    def slow(asked: Asked) -> Answer:
        over.wait(0.15)
        return Answer(status=302, headers=[("Location", "/next")])

    with Web(slow) as web:
        seen = observe(Http, {"url": web.url, "follow": 50}, timeout=0.4)
        over.set()
    assert "timed out after 0.4 s" in seen.error
    assert len(web.asked) <= 4
