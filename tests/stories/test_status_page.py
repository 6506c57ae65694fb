"""The status page in a real browser: it reads well, runs nothing, and says when it is stale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backout.adapters.web import html
from backout.adapters.web.html import Pages, Site
from backout.model import CheckKey, Verdict
from backout.status_page.facts import Watched
from backout.status_page.run_view import run_view
from backout.status_page.views import status_view
from support import health_facts as known
from support.browser import Browser
from support.health_facts import NOW
from support.wait import eventually

PHONE = 360
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "\"'--><svg/onload=document.title='owned'>javascript:document.title='owned'"
)
SENTENCE = "Backed out: web2 failed at Restart; all 2 hosts are as before and healthy."


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "status")


def write(site: Site, *watched: Watched, now: float = NOW, stale_after: int = 600) -> None:
    view = status_view(watched, now=now, stale_after=stale_after)
    site.write(Pages(str).status(view))


def write_run(site: Site) -> str:
    view = run_view(known.REPORT, known.run_facts(), SENTENCE, now=NOW + 60)
    site.write_run(view.run, Pages(str).run(view))
    return url(site, f"runs/{view.run}.html")


def url(site: Site, name: str = "index.html") -> str:
    return f"file://{site.directory}/{name}"


def looks_stale(browser: Browser) -> bool:
    """The banner is there, the time is red, and nothing on the page is green any more."""
    banner, grey, red = browser.run(
        "[['.stale', 'visibility', 'visible'], ['main', 'filter', 'grayscale(1)'],"
        " ['.made', 'font-weight', '700']].map(([of, name, value]) =>"
        " getComputedStyle(document.querySelector(of)).getPropertyValue(name) === value)"
    )
    return bool(banner and grey and red)


# --- reading -------------------------------------------------------------------------------


def test_it_shows_targets_checks_incidents_with_evidence_and_releases(
    browser: Browser, site: Site
) -> None:
    write(site, *known.watched())
    browser.open(url(site))
    text = browser.run("document.body.innerText")
    assert browser.run("document.querySelector('h1').innerText").startswith("1 of 6 checks fails")
    assert '400 {"code":142,"error":"user is required"}' in text
    assert "invoke verify --target prod --check add-concert" in text
    assert "release 43 (8d1f0aa)" in text
    assert browser.run("document.querySelectorAll('svg.strip').length") == 6
    marks = browser.run(
        "[...document.querySelectorAll('.plot')[0].querySelectorAll('text')]"
        ".map(t => t.textContent)"
    )
    assert marks[1:] == ["41", "42", "43"]


def test_the_strokes_of_a_strip_are_drawn_and_a_bad_day_is_red(
    browser: Browser, site: Site
) -> None:
    write(site, *known.watched())
    browser.open(url(site))
    width = browser.run("document.querySelector('svg.strip').getBoundingClientRect().width")
    assert width > 200
    assert browser.style("path.bad", "stroke") != browser.style("path.good", "stroke")
    box = browser.run("document.querySelector('path.bad').getBBox().height")
    assert box > 20


@pytest.mark.parametrize("name", ["index.html", "run"])
def test_a_phone_needs_no_sideways_scrolling(browser: Browser, site: Site, name: str) -> None:
    write(site, *known.watched())
    address = write_run(site) if name == "run" else url(site)
    browser.resize(PHONE, 760, phone=True)
    try:
        browser.open(address)
        browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.run("document.documentElement.scrollWidth") <= PHONE
        smallest = browser.run(
            "Math.min(...[...document.querySelectorAll('body *')].filter(e => e.innerText)"
            ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
        )
        assert smallest >= 11.9
    finally:
        browser.resize(1100, 900)


def test_a_name_without_a_space_breaks_no_phone(browser: Browser, site: Site) -> None:
    check_key = CheckKey("prod", "x" * 300, "web-" + "y" * 200)
    history = replace(
        known.history("x", verdict=Verdict.FAIL, reason="z" * 400), check_key=check_key
    )
    write(site, Watched("prod" * 50, (history,), (replace(known.FAILING, check_key=check_key),)))
    browser.resize(PHONE, 760, phone=True)
    try:
        browser.open(url(site))
        assert browser.run("document.documentElement.scrollWidth") <= PHONE
    finally:
        browser.resize(1100, 900)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, PHONE])
def test_axe_finds_nothing_wrong(browser: Browser, site: Site, scheme: str, width: int) -> None:
    write(site, *known.watched())
    addresses = [url(site), write_run(site)]
    browser.resize(width)
    browser.prefer(scheme)
    try:
        for address in addresses:
            browser.open(address)
            browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert browser.axe() == []
    finally:
        browser.prefer("light")
        browser.resize(1100, 900)


def test_axe_minds_nothing_but_the_refresh_of_the_page_that_follows(
    browser: Browser, site: Site
) -> None:
    write(site, *known.watched())
    browser.open(url(site, "live.html"))
    assert [each["id"] for each in browser.axe()] == ["meta-refresh"]


def test_dark_and_light_are_the_readers_choice(browser: Browser, site: Site) -> None:
    write(site, *known.watched())
    browser.open(url(site))
    light = browser.style("body", "background-color")
    browser.prefer("dark")
    try:
        assert browser.style("body", "background-color") != light
    finally:
        browser.prefer("light")


def test_a_run_links_back_and_its_timeline_is_drawn_to_scale(browser: Browser, site: Site) -> None:
    write(site, *known.watched())
    browser.open(write_run(site))
    assert browser.run("document.querySelector('.brand a').href") == url(site)
    bar = "[...document.querySelectorAll('.lanes rect.b-fail')][0].getBoundingClientRect().width"
    lane = "document.querySelector('.lanes rect.lane').getBoundingClientRect().width"
    assert browser.run(f"{bar} / {lane}") == pytest.approx(8.0 / 28.1, abs=0.01)
    assert "Cannot find module" in browser.run("document.body.innerText")


# --- harm ----------------------------------------------------------------------------------


def test_a_hostile_name_runs_no_script_and_loads_nothing(browser: Browser, site: Site) -> None:
    check_key = CheckKey(HOSTILE, HOSTILE, HOSTILE)
    history = replace(
        known.history("x", verdict=Verdict.FAIL, reason=HOSTILE),
        check_key=check_key,
        expect=(HOSTILE,),
    )
    evidence = dict.fromkeys(("came", "excerpt", "next"), HOSTILE) | {"expected": [HOSTILE]}
    incident = replace(known.FAILING, check_key=check_key, evidence=evidence, acked=HOSTILE)
    write(site, Watched(HOSTILE, (history,), (incident,), (), known.RUNS, HOSTILE))
    browser.open(url(site))
    assert browser.run("document.title") == "1 of 1 check fails · Backout"
    assert browser.run("document.querySelectorAll('script, img, iframe, object').length") == 0
    assert browser.run("document.querySelector('.name').innerText").startswith("<script>")
    assert browser.complaints() == []
    assert browser.asked() == [url(site)]


def test_even_markup_that_got_in_could_run_and_load_nothing(browser: Browser, site: Site) -> None:
    write(site, *known.watched())
    page = site.directory / "index.html"
    planted = (
        "<script>document.title='owned'</script><img src=http://127.0.0.1:1/x>"
        "<b style=color:red>b</b></main>"
    )
    page.write_text(page.read_text().replace("</main>", planted, 1))
    browser.open(url(site))
    assert browser.run("document.title") != "owned"
    assert browser.asked() == [url(site)]
    refused = browser.complaints()
    assert sum("Content Security Policy" in each for each in refused) >= 3


# --- staleness -----------------------------------------------------------------------------


def test_a_page_turns_stale_by_itself(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "GRACE", 0)
    write(site, *known.watched(), stale_after=4)
    browser.open(url(site))
    browser.run("document.getAnimations().forEach(each => { each.currentTime = 0 })")  # only now
    assert not looks_stale(browser)
    eventually(lambda: looks_stale(browser), saying="the page turns stale")
    assert browser.complaints() == []


def test_the_page_that_follows_is_fresh_while_it_is_written_and_stale_when_not(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "GRACE", 60)
    moment = NOW

    def tick() -> None:
        nonlocal moment
        moment += 1
        write(site, *known.watched(), now=moment, stale_after=2)

    def in_time(look: Callable[[], bool], saying: str) -> None:
        """A look in the very moment in which one page takes the other's place does not count."""
        eventually(look, ignoring=(AssertionError,), saying=saying)

    seen = set()

    def followed() -> bool:
        seen.add((browser.run("document.querySelector('time').innerText"), looks_stale(browser)))
        tick()
        return len(seen) >= 3

    tick()
    browser.open(url(site, "live.html"))
    in_time(followed, "three ticks are shown")
    assert {stale for _, stale in seen} == {False}
    in_time(lambda: looks_stale(browser), "nothing is written and it turns stale")
    tick()
    in_time(lambda: not looks_stale(browser), "it is fresh again")
