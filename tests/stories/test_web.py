"""`invoke watch --listen`: the page, its runs, the metrics and the health, to those who may ask."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backout.adapters.web import patience
from backout.adapters.web.address import Address
from backout.adapters.web.html import Pages
from backout.adapters.web.html import Site as Files
from backout.adapters.web.metrics import Metrics, Reading
from backout.adapters.web.server import Server, Site
from backout.errors import Mistakes, Refused
from backout.model import CheckKey, WatcherHealth
from backout.status_page import feeds
from backout.status_page.views import status_view
from support import health_facts as known
from support.loopback import Answer, Asked, Web
from support.ports import free_port
from support.process import Process
from support.project import BACKOUT, Project
from support.wait import eventually

SECRET = "sesame-open-4711"


class Asking:
    """A client that says what it likes in its Host header."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(
        self, path: str = "/", method: str = "GET", **headers: str
    ) -> tuple[HTTPResponse, bytes]:
        link = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.putrequest(method, path, skip_host="host" in headers)
            for name, value in headers.items():
                link.putheader(name, value)
            link.endheaders()
            answer = link.getresponse()
            return answer, answer.read()
        finally:
            link.close()

    def status(self, path: str = "/", method: str = "GET", **headers: str) -> int:
        return self(path, method, **headers)[0].status


@contextmanager
def serving(
    directory: Path,
    health: Callable[[], WatcherHealth] = lambda: WatcherHealth("ok"),
    **how: Any,
) -> Iterator[tuple[Asking, Metrics]]:
    """The server over a directory of pages."""
    metrics = Metrics(lambda text: text.replace(SECRET, "[secret]"), health)
    address = Address.of("127.0.0.1:0", **how)
    server = Server(Site(directory, address, health, metrics, stale_after=60, stale=feeds.stale))
    server.start()
    try:
        asking = Asking(server.port)
        eventually(lambda: asking.status("/health") in (200, 503), saying="the server answers")
        yield asking, metrics
    finally:
        server.stop()


@pytest.fixture
def site(tmp_path: Path) -> Files:
    files = Files(tmp_path / "status")
    view = status_view(known.watched(), now=known.NOW, stale_after=60)
    files.write(Pages(str).status(view))
    files.write_run("r-1", "<!doctype html><title>run</title>")
    return files


# --- pages ---------------------------------------------------------------------------------


def test_the_page_comes_with_headers_that_forbid_what_it_does_not_need(site: Files) -> None:
    with serving(site.directory) as (ask, _):
        answer, body = ask("/")
        policy = answer.getheader("Content-Security-Policy") or ""
    assert answer.status == 200
    assert b"add-concert" in body
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert policy.endswith("frame-ancestors 'none'")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Cache-Control") == "no-store"
    assert answer.getheader("Server") is None


def test_runs_have_pages_and_nothing_else_of_the_directory_does(site: Files) -> None:
    (site.directory.parent / "health.db").write_text("private")
    (site.directory / "notes.html").write_text("private")
    with serving(site.directory) as (ask, _):
        assert ask.status("/runs/r-1.html") == 200
        for path in (
            "/notes.html",
            "/../health.db",
            "/..%2fhealth.db",
            "/%2e%2e/health.db",
            "/runs/..%2findex.html",
            "/runs/../../health.db",
            "/runs/.html",
            "/.index.html.new",
        ):
            assert ask.status(path) == 404, path


def test_nothing_can_be_done_here(site: Files) -> None:
    with serving(site.directory) as (ask, _):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            for path in ("/", "/health", "/metrics", "/runs/r-1.html"):
                assert ask.status(path, method) == 405, (method, path)


def test_a_page_that_was_not_written_for_long_is_served_as_stale(site: Files) -> None:
    with serving(site.directory) as (ask, _):
        assert b'class="stale now"' not in ask("/")[1]
        os.utime(site.directory / "index.html", (1, time.time() - 61))
        assert b'class="stale now"' in ask("/")[1]


