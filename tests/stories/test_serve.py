"""The web view in a real browser: a run to its end, approvals, and who may do what."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest

from backout.commands.errand import Errands
from backout.model.people import Person
from backout.project.project import Workplace
from support.browser import Browser
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

SECRET = "sesame-open-4711-of-the-web"
HOSTILE = "<img src=x onerror=alert(1)> \"'</title><script>alert(2)</script>"


class House:
    """One project, its web view, and a browser before it."""

    def __init__(self, yard: Yard, browser: Browser, url: str) -> None:
        self.yard, self.browser, self.url = yard, browser, url
        self.port = int(url.rsplit(":", 1)[1].strip("/"))
        self.bytes = b""
        self.given: list[str] = []

    def ask(
        self, path: str, form: dict[str, str] | None = None, cookie: str = "", **headers: str
    ) -> tuple[int, str, str]:
        """Status, page and cookie."""
        link = HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": cookie, **headers}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        link.request("POST" if form is not None else "GET", path, urlencode(form or {}), sent)
        answer = link.getresponse()
        body = answer.read()
        self.bytes += body
        link.close()
        given = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        assert "default-src 'none'" in str(answer.getheader("Content-Security-Policy"))
        return answer.status, body.decode(), given

    def token(self, name: str, role: str) -> str:
        said = self.yard.project.say("token.add", name, "--role", role, "--json")
        assert said.code == 0, said.out + said.err
        self.given.append(str(said.data["token"]))
        return self.given[-1]

    def enter(self, token: str) -> str:
        status, _, cookie = self.ask("/enter", {"token": token, "to": "/"})
        assert status == 303
        return cookie

    def csrf(self, cookie: str) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', self.ask("/", cookie=cookie)[1])
        assert found
        return found[1]

    def come_in(self, token: str) -> None:
        """The browser, by the form."""
        self.browser.call("Network.clearBrowserCookies")
        self.browser.open(f"{self.url}incidents")
        self.browser.run(f"document.querySelector('[name=token]').value = {json.dumps(token)}")
        self.click("Enter")

    def click(self, words: str) -> None:
        """A button; the page that comes of it is there."""
        self.browser.run("window.before = true")
        found = f"find(b => b.innerText.startsWith({json.dumps(words)}))"
        self.browser.run(f"[...document.querySelectorAll('button')].{found}.click()")
        eventually(
            lambda: self.browser.run("document.readyState === 'complete' && !window.before"),
            within=60,
            saying=words,
            ignoring=(AssertionError,),
        )

    def text(self) -> str:
        return str(self.browser.run("document.body?.innerText ?? ''"))

    def shows(self, words: str) -> None:
        """That, sooner or later."""
        eventually(lambda: words in self.text(), saying=words, ignoring=(AssertionError,))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("house")
    with Yard(directory, rollout={"batches": ["100%"], "soak": 0}) as yard:
        yard.project.env |= {"WEB_SECRET": SECRET, "BACKOUT_PERSON": "ann"}
        yard.inventory(secrets={"key": {"env": "WEB_SECRET"}})
        server = yard.project.start("serve", "--listen", "0")
        yard._started.append(server)
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found
        with Browser(directory / "browser") as browser:
            yield House(yard, browser, found[0])
        server.terminate()
        server.communicate(60)
        assert server.returncode == 0


def held(house: House, name: str) -> tuple[Started, str]:
    """A deploy that is at its second step, and the address of its page."""
    yard = house.yard
    tell = f"echo '{HOSTILE.replace(chr(39), '')}' $KEY; echo $KEY | base64\n"
    step = {**yard.step(name, before=tell + yard.hold(name)), "env": {"KEY": "{{ secrets.key }}"}}
    yard.runbook(yard.step("First"), {**step, "name": HOSTILE})
    started = yard.start()
    yard.busy(f"{name}-here")
    run = yard.project.say("history", "--json").data["runs"][0]["run"]
    return started, f"{house.url}runs/{run}"


def readable(browser: Browser) -> None:
    """On a phone, by everybody, without anything that ran."""
    browser.resize(360, 740, phone=True)
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.axe() == []
    browser.resize(1200)
    assert browser.complaints() == []


def test_without_tokens_a_run_is_read_live_to_its_end_and_nothing_can_be_done(house: House) -> None:
    started, page = held(house, "Slow")
    browser = house.browser
    browser.resize(1200)
    browser.open(page)
    assert "Deploy of prod has not ended" in house.text()
    assert HOSTILE in house.text()
    assert browser.run("document.querySelectorAll('main script, main img').length") == 0
    assert "read only" in house.text()
    assert "Stop it" not in house.text()
    run = page.rpartition("/")[2]
    assert house.ask("/act/stop", {"run": run, "sure": "yes", "csrf": ""})[0] == 403
    house.yard.let_go("Slow")
    out, _ = started.communicate(60)
    assert started.returncode == 0, out
    eventually(
        lambda: (
            browser.run("document.querySelector('main').dataset.over") == "yes"
            and browser.run("document.querySelector('h1').innerText").startswith("Deployed release")
        ),
        within=60,
        saying="the page has come to the end of the run",
    )
    readable(browser)
    for path in ("", "runs?q=deploy+prod", "incidents"):
        browser.open(f"{house.url}{path}")
        readable(browser)
    assert run in house.ask("/runs?q=prod+succeeded")[1]
    assert run not in house.ask("/runs?q=nobody")[1]
    assert house.ask("/runs/2020")[0] == 404
    assert house.ask("/", Host="evil.example")[0] == 421


def test_another_tokens_yes_is_taken_and_ones_own_is_refused(house: House) -> None:
    project = house.yard.project
    plain = {**house.yard.plain(), **house.yard.changes}
    project.inventory("shop", {**plain, "protected": {"approvals": 1}})
    house.yard.runbook(house.yard.step("Shop"), name="shop")
    words = ("run", "--runbook", "shop", "--target", "shop", "--yes", "--json")
    assert project.say(*words).code == 3
    (asked,) = project.say("status", "--target", "shop", "--json").data["asked"]
    ann, bob = house.token("ann", "deploy"), house.token("bob", "approve")
    assert house.ask("/approvals")[0] == 401
    for token, button, words_after in (
        (ann, "Yes", "you asked for it yourself, as ann"),
        (bob, "Yes", "approved"),
    ):
        house.come_in(token)
        house.browser.open(f"{house.url}approvals/{asked['run']}")
        assert "Shop" in house.text()
        house.click(button)
        assert words_after in house.text()
        house.browser.open(house.url)
        house.click("leave")
        assert "Who are you?" in house.text()
    house.come_in(bob)
    house.browser.open(f"{house.url}approvals/{asked['run']}")
    readable(house.browser)
    said = project.say(*words)
    assert said.code == 0, said.out + said.err
    assert said.data["approved_by"][0].startswith("bob (bob@web)")


def test_whoever_may_stops_a_run_with_a_form_of_their_own_and_is_on_record(house: House) -> None:
    started, page = held(house, "Stopped")
    run = page.rpartition("/")[2]
    roles = ("look", "deploy")
    cookies = {role: house.enter(house.token(f"one-who-may-{role}", role)) for role in roles}
    wanted = {"run": run, "sure": "yes"}
    looks, may = (house.csrf(cookies[role]) for role in roles)
    assert house.ask("/act/stop", {**wanted, "csrf": looks}, cookies["look"])[0] == 409
    assert house.ask("/act/stop", {**wanted, "csrf": looks}, cookies["deploy"])[0] == 403
    foreign = {"Origin": "http://evil.example"}
    assert house.ask("/act/stop", {**wanted, "csrf": may}, cookies["deploy"], **foreign)[0] == 403
    assert "Stop it" in house.ask(f"/runs/{run}", cookie=cookies["deploy"])[1]
    assert house.ask("/act/stop", {**wanted, "csrf": may}, cookies["deploy"])[0] == 303
    eventually(lambda: any(k == "stop" for k, _, _ in house.yard.records()), saying="it is heard")
    house.yard.let_go("Stopped")
    started.communicate(60)
    assert started.returncode == 4
    (why,) = [body["why"] for kind, _, body in house.yard.records() if kind == "stop"]
    assert why == "stopped by one-who-may-deploy (web)"
    # Whose token is taken back is out at once.
    assert house.yard.project.say("token.remove", "one-who-may-deploy").code == 0
    assert house.ask("/runs", cookie=cookies["deploy"])[0] == 401


def test_an_address_that_others_can_reach_needs_a_token_first(tmp_path: Path) -> None:
    with Yard(tmp_path) as yard:
        said = yard.project.say("serve", "--listen", "0.0.0.0:0", "--json")
        assert said.code == 3
        assert "there is no token" in said.data["error"]["what"]
        assert yard.project.say("token.add", "Ann Lee", "--json").code == 2
        assert yard.project.say("token.add", "ann", "--role", "god", "--json").code == 2


def test_what_was_shown_is_started_and_rolled_back_from_the_page_by_whoever_may(
    house: House,
) -> None:
    yard, browser = house.yard, house.browser
    yard.runbook(yard.step("Again"))
    before = yard.deploy()
    assert before.code == 0, before.out + before.err
    carol = house.token("carol", "deploy")
    house.come_in(carol)

    def confirmed(button: str) -> str:
        browser.run("document.querySelector('[name=typed]').value = 'prod'")
        house.click(button)
        house.shows("The run, whole")
        browser.open(str(browser.run("document.querySelector('main p a').href")))
        return house.text()

    browser.open(f"{house.url}targets/prod")
    house.click("Show the plan")
    house.shows("Start it, as carol")
    assert "Again" in house.text()
    plan = browser.run("location.pathname")
    said = confirmed("Start")
    assert "Deployed release" in said
    assert "carol@web" in said
    browser.open(f"{house.url}targets/prod")
    readable(browser)
    said = confirmed("Roll back")
    assert "ack to release" in said
    # What was not shown is not begun.
    cookie = house.enter(carol)
    form = {"target": "prod", "now": "1 x", "to": "1", "typed": "prod", "csrf": house.csrf(cookie)}
    assert "not on the release any more" in house.ask("/act/rollback", form, cookie)[1]
    form = {"plan": plan.rpartition("/")[2], "digest": "x", "typed": "prod", "csrf": form["csrf"]}
    assert "not the plan that was shown" in house.ask("/act/start", form, cookie)[1]


def came(errands: Errands, id: str) -> tuple[int | None, str]:
    """What has come of what was begun, once it has ended."""
    errands.start()
    file = errands.file(id, "code")
    eventually(lambda: file.exists() and file.read_text(), within=90, saying="its exit code")
    found = errands.came(errands.find(id))
    return found.code, str(found.data["error"]["what"])


def test_what_was_shown_and_has_moved_before_it_begins_is_not_done(tmp_path: Path) -> None:
    """Between the click and the process that does it another run may end, or begin."""
    with Yard(tmp_path) as yard, contextlib.chdir(yard.project.directory):
        yard.runbook(yard.step("One"))
        shown = yard.good_release().data["run"]
        newer = yard.good_release().data["run"]
        place = Workplace(yard.project.directory)
        errands, bob = Errands(place), Person("bob", ("bob",), "bob@web")
        words = {"target": "prod", "yes": True}
        yard.runbook(yard.step("One", after="false", undo="false"))
        back = errands.begin("rollback", {**words, "to": "1", "shown": f"1 {shown}"}, bob)
        moved = "prod is not on the release any more that was shown"
        assert came(errands, back) == (3, moved)
        assert yard.deploy().code == 5  # an unfinished run, and not the one that was shown
        for verb in ("resume", "abort"):
            again = errands.begin(verb, {**words, "shown": newer}, bob)
            assert came(errands, again) == (3, f"run {newer} has ended")
        place.close()


def test_an_incident_is_acknowledged_with_a_note_and_its_target_silenced(house: House) -> None:
    yard = house.yard
    ill = {"command": "false", "expect": ["exit_code == 0"], "alert": {"after": 1}}
    yard.project.inventory("ill", {"hosts": yard.plain()["hosts"], "checks": {"alive": ill}})
    assert yard.project.say("watch", "--target", "ill", "--once", "--json").code == 6
    cookie = house.enter(house.token("dora", "acknowledge"))
    csrf = house.csrf(cookie)
    shown = house.ask("/incidents", cookie=cookie)[1]
    assert 'value="ill alive"' in shown
    ack = {"which": "ill alive", "note": "on <it>", "csrf": csrf}
    assert house.ask("/act/acknowledge", ack, cookie)[0] == 303
    quiet = {"target": "ill", "check": "alive", "for": "1h", "csrf": csrf}
    assert house.ask("/act/silence", quiet, cookie)[0] == 303
    assert "--for" in house.ask("/act/silence", {**quiet, "for": "soon"}, cookie)[1]
    shown = house.ask("/incidents", cookie=cookie)[1]
    assert "dora (web): on &lt;it&gt;" in shown
    assert "by dora (web)" in shown.partition("Silences")[2]
    assert house.ask("/act/stop", {"run": "x", "csrf": csrf}, cookie)[0] == 409


def test_wrong_tokens_are_not_looked_at_for_long_and_no_secret_is_in_any_byte(house: House) -> None:
    wrong = [{"token": f"bo_{n}", "to": "//evil.example"} for n in range(7)]
    answers = [house.ask("/enter", form)[0] for form in wrong]
    assert answers == [401] * 5 + [429] * 2
    files = [each for each in house.yard.project.state.rglob("journal.db*") if each.is_file()]
    kept = b"".join(each.read_bytes() for each in files)
    told = house.yard.project.say("token.list", "--json")
    assert {each["name"]: each["role"] for each in told.data["tokens"]}["bob"] == "approve"
    for secret in (SECRET, "c2VzYW1lLW9wZW4tNDcxMS1vZi10aGUtd2Vi"):
        assert secret.encode() not in house.bytes + kept
    assert [token for token in house.given if token.encode() in kept or token in told.out] == []
