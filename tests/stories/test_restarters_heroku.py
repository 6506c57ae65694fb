"""The heroku backend and its client, against a stand-in that is held to the published schema."""

from __future__ import annotations

import os
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

import backout
from backout.heroku import Heroku as Client
from backout.heroku import HerokuError
from backout.heroku.__main__ import main
from backout.heroku.releases import Releases
from backout.model import Result, Service, State
from backout.restarters.heroku import Heroku, HerokuOptions
from support import ports
from support.heroku import Answer, HerokuStandIn
from support.transports import Shell, Told

SOURCE = str(Path(backout.__file__).parents[1])


@pytest.fixture
def heroku() -> Iterator[HerokuStandIn]:
    with HerokuStandIn() as heroku:
        yield heroku


def restarter(
    heroku: HerokuStandIn, app: str = "gigz", process: str = "", token: str | None = None
) -> Heroku:
    options = HerokuOptions(
        process=process, token=token or heroku.token, api=f"http://127.0.0.1:{heroku.port}"
    )
    service = Service(name=app, backend="heroku", options=options)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE}
    return Heroku(service, Shell(env=env))


class Naps(list[float]):
    """A sleep that only notes how long it was asked to be."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(heroku: HerokuStandIn, naps: Naps | None = None, **options: Any) -> Client:
    return Client(heroku.token, api=heroku.url, sleep=Naps() if naps is None else naps, **options)


def test_a_restart_replaces_every_dyno(heroku: HerokuStandIn) -> None:
    backend = restarter(heroku)
    before = backend.identity()
    assert before.up
    assert backend.identity().value == before.value

    assert backend.restart("run.restart").state is State.DONE

    after = backend.identity()
    assert after.up
    assert set(after.value.split()).isdisjoint(before.value.split())
    assert len(after.value.split()) == 2


def test_one_process_type_alone_is_restarted(heroku: HerokuStandIn) -> None:
    web, worker = restarter(heroku, process="web"), restarter(heroku, process="worker")
    before = web.identity().value, worker.identity().value
    web.restart("run.restart")
    assert web.identity().value != before[0]
    assert worker.identity().value == before[1]


def test_crashed_dynos_are_not_up(heroku: HerokuStandIn) -> None:
    heroku.dyno_state = "crashed"
    backend = restarter(heroku)
    assert backend.restart("run.restart").state is State.DONE
    identity = backend.identity()
    assert (identity.up, identity.known) == (False, True)
    assert "web.1 crashed" in identity.detail


def test_dynos_of_an_older_release_are_not_the_release(heroku: HerokuStandIn) -> None:
    old = heroku.dynos["web.1"]
    heroku.release("Deploy 4")
    heroku.dynos["web.1"] = old
    identity = restarter(heroku).identity()
    assert not identity.up
    assert "release v4 succeeded" in identity.detail
    assert "web.1 up (v3)" in identity.detail


def test_an_application_without_dynos_is_not_up(heroku: HerokuStandIn) -> None:
    heroku.dynos.clear()
    identity = restarter(heroku).identity()
    assert (identity.up, identity.value, identity.known) == (False, "", True)


def test_one_off_dynos_do_not_serve(heroku: HerokuStandIn) -> None:
    heroku.dynos["run.7"] = {**heroku.dynos["web.1"], "name": "run.7", "type": "run"}
    assert "run.7" not in restarter(heroku).identity().detail


def test_an_unknown_application_is_not_known(heroku: HerokuStandIn) -> None:
    backend = restarter(heroku, app="nosuch")
    identity = backend.identity()
    assert (identity.up, identity.known) == (False, False)
    assert identity.detail == "Couldn't find that app."
    assert backend.restart("run.restart").stderr.strip() == "Couldn't find that app."
    assert backend.find() == ()


def test_a_refused_token_is_said_in_herokus_words(heroku: HerokuStandIn) -> None:
    identity = restarter(heroku, token="wrong").identity()
    assert identity.detail == "Invalid credentials provided."


def test_stopping_is_left_to_a_person(heroku: HerokuStandIn) -> None:
    result = restarter(heroku).stop("run.stop")
    assert result.state is State.FAILED
    assert "heroku ps:scale web=0 --app gigz" in result.reason
    assert heroku.calls == []


def test_it_is_found_by_its_application(heroku: HerokuStandIn) -> None:
    assert restarter(heroku).find() == ({"backend": "heroku", "name": "gigz", "app": "gigz"},)


def test_every_page_of_the_releases_is_read_newest_first(heroku: HerokuStandIn) -> None:
    heroku.page_size = 2
    for number in range(4, 8):
        heroku.release(f"Deploy {number}")
    versions = [release["version"] for release in client(heroku).releases("gigz")]
    assert versions == [7, 6, 5, 4, 3, 2, 1]
    assert [call.status for call in heroku.calls] == [206, 206, 206, 200]


def test_pages_that_nobody_asks_for_are_not_fetched(heroku: HerokuStandIn) -> None:
    heroku.page_size = 2
    current = client(heroku).current("gigz")
    assert current
    assert current["version"] == 3
    assert len(heroku.calls) == 1


def test_a_rate_limit_is_waited_out_as_long_as_heroku_says(heroku: HerokuStandIn) -> None:
    heroku.refusals, heroku.retry_after = 2, 7
    naps = Naps()
    assert len(client(heroku, naps).dynos("gigz")) == 2
    assert naps == [7, 7]


def test_a_rate_limit_without_a_time_is_waited_out_longer_and_longer(
    heroku: HerokuStandIn,
) -> None:
    heroku.refusals = 3
    naps = Naps()
    client(heroku, naps).restart("gigz")
    assert naps == [1, 2, 4]
    assert [call.status for call in heroku.calls] == [429, 429, 429, 202]


def test_a_rate_limit_without_end_is_given_up(heroku: HerokuStandIn) -> None:
    heroku.remaining = 0
    naps = Naps()
    with pytest.raises(HerokuError, match="rate limit") as caught:
        client(heroku, naps, patience=10).restart("gigz")
    assert caught.value.kind == "rate_limit"
    assert caught.value.answered
    assert sum(naps) <= 10


def test_going_back_is_a_new_release_with_the_old_slug(heroku: HerokuStandIn) -> None:
    old = client(heroku).release("gigz", "2")
    made = client(heroku).roll_back("gigz", old["id"])
    assert made["version"] == 4
    assert made["slug"] == old["slug"]


def test_a_release_that_cannot_be_gone_back_to_is_refused(heroku: HerokuStandIn) -> None:
    stale = heroku.release("Deploy 4", eligible=False)
    with pytest.raises(HerokuError, match="Cannot roll back") as caught:
        client(heroku).roll_back("gigz", stale["id"])
    assert caught.value.status == 422


def test_a_silent_heroku_leaves_the_outcome_unknown() -> None:
    port = ports.free_port()
    with pytest.raises(HerokuError, match="no answer from") as caught:
        Client("token", api=f"http://127.0.0.1:{port}").restart("gigz")
    assert not caught.value.answered


def test_the_token_does_not_leave_in_the_clear() -> None:
    with pytest.raises(HerokuError, match="only over https"):
        Client("token", api="http://api.example.org")


def test_the_token_stands_in_no_command_line() -> None:
    transport = Told(Result(State.DONE, 0))
    options = HerokuOptions(token="hush")
    Heroku(Service(name="gigz", backend="heroku", options=options), transport).restart("run.step")
    (command,) = transport.asked
    assert command.env == (("HEROKU_API_KEY", "hush"),)
    assert "hush" not in command.script


class Odd(HerokuStandIn):
    """Answers every request with the same thing."""

    odd = Answer(200, "")

    def answer(self, *asked: object) -> Answer:  # noqa: ARG002
        return self.odd


def test_an_answer_that_is_no_error_of_herokus_is_still_an_error() -> None:
    with Odd() as odd:
        odd.odd = Answer(503, ["<html>"])
        with pytest.raises(HerokuError, match="Heroku answered 503"):
            client(odd).dynos("gigz")


def test_a_redirect_does_not_carry_the_token_away() -> None:
    with Odd() as odd:
        odd.odd = Answer(302, {}, headers={"Location": "http://127.0.0.1:1/elsewhere"})
        with pytest.raises(HerokuError, match="Heroku answered 302"):
            client(odd).dynos("gigz")


def test_logs_are_read_from_the_session_that_heroku_opens() -> None:
    class Logging(HerokuStandIn):
        def answer(self, method: str, path: str, headers: Message, body: Any) -> Answer:
            if path == "/logs":
                assert "Authorization" not in headers
                return Answer(200, "the last line")
            assert (method, path) == ("POST", "/apps/gigz/log-sessions")
            assert body == {"lines": 5, "tail": False, "type": "web"}
            return Answer(201, {"logplex_url": f"{self.url}/logs"})

    with Logging() as heroku:
        assert restarter(heroku, process="web").logs(5) == "the last line"


class Faltering(HerokuStandIn):
    """Answers 503 to the next requests of a method."""

    falters = 0
    method = "GET"

    def answer(self, method: str, path: str, headers: Message, body: Any) -> Answer:
        if method == self.method and self.falters:
            self.falters -= 1
            return Answer(503, {"id": "unavailable", "message": "try again"})
        return super().answer(method, path, headers, body)


def test_a_question_that_fails_on_herokus_side_is_asked_again() -> None:
    naps = Naps()
    with Faltering() as heroku:
        heroku.falters = 2
        assert len(client(heroku, naps).dynos("gigz")) == 2
        assert naps == [1.0, 2.0]
        heroku.falters = 3
        with pytest.raises(HerokuError, match="try again"):
            client(heroku).dynos("gigz")


def test_a_change_that_fails_on_herokus_side_is_not_made_again() -> None:
    with Faltering() as heroku:
        heroku.falters, heroku.method = 1, "POST"
        with pytest.raises(HerokuError, match="try again"):
            client(heroku).roll_back("gigz", heroku.releases[0]["id"])
        assert len(heroku.releases) == 3


@pytest.mark.parametrize("artifacts", [[], None])
def test_a_release_that_names_no_code_is_not_taken_for_the_one_to_go_back_to(
    heroku: HerokuStandIn, artifacts: object
) -> None:
    for each in heroku.releases:
        each |= {"slug": None, "artifacts": artifacts}

    wanted = heroku.releases[0]["id"]
    asked: list[str] = []

    class Asked(Client):
        def roll_back(self, app: str, release: str) -> dict[str, Any]:
            asked.append(release)
            return self.release(app, "3")

    Releases(Asked(heroku.token, api=heroku.url), "gigz").back(wanted)
    assert asked == [wanted]
    heroku.mistakes.clear()  # the published shape has no such release


@pytest.mark.parametrize("body", [[], {}, "x", [{}], None])
def test_an_answer_of_another_form_is_told_without_a_traceback(
    body: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEROKU_API_KEY", "token")
    with Odd() as odd:
        odd.odd = Answer(200, body)
        assert main(["releases", "--api", odd.url, "--", "gigz"]) == 1
    assert "Heroku's answer" in capsys.readouterr().err