def test_nothing_that_was_not_written_for_long_is_served_as_green(site: Files) -> None:
    well = [replace(known.watched()[0], histories=(known.history("alive"),), incidents=())]
    view = status_view(well, now=known.NOW, stale_after=60)
    status = json.dumps(feeds.status_data(view, well, known.NOW))
    site.write({"badge-prod.svg": feeds.badge("prod", "pass"), "status.json": status})
    with serving(site.directory) as (ask, _):
        assert b"healthy" in ask("/badge-prod.svg")[1]
        assert json.loads(ask("/status.json")[1])["state"] == "pass"
        for name in ("badge-prod.svg", "status.json"):
            os.utime(site.directory / name, (1, time.time() - 61))
        badge, data = ask("/badge-prod.svg")[1].decode(), ask("/status.json")[1].decode()
    assert "<title>prod: stale</title>" in badge
    assert feeds.COLOURS["pass"] not in badge
    assert '"pass"' not in data
    assert json.loads(data)["state"] == "stale"


def test_before_the_first_page_there_is_none(tmp_path: Path) -> None:
    with serving(tmp_path) as (ask, _):
        answer, _body = ask("/")
    assert answer.status == 404
    assert (
        answer.getheader("Content-Security-Policy") == "default-src 'none'; frame-ancestors 'none'"
    )


# --- who may ask ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8642", 200),
        ("localhost:1", 200),
        ("LOCALHOST.", 200),
        ("[::1]:8642", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8642", 421),
        ("192.0.2.7", 421),
        ("", 421),
        ("127.0.0.1@evil.example", 421),
        ("[::1].evil.example", 421),
    ],
)
def test_a_page_of_somebody_elses_cannot_read_it_under_its_own_name(
    site: Files, host: str, status: int
) -> None:
    with serving(site.directory) as (ask, _):
        assert ask.status("/", host=host) == status
        answer, body = ask("/metrics", host=host)
        assert answer.status == status
        assert (b"backout_" in body) == (status == 200)


def test_a_name_that_was_given_is_answered_to(site: Files) -> None:
    with serving(site.directory, names=["status.example.org"]) as (ask, _):
        assert ask.status("/", host="Status.Example.org:443") == 200
        assert ask.status("/", host="other.example.org") == 421


def test_an_address_that_others_reach_is_refused_unless_that_is_meant() -> None:
    for text in ("0.0.0.0:8642", "[::]:8642", "192.0.2.1:80"):
        with pytest.raises(Refused, match="everybody who reaches"):
            Address.of(text)
    assert Address.of("0.0.0.0:8642", anywhere=True).answers_to("192.0.2.1:8642")
    assert not Address.of("0.0.0.0:8642", anywhere=True).answers_to("evil.example")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("8642", "http://127.0.0.1:8642/"),
        ("127.0.0.1", "http://127.0.0.1:8642/"),
        ("localhost:99", "http://127.0.0.1:99/"),
        ("[::1]:99", "http://[::1]:99/"),
        (":99", "http://127.0.0.1:99/"),
    ],
)
def test_an_address_can_be_written_short(text: str, url: str) -> None:
    assert Address.of(text).url == url


@pytest.mark.parametrize("text", ["", "example.org:80", "127.0.0.1:99999", "::1:8642x", "a b"])
def test_what_is_no_address_is_a_mistake(text: str) -> None:
    with pytest.raises(Mistakes, match="is no address"):
        Address.of(text)


