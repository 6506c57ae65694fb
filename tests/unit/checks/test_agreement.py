"""What several zones say of one check: red by agreement, and never green without enough of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backout.checks.agreement import agreed, verdict
from backout.model import Finding, Verdict, ZoneFinding

PASS, FAIL, ERROR, DOUBT = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE
SILENT = None


@pytest.mark.parametrize(
    ("agree", "said", "found"),
    [
        (2, (PASS, PASS), PASS),
        (2, (PASS, FAIL), PASS),
        (2, (FAIL, FAIL), FAIL),
        (2, (FAIL, ERROR), ERROR),
        (2, (PASS, SILENT), DOUBT),
        (2, (FAIL, SILENT), DOUBT),
        (2, (SILENT, SILENT), DOUBT),
        (1, (PASS, FAIL), FAIL),
        (1, (PASS, SILENT), DOUBT),
        (1, (PASS,), PASS),
        (1, (SILENT,), DOUBT),
        (2, (PASS, PASS, SILENT), PASS),
        (2, (PASS, FAIL, SILENT), DOUBT),
        (2, (PASS, FAIL, PASS), PASS),
        (2, (FAIL, FAIL, SILENT), FAIL),
        (3, (PASS, PASS, SILENT), DOUBT),
        (2, (PASS, DOUBT), DOUBT),
    ],
)
def test_as_many_as_have_to_agree_make_it_red(
    agree: int, said: tuple[Verdict | None, ...], found: Verdict
) -> None:
    assert verdict(said, agree) is found
    assert verdict(said[::-1], agree) is found  # no zone counts more than another


SAID = st.lists(st.sampled_from((*Verdict, SILENT)), min_size=1, max_size=9)


@given(SAID, st.data())
def test_it_is_never_green_when_fewer_than_needed_are_fresh_and_green(
    said: list[Verdict | None], data: st.DataObject
) -> None:
    agree = data.draw(st.integers(1, len(said)))
    found = verdict(said, agree)
    told = [each for each in said if each in (PASS, FAIL, ERROR)]
    green, red = told.count(PASS), len(told) - told.count(PASS)
    enough = len(told) >= agree and green >= len(said) - agree + 1
    assert (found is PASS) == enough
    assert (found in (FAIL, ERROR)) == (red >= agree)
    assert found is not FAIL or told.count(FAIL) >= agree
    if found is PASS:  # whatever the silent ones would have said, it would not have been red
        unknown = [each for each in said if each in (SILENT, DOUBT)]
        assert verdict([*told, *(FAIL for _ in unknown)], agree) is PASS
    # one zone more that falls silent never makes it green
    for gone in range(len(said)):
        without = [*said[:gone], SILENT, *said[gone + 1 :]]
        assert found is PASS or verdict(without, agree) is not PASS


def test_the_words_say_who_saw_what_and_who_said_nothing_since_when() -> None:
    eu = ZoneFinding("eu", FAIL, "deploy@a", 1764403200.0, 12.0, "status is 500")
    us = ZoneFinding("us", None, "deploy@b", 1764403100.0, 0.0, "no worker took it up")
    ap = ZoneFinding("ap", None, reason="no worker took it up")
    shown = Finding("alive", None, FAIL, failed=("status == 200",), excerpt="oops")
    found = agreed("alive", None, [(eu, shown), (us, None), (ap, None)], 2)
    assert found.verdict is DOUBT
    assert found.reason == (
        "2 of 3 zones have to agree: eu fails (deploy@a, 2025-11-29 08:00:00Z): status is 500;"
        " us said nothing since 2025-11-29 07:58:20Z (deploy@b): no worker took it up;"
        " ap said nothing, ever: no worker took it up"
    )
    assert (found.excerpt, found.zones) == ("oops", (eu, us, ap))
