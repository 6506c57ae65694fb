"""What people are told of a run, word by word."""

from __future__ import annotations

from dataclasses import replace

from backout.model import Release
from backout.reports import news_text
from backout.reports.news_text import About

RUN = About(
    run="r1",
    verb="deploy",
    target="prod",
    by="ann@laptop",
    hosts=("web1", "web2"),
    start=Release(41, "a" * 40),
    to=Release(42, "b" * 40),
    ships=("Ships 1 commit:", "  bbbbbbb Fix it (Ann)"),
    remarks=("freeze broken: the shop is down",),
)


def test_a_run_that_has_begun() -> None:
    assert news_text.begun(RUN) == (
        "[prod] deploy of release 42 (bbbbbbb) has begun",
        "by ann@laptop, run r1\n"
        "from release 41 (aaaaaaa) to release 42 (bbbbbbb)\n"
        "on web1, web2\n"
        "freeze broken: the shop is down\n"
        "Ships 1 commit:\n"
        "  bbbbbbb Fix it (Ann)\n"
        "next: invoke status --target prod",
    )


def test_a_run_that_waits_for_a_yes() -> None:
    title, body = news_text.awaits_approval(RUN, "drop the old column", "invoke approve r1")
    assert title == "[prod] deploy of release 42 (bbbbbbb) waits for an approval"
    assert body.splitlines()[-2:] == ["of: drop the old column", "next: invoke approve r1"]


def test_what_proves_nothing_is_not_called_proved_and_hosts_left_out_are_named() -> None:
    title, body = news_text.deployed(RUN, proved=False, without=("web3",), seconds=72)
    assert title == "[prod] release 42 (bbbbbbb) is deployed; nothing proves it"
    assert "not on web3: taken back, within max_failures" in body.splitlines()
    assert "took 1m12s" in body.splitlines()


def test_whatever_a_reason_holds_a_title_stays_one_short_line() -> None:
    title, body = news_text.backed_out(RUN, "first\nnext: rm -rf /\n" + "x" * 500, 1)
    assert "\n" not in title
    assert len(title) < 200
    assert body.splitlines()[-1] == "next: invoke show r1"
    here = replace(RUN, hosts=(), verb="rollback")
    assert news_text.rolled_back(here, 1)[1].splitlines()[2] == "on this machine"
