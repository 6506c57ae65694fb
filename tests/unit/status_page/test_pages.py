"""What the status page shows is what is known: nothing is rounded up, no gap is drawn over."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.adapters.web.html import Pages, Site, policy
from backout.errors import BackoutError
from backout.model import CheckKey, Outcome, Verdict
from backout.status_page import curves, facts, history, run_view, views, words
from backout.status_page.curves import DAYS
from backout.status_page.facts import DAY, HOUR, Deployed, Watched
from support import health_facts as known
from support.health_facts import NOW, tally
from support.watch import check, target

TODAY = int(NOW // DAY)
counts = st.integers(0, 5000)


def view(*watched: Watched, now: float = NOW) -> views.StatusView:
    return views.status_view(watched, now=now, stale_after=90)


def strokes(path: str) -> int:
    return path.count("M")


# --- verdicts ------------------------------------------------------------------------------


def test_one_bad_check_makes_the_whole_page_bad() -> None:
    shown = view(*known.watched())
    assert shown.state == "fail"
    assert shown.sentence == "1 of 6 checks fails; 1 check cannot be told."


def test_what_cannot_be_told_is_not_shown_as_passing() -> None:
    shown = view(Watched("prod", (known.history("alive", verdict=Verdict.INCONCLUSIVE),)))
    assert (shown.state, shown.targets[0].checks[0].state) == ("unknown", "unknown")


def test_a_check_that_nobody_looked_at_is_not_shown_as_passing() -> None:
    shown = view(Watched("prod", (facts.History(CheckKey("prod", "new")), known.history("alive"))))
    assert shown.state == "idle"
    assert shown.sentence == "1 check not looked at yet."


def test_nothing_watched_is_not_health() -> None:
    assert view().state == "idle"
    assert view(Watched("prod")).state == "idle"


def test_green_checks_with_an_open_incident_are_not_all_green() -> None:
    watched = Watched("prod", (known.history("add-concert", "web2"),), (known.FAILING,))
    shown = view(watched)
    assert (shown.state, shown.sentence) == ("unknown", "1 incident open; the check passes.")
    assert shown.targets[0].state == "unknown", "nor is the target's badge"


def test_a_look_that_is_too_old_for_its_schedule_is_not_shown_as_passing() -> None:
    daily = check("daily", cron="0 3 * * *", then=["behind"])
    prod = target(check("alive", every="1m"), daily, check("behind"))
    for name, within in (("alive", 100), ("daily", DAY), ("behind", DAY)):
        seen = known.history(name)
        due = history.due_by(prod, seen.check_key, seen.last)
        for later, state in ((0, "pass"), (within, "pass"), (3 * within, "unknown")):
            shown = view(Watched("prod", (replace(seen, due=due),)), now=NOW - 12 + later)
            states = (shown.state, shown.targets[0].state, shown.targets[0].checks[0].state)
            assert set(states) == {state}, (name, later)


def test_a_look_of_the_future_is_not_shown_as_passing() -> None:
    """Whoever watched had a clock that is ahead, and would be in time for as long as it was."""
    prod, seen = target(check("alive", every="1m")), known.history("alive")
    assert seen.last
    for ahead, state in ((30.0, "pass"), (3600.0, "unknown")):
        last = replace(seen.last, at=NOW + ahead)
        due = history.due_by(prod, seen.check_key, last)
        shown = view(Watched("prod", (replace(seen, last=last, due=due),)), now=NOW)
        states = (shown.state, shown.targets[0].state, shown.targets[0].checks[0].state)
        assert set(states) == {state}, ahead


def test_a_schedule_that_is_not_kept_is_not_all_green() -> None:
    watched = Watched("prod", (known.history("alive"),))
    shown = views.status_view([watched], now=NOW, stale_after=90, unwell=["prod: alive is overdue"])
    assert shown.state == "unknown"


def test_an_incident_tells_since_when_what_was_expected_what_came_and_what_to_type() -> None:
    (shown,) = view(*known.watched()).open
    assert shown.title == "add-concert@web2 fails"
    assert (shown.since, shown.lasted) == ("2026-05-28 20:18:30 UTC", "8m10s")
    assert shown.expected == ("status == 200", "has(body.result.objectId)")
    assert "status is 400" in shown.came
    assert shown.excerpt.startswith("400 ")
    assert shown.last_deploy.startswith("release 43 (8d1f0aa)")
    assert shown.next == "invoke verify --target prod --check add-concert"


def test_a_resolved_incident_is_past_and_asks_for_nothing() -> None:
    (past,) = view(*known.watched()).past
    assert (past.until, past.next) == ("2026-05-25 20:41:40 UTC", "")


# --- ninety days ---------------------------------------------------------------------------


def test_a_day_without_a_look_is_a_stub_not_a_bar() -> None:
    strip = curves.strip({TODAY: tally(10)}, TODAY)
    assert (strokes(strip.good), strokes(strip.empty)) == (1, DAYS - 1)
    assert not strip.bad


def test_one_bad_look_of_a_thousand_is_seen_and_told() -> None:
    strip = curves.strip({TODAY: tally(1439, 1)}, TODAY)
    assert "v30" in strip.bad
    assert strip.uptime == "99.93%"
    assert strip.rough == ("2026-05-28: 99.93% of 1440 looks passed, 1 failed",)


def test_a_share_just_below_one_is_never_called_a_hundred_per_cent() -> None:
    assert words.percent(999_999 / 1_000_000) == "99.99%"
    assert words.percent(1.0) == "100%"
    assert words.percent(None) == "–"


@given(passed=counts, failed=counts, untold=counts)
def test_what_failed_and_what_could_not_be_told_fit_into_a_bar(
    passed: int, failed: int, untold: int
) -> None:
    low, middle = (
        curves.heights(tally(passed, failed, untold)) if passed + failed + untold else (0, 0)
    )
    assert low >= 0
    assert middle >= 0
    assert low + middle <= 100
    assert (low > 0) == (failed > 0)
    assert (middle > 0) == (untold > 0)


def test_what_lies_before_the_ninety_days_is_not_counted() -> None:
    strip = curves.strip({TODAY - DAYS: tally(0, 100), TODAY: tally(1)}, TODAY)
    assert strip.uptime == "100%"


# --- the curve -----------------------------------------------------------------------------


def curve(hours: dict[int, tuple[float, float]], *releases: Deployed) -> curves.Curve | None:
    history = replace(known.history("alive"), hours=hours)
    return curves.curve(history, NOW, releases)


def test_hours_without_a_look_leave_a_gap_in_the_curve() -> None:
    hour = int(NOW // HOUR)
    drawn = curve({hour - ago: (40.0, 60.0) for ago in (0, 1, 2, 6, 7, 8)})
    assert drawn is not None
    assert drawn.median.count("M") == 2


def test_a_check_that_measured_nothing_has_no_curve() -> None:
    assert curve({}) is None


def test_a_young_check_has_a_curve_by_minutes() -> None:
    minute = int(NOW // 60)
    young = replace(
        known.history("alive", days=0), minutes={minute - ago: (5.0, 9.0) for ago in range(10)}
    )
    drawn = curves.curve(young, NOW)
    assert drawn is not None
    assert drawn.begin == "3 hours ago"


def test_among_many_checks_only_those_that_do_not_pass_have_a_curve() -> None:
    passing = tuple(known.history(f"check-{n}", days=1) for n in range(views.MANY))
    failing = known.history("bad", days=1, verdict=Verdict.FAIL)
    checks = view(Watched("prod", (*passing, failing))).targets[0].checks
    assert [check.name for check in checks if check.curve] == ["bad"]
    assert all(check.curve for check in view(Watched("prod", passing)).targets[0].checks)


def test_releases_are_marks_at_their_time() -> None:
    hour = int(NOW // HOUR)
    hours = {hour - ago: (40.0, 60.0) for ago in range(168)}
    half = NOW - 3.5 * DAY
    drawn = curve(hours, Deployed(7, "abcdef0123", "r", half), Deployed(6, "", "r", NOW - 30 * DAY))
    assert drawn is not None
    (mark,) = drawn.marks
    assert (mark.x, mark.text) == (50.0, "7")
    assert mark.label.startswith("release 7 (abcdef0) at 2026-05-25")


def test_marks_that_stand_close_share_a_label_and_each_tells_its_own() -> None:
    hour = int(NOW // HOUR)
    hours = {hour - ago: (40.0, 60.0) for ago in range(168)}
    close = [Deployed(n, "", "r", NOW - DAY + n * 60) for n in (1, 2, 3)]
    drawn = curve(hours, *close)
    assert drawn is not None
    assert [mark.text for mark in drawn.marks] == ["1", "", ""]
    assert len({mark.label for mark in drawn.marks}) == 3


@given(
    st.dictionaries(
        st.integers(0, 200), st.tuples(st.floats(0.1, 1e6), st.floats(0.1, 1e6)), max_size=30
    )
)
def test_no_point_of_a_curve_lies_outside_its_drawing(
    ago: dict[int, tuple[float, float]],
) -> None:
    hour = int(NOW // HOUR)
    hours = {hour - n: (min(two), max(two)) for n, two in ago.items()}
    drawn = curve(hours)
    points = re.findall(r"([\d.e-]+) ([\d.e-]+)", drawn.median + drawn.band) if drawn else []
    assert all(-0.3 <= float(x) <= 100.3 and 0 <= float(y) <= 100 for x, y in points)


# --- runs ----------------------------------------------------------------------------------


def run() -> run_view.RunView:
    return run_view.run_view(known.REPORT, known.run_facts(), "Backed out.", now=NOW + 60)


def test_a_runs_timeline_says_who_did_what_when_on_which_host() -> None:
    shown = run()
    assert [lane.host for lane in shown.lanes] == ["this machine", "web1", "web2"]
    failed = next(act for act in shown.acts if act.state == "fail")
    assert (failed.host, failed.name, failed.at) == ("web2", "Restart", "20:26:54")
    assert (failed.took, failed.exit_code) == ("8.0s", 1)
    assert ("by", "anna@laptop") in shown.facts
    assert any("back out: web2 failed" in words for _, words in shown.notes)


def test_actions_stand_in_the_order_in_which_they_began() -> None:
    shown = run()
    assert [act.x for act in shown.acts] == sorted(act.x for act in shown.acts)
    assert all(act.x >= 0 and act.x + act.width <= 100.5 for act in shown.acts)


def test_an_action_without_an_end_is_not_shown_as_done() -> None:
    facts = [fact for fact in known.run_facts() if not (fact.kind == "end" and fact.key == "u2")]
    shown = run_view.run_view(
        replace(known.REPORT, ended_at=None, outcome=Outcome.INTERRUPTED), facts, "…", now=NOW + 60
    )
    act = next(a for a in shown.acts if a.name == "Update the code" and a.host == "web2")
    assert (act.state, act.said) == ("running", "has not ended")
    assert shown.running


# --- HTML ----------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\x1b[31m\u202eevil"


def hostile() -> Watched:
    check_key = CheckKey(HOSTILE, HOSTILE, HOSTILE)
    history = replace(
        known.history("x", verdict=Verdict.FAIL, reason=HOSTILE),
        check_key=check_key,
        expect=(HOSTILE,),
    )
    history = replace(history, rhythm=HOSTILE)
    evidence = {"expected": [HOSTILE], "came": HOSTILE, "excerpt": HOSTILE, "next": HOSTILE}
    incident = replace(known.FAILING, check_key=check_key, evidence=evidence, acked=HOSTILE)
    release = Deployed(1, HOSTILE, HOSTILE, NOW - HOUR, current=True)
    ran = replace(known.RUNS[0], run=HOSTILE, verb=HOSTILE, by=HOSTILE, outcome=HOSTILE)
    return Watched(HOSTILE, (history,), (incident,), (release,), (ran,), HOSTILE)


def test_no_name_becomes_markup() -> None:
    for html in Pages(str).status(view(hostile())).values():
        assert "<script" not in html
        assert "<img" not in html
        assert not re.search(r"<[^>]*\bonerror", html)
        assert "{{ 7*7 }}" in html
        assert "\x1b" not in html
        assert "\u202e" not in html


def test_a_secret_is_in_no_byte_of_any_page() -> None:
    secret = 'hunter2&<"quoted">'  # with what HTML escapes
    watched = replace(
        hostile(), name=f"target {secret}", silenced=secret, histories=known.watched()[0].histories
    )
    leaky = replace(
        known.FAILING,
        evidence={**known.FAILING.evidence, "came": f"token={secret}", "excerpt": secret * 2},
    )
    facts = [
        replace(f, body={**f.body, "stdout": secret, "reason": secret}) for f in known.run_facts()
    ]
    report = replace(known.REPORT, reason=secret, by=secret, next=secret)

    rendering = Pages(lambda text: text.replace(secret, "[secret token]"))
    everything = "".join(rendering.status(view(replace(watched, incidents=(leaky,)))).values())
    everything += rendering.run(run_view.run_view(report, facts, secret, now=NOW))
    assert "hunter2" not in everything
    assert "[secret token]" in everything


def test_a_reference_to_a_secret_reads_as_its_name() -> None:
    report = replace(known.REPORT, reason="refused \ue000token\ue001")
    html = Pages(str).run(run_view.run_view(report, known.run_facts(), "…", now=NOW))
    assert "[secret token]" in html
    assert "\ue000" not in html


def test_the_style_sheet_is_allowed_by_its_hash_and_nothing_else_is() -> None:
    for html in Pages(str).status(view(*known.watched())).values():
        (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        assert policy(style).replace("'", "&#39;") in html
        assert " style=" not in html
        assert "<script" not in html
        assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")


def test_a_value_without_end_is_cut_and_that_is_said() -> None:
    facts = [replace(f, body={**f.body, "stdout": "x" * 50_000}) for f in known.run_facts()]
    html = Pages(str).run(run_view.run_view(known.REPORT, facts, "…", now=NOW))
    assert "… 30000 characters before" in html
    assert "x" * 20_001 not in html


# --- files ---------------------------------------------------------------------------------


def test_pages_are_for_nobody_else(tmp_path: Path) -> None:
    site = Site(tmp_path / "status")
    site.write({"index.html": "one"})
    site.write_run("20260528-180102-1b2c", "run")
    modes = {path.name: path.stat().st_mode & 0o777 for path in site.directory.rglob("*")}
    assert modes == {"index.html": 0o600, "runs": 0o700, "20260528-180102-1b2c.html": 0o600}
    assert site.directory.stat().st_mode & 0o777 == 0o700


def test_pages_in_a_directory_that_others_may_read_can_be_read_by_them(tmp_path: Path) -> None:
    public = tmp_path / "www"
    public.mkdir()
    public.chmod(0o755)
    site = Site(public)
    site.write({"index.html": "one"})
    site.write_run("r1", "run")
    modes = {path.name: path.stat().st_mode & 0o777 for path in public.rglob("*")}
    assert modes == {"index.html": 0o644, "runs": 0o755, "r1.html": 0o644}


def test_a_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write({"index.html": "old"})
    with (tmp_path / "index.html").open() as reading:
        site.write({"index.html": "new and longer"})
        assert reading.read() == "old"
    assert (tmp_path / "index.html").read_text() == "new and longer"
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_what_is_left_of_a_killed_writer_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".index.html.new").write_text("half a pa")
    Site(tmp_path).write({"index.html": "whole"})
    assert (tmp_path / "index.html").read_text() == "whole"


@pytest.mark.parametrize("name", ["../index", "a/b", "", ".hidden", "x" * 200])
def test_a_runs_page_stays_in_its_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackoutError):
        Site(tmp_path).write_run(name, "…")


@pytest.mark.parametrize(
    ("undone", "named"), [(NOW - 7200, "41"), (NOW - 60, "42")], ids=["before it", "after it"]
)
def test_an_incident_names_the_release_that_was_in_force_when_it_began(
    undone: float, named: str
) -> None:
    releases = (
        Deployed(42, "3f9c2e1bb0", "run-2", NOW - 2 * DAY, undone=undone),
        Deployed(41, "aa00c2e1bb", "run-1", NOW - 3 * DAY, current=True),
    )
    failing = replace(known.FAILING, since=NOW - 3600, opened=NOW - 3600, resolved=None)
    shown = view(Watched("prod", releases=releases, incidents=(failing,)))
    assert shown.open[0].last_deploy.startswith(f"release {named} ")
