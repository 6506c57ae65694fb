"""The Heroku stand-in, with the real command line client as an independent witness."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.heroku import HerokuStandIn
from support.heroku_cli import HerokuCli, heroku_cli
from support.heroku_shapes import complaints


@pytest.fixture
def client(heroku: HerokuStandIn, tmp_path: Path) -> Iterator[HerokuCli]:
    """The real command line client."""
    with heroku_cli(heroku, tmp_path) as client:
        yield client


def test_the_real_client_rolls_back_and_restarts(heroku: HerokuStandIn, client: HerokuCli) -> None:
    before = heroku.dynos["web.1"]["id"]
    done = client("releases:rollback", "v1", "-a", "gigz")
    assert done.returncode == 0, done.stderr
    assert heroku.current["description"] == "Rollback to v1"
    web, worker = heroku.dynos["web.1"]["id"], heroku.dynos["worker.1"]["id"]
    assert web != before
    assert client("ps:restart", "-a", "gigz", "-d", "worker.1").returncode == 0
    assert heroku.dynos["web.1"]["id"] == web
    assert heroku.dynos["worker.1"]["id"] != worker


def test_the_real_client_reads_the_releases(client: HerokuCli) -> None:
    done = client("releases", "-a", "gigz", "--json")
    assert done.returncode == 0, done.stderr
    assert [each["version"] for each in json.loads(done.stdout)] == [3, 2, 1]


def test_every_answer_has_its_shape(heroku: HerokuStandIn) -> None:
    app = "/apps/gigz"
    heroku.build = "pending"
    named = ("dynos", "dynos/web.1", "releases", "builds")
    for path in (app, *(f"{app}/{name}" for name in named), "/account"):
        assert _ask(heroku, "GET", path)[0] == 200
    assert _ask(heroku, "GET", "/account/rate-limits")[0] == 200
    assert _ask(heroku, "GET", f"{app}/releases/2")[0] == 200
    assert heroku.mistakes == []


def test_an_answer_of_another_shape_is_a_mistake() -> None:
    heroku = HerokuStandIn().start()
    heroku.releases[0] |= {"more": True, "version": "1", "status": "done"}
    del heroku.releases[1]["slug"]
    _ask(heroku, "GET", "/apps/gigz/releases")
    with pytest.raises(AssertionError) as caught:
        heroku.stop()
    for words in (
        "release: 'more' is invented",
        "release: 'slug' is missing",
        "release.version: '1' is no whole number",
        "release.status: 'done' is none of failed, pending, succeeded, expired",
    ):
        assert words in str(caught.value)


def test_the_published_schema_is_asked_where_a_copy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = {"strictProperties": True, "properties": {"remaining": {"type": ["string"]}}}
    copy = tmp_path / "schema.json"
    copy.write_text(json.dumps({"definitions": {"rate-limit": strict}}))
    monkeypatch.setenv("BACKOUT_HEROKU_SCHEMA", str(copy))
    assert complaints("rate-limit", {"remaining": 1}) == [
        "published rate-limit.remaining: 1 is not of type 'string'"
    ]


def test_an_unknown_call_is_a_mistake() -> None:
    heroku = HerokuStandIn().start()
    assert _ask(heroku, "GET", "/apps/gigz/nonsense")[0] == 404
    with pytest.raises(AssertionError, match="does not know GET /apps/gigz/nonsense"):
        heroku.stop()


def test_releases_come_in_pages_that_point_to_the_next(heroku: HerokuStandIn) -> None:
    heroku.page_size = 2
    asked = "version ..; order=desc, max=10"
    seen = []
    while asked:
        status, headers, page = _ask(heroku, "GET", "/apps/gigz/releases", asked)
        seen += [each["version"] for each in page]
        asked = headers.get("Next-Range", "")
        assert status == (206 if asked else 200)
    assert seen == [3, 2, 1]


@pytest.mark.parametrize("retry_after", [None, 2])
def test_a_rate_limit_may_or_may_not_say_when_to_come_back(
    heroku: HerokuStandIn, retry_after: int | None
) -> None:
    heroku.refusals, heroku.retry_after = 1, retry_after
    status, headers, body = _ask(heroku, "GET", "/apps/gigz/dynos")
    assert (status, body["id"]) == (429, "rate_limit")
    assert headers.get("Retry-After") == (retry_after and str(retry_after))
    assert _ask(heroku, "GET", "/apps/gigz/dynos")[0] == 200


def test_a_pending_release_runs_only_when_it_is_finished(heroku: HerokuStandIn) -> None:
    heroku.next_status = "pending"
    before = heroku.dynos["web.1"]["id"]
    status, _, made = _ask(heroku, "POST", "/apps/gigz/releases", body={"release": "1"})
    assert (status, made["status"], made["current"]) == (201, "pending", False)
    assert heroku.dynos["web.1"]["id"] == before
    heroku.finish("succeeded")
    assert heroku.current["version"] == made["version"]
    assert heroku.dynos["web.1"]["id"] != before


def test_an_ineligible_release_is_refused(heroku: HerokuStandIn) -> None:
    heroku.release("Too old", eligible=False)
    status, _, body = _ask(heroku, "POST", "/apps/gigz/releases", body={"release": "4"})
    assert (status, body["id"]) == (422, "invalid_params")


def test_an_unknown_app_and_a_wrong_token_are_refused(heroku: HerokuStandIn) -> None:
    assert _ask(heroku, "GET", "/apps/other/dynos")[0] == 404
    heroku.token = "another"
    assert _ask(heroku, "GET", "/apps/gigz/dynos", token="token")[0] == 401


def _ask(
    heroku: HerokuStandIn,
    method: str,
    path: str,
    asked: str = "",
    *,
    body: object = None,
    token: str | None = None,
) -> tuple[int, dict[str, str], Any]:
    headers = {
        "Accept": "application/vnd.heroku+json; version=3",
        "Authorization": f"Bearer {token or heroku.token}",
        **({"Range": asked} if asked else {}),
    }
    connection = http.client.HTTPConnection("127.0.0.1", heroku.port, timeout=30)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read())
    finally:
        connection.close()