def test_a_port_that_is_taken_is_refused_before_anything_begins(site: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address.of(f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Refused, match="cannot listen"):
            address.bind()


# --- health and metrics --------------------------------------------------------------------


def test_health_is_red_while_a_check_is_overdue(tmp_path: Path) -> None:
    said = [WatcherHealth("overdue", ("prod: alive is overdue since …",))]
    with serving(tmp_path, lambda: said[-1]) as (ask, _):
        answer, body = ask("/health")
        assert answer.status == 503
        assert json.loads(body) == said[0].to_data()
        said.append(WatcherHealth("ok"))
        assert ask.status("/health") == 200


def families(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_metrics_count_verdicts_latencies_incidents_and_runs(tmp_path: Path) -> None:
    good, bad = known.watched()[0].histories[0].last, known.watched()[0].histories[2].last
    assert good is not None
    assert bad is not None
    with serving(tmp_path) as (ask, metrics):
        metrics.observe([good, good, bad])
        metrics.reading = Reading(
            last={good.check_key: good, bad.check_key: bad},
            incidents=[known.FAILING],
            targets=["prod"],
            runs=[("prod", "deploy", "succeeded", 7)],
            written=time.time(),
        )
        found = families(ask("/metrics")[1])
    check_key = (("check", "alive"), ("host", "web1"), ("target", "prod"))
    assert found["backout_checks", (("target", "prod"), ("verdict", "fail"))] == 1
    assert found["backout_check_latency_seconds_count", check_key] == 2
    assert (
        found[
            "backout_check_latency_seconds_bucket",
            (*check_key[:1], check_key[1], ("le", "0.05"), check_key[2]),
        ]
        == 2
    )
    assert found["backout_looks_total", (*check_key, ("verdict", "pass"))] == 2
    assert found["backout_incidents_open", (("target", "prod"),)] == 1
    runs = (("outcome", "succeeded"), ("target", "prod"), ("verb", "deploy"))
    assert found["backout_runs_total", runs] == 7
    assert found["backout_check_last_run_timestamp_seconds", check_key] == good.at
    assert found["backout_watcher_well", ()] == 1


def test_no_label_tells_a_secret(tmp_path: Path) -> None:
    sample = known.watched()[0].histories[0].last
    assert sample is not None
    sample = replace(sample, check_key=CheckKey(f"t{SECRET}", f"c{SECRET}", f'h{SECRET}\n"x'))
    with serving(tmp_path) as (ask, metrics):
        metrics.observe([sample])
        metrics.reading = Reading(
            last={sample.check_key: sample}, targets=[sample.check_key.target]
        )
        text = ask("/metrics")[1]
    assert SECRET.encode() not in text
    assert families(text)


# --- the watcher ---------------------------------------------------------------------------


@contextmanager
def watching(project: Project, port: int, log: Path, *words: str) -> Iterator[Process]:
    argv = [*BACKOUT, "watch", "--listen", f"127.0.0.1:{port}", *words]
    with Process(
        argv, log=log, env={**project.env, "TOKEN": SECRET}, cwd=project.directory
    ) as watcher:
        yield watcher


def inventory(service: Web) -> dict[str, Any]:
    return {
        "secrets": {"token": {"env": "TOKEN"}},
        "checks": {
            "alive": {
                "http": {"url": f"{service.url}/ok", "headers": {"X-Token": "{{ secrets.token }}"}},
                "expect": ["status == 200"],
                "every": "1s",
            },
            "echo": {
                "http": {"url": f"{service.url}/bad?token={{{{ secrets.token }}}}"},
                "expect": ["status == 200"],
                "every": "1s",
                "alert": {"after": 1},
            },
        },
    }


def test_a_watcher_keeps_the_page_written_and_serves_it_without_a_secret(tmp_path: Path) -> None:
    def respond(asked: Asked) -> Answer:
        if asked.path == "/ok":
            return Answer("{}")
        return Answer(f"refused: {asked.path} {SECRET}", 500)

    project, port = Project(tmp_path / "project"), free_port()
    with Web(respond) as service:
        project.inventory("prod", inventory(service))
        with watching(project, port, tmp_path / "log") as watcher:
            ask = Asking(port)

            def seen(path: str = "/") -> str:
                return ask(path)[1].decode()

            def written() -> list[str]:
                return re.findall(r"<time>(.*?)</time>", seen())

            eventually(lambda: "echo fails" in seen(), saying="the incident is shown")
            first = written()
            eventually(lambda: written() != first, saying="the page is written anew")
            eventually(lambda: 'backout_looks_total{check="alive"' in seen("/metrics"))
            health = json.loads(seen("/health"))
            assert (health["status"], health["checks"]) == ("ok", 2)
            everything = [seen(path) for path in ("/", "/live.html", "/metrics", "/health")]
            status = project.state / "status"
            everything += [path.read_text() for path in status.rglob("*.html")]
            watcher.signal(signal.SIGTERM)
            assert watcher.wait(30) == 0
        everything.append((tmp_path / "log").read_text())
    assert service.asked
    assert any(asked.headers.get("x-token") == SECRET for asked in service.asked)
    assert all(SECRET not in text for text in everything)
    assert any("[secret token]" in text for text in everything)
    assert status.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in status.glob("*.html")} == {0o600}


def test_a_deploy_is_a_run_with_a_page_of_its_own(tmp_path: Path) -> None:
    project, port = Project(tmp_path / "project"), free_port()
    with Web('{"status": "ok"}') as service:
        checks = inventory(service)
        del checks["checks"]["echo"]
        project.inventory("prod", {**checks, "hosts": {"here": {"connection": "local"}}})
        steps = [
            {
                "name": "Say it",
                "run": "echo moved by $TOKEN; touch here",
                "undo": "rm -f here",
                "on": "all",
                "env": {"TOKEN": "{{ secrets.token }}"},
            }
        ]
        project.runbook("deploy", {"steps": steps, "settle": [{"name": "Prove", "verify": "all"}]})
        done = project.say("deploy", "--target", "prod", "--yes", env={"TOKEN": SECRET})
        assert done.code == 0, done.err
        with watching(project, port, tmp_path / "log"):
            ask = Asking(port)
            runs = project.state / "status" / "runs"
            eventually(lambda: list(runs.glob("*.html")), saying="the run has a page")
            (page,) = runs.glob("*.html")
            eventually(lambda: ask.status(f"/runs/{page.name}") == 200)
            run = ask(f"/runs/{page.name}")[1].decode()
            eventually(lambda: page.name in ask("/")[1].decode(), saying="it is linked")
            metrics = ask("/metrics")[1].decode()
            status = json.loads(ask("/status.json")[1])
            badge, feed = ask("/badge-prod.svg"), ask("/incidents.atom")
            page.unlink()
            eventually(lambda: not page.exists())
            old = ask(f"/runs/{page.name}")
            assert ask.status("/runs/20200101-000000-nothing.html") == 404
    assert old[0].status == 200, "it was not listed any more, and answers still"
    assert b"Say it" in old[1]
    assert SECRET.encode() not in old[1]
    assert [each["target"] for each in status["targets"]] == ["prod"]
    assert badge[0].headers["Content-Type"].startswith("image/svg+xml")
    assert b"<title>prod: " in badge[1]
    assert feed[0].headers["Content-Type"].startswith("application/atom+xml")
    assert "Say it" in run
    assert "moved by [secret token]" in run
    assert SECRET not in run
    assert "rm -f here" in run
    assert 'backout_runs_total{outcome="succeeded",target="prod",verb="deploy"} 1.0' in metrics


def test_a_stopped_watcher_leaves_its_page_to_go_stale(tmp_path: Path) -> None:
    project, port = Project(tmp_path / "project"), free_port()
    with Web('{"status": "ok"}') as service:
        project.inventory("prod", inventory(service))
        with watching(project, port, tmp_path / "log", "--page", "www") as watcher:
            page = project.directory / "www" / "index.html"
            eventually(page.exists, saying="the page is written")
            watcher.signal(signal.SIGTERM)
            watcher.wait(30)
        html = page.read_text()
    assert 'class="stale"' in html
    assert "--limit:" in html


def test_listening_where_others_reach_it_is_refused_before_anything_is_watched(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path / "project")
    with Web("{}") as service:
        project.inventory("prod", inventory(service))
        said = project.say("watch", "--listen", "0.0.0.0:8642", env={"TOKEN": SECRET})
    assert said.code == 3
    assert "--listen-anywhere" in said.err
    assert not service.asked


HALF = {
    "nothing": b"",
    "half a request": b"GET / HTTP/1.1\r\nHost: 127",
    "half a request after a whole one": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /",
}


@pytest.mark.parametrize("said", HALF.values(), ids=HALF)
def test_requests_that_never_come_whole_keep_nobody_out(site: Files, said: bytes) -> None:
    with serving(site.directory) as (asking, _), ExitStack() as open_links:
        for _number in range(250):
            link = open_links.enter_context(socket.create_connection(("127.0.0.1", asking.port)))
            with suppress(OSError):
                link.sendall(said)
        for _number in range(5):
            assert asking.status("/health") == 200


def test_a_request_that_never_comes_is_not_awaited_for_ever(
    site: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.2)
    with serving(site.directory) as (asking, _):
        for said in HALF.values():
            with socket.create_connection(("127.0.0.1", asking.port), timeout=60) as link:
                link.sendall(said)
                with suppress(ConnectionResetError):
                    while link.recv(4096):
                        pass


def test_many_readers_do_not_hold_up_one_another(site: Files) -> None:
    with serving(site.directory) as (ask, _):
        statuses: list[int] = []
        readers = [
            threading.Thread(target=lambda: statuses.append(ask.status())) for _ in range(30)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
    assert statuses == [200] * 30
