"""What is on a host, held against what the ledger and the last good run say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backout.checks import drift
from backout.model import Finding, Release, Verdict
from backout.ports import Recorded
from backout.probes.release import masked, without_options

LEFT = ("changed: (empty)", "package tool: 1.0", "env /srv/.env: TOKEN is #aaaa")
GOOD = Recorded(
    release=Release(7, "c" * 40),
    code="c" * 40,
    says=Release(7, "c" * 40),
    same_run=True,
    standing=LEFT,
)


def seen(*lines: str, commit: str = "c" * 40, verdict: Verdict = Verdict.PASS) -> Finding:
    facts = {"standing": list(lines or LEFT), "commit": commit}
    return Finding("as-left", "web1", verdict, facts=facts, reason="a file cannot be read")


def test_as_it_was_left_it_passes() -> None:
    assert drift.held(seen(), GOOD).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("finding", "recorded", "words"),
    [
        (seen(*LEFT[:1], "package tool: 1.1", LEFT[2]), GOOD, "- package tool: 1.0 and 1 more"),
        (seen("changed:  M app.py", *LEFT[1:]), GOOD, "- changed: (empty) and 1 more"),
        (seen(commit="d" * 40), GOOD, "~ commit: cccccccccc -> dddddddddd"),
        (seen(), replace(GOOD, says=None), "no release is on record there"),
        (seen(), replace(GOOD, same_run=False), "its own record says release 7"),
        (seen(), replace(GOOD, says=Release(9)), "its own record says release 9"),
        (seen(), replace(GOOD, missed=Release(8)), "it missed release 8, and is on release 7"),
        (
            seen("changed:  M app.py"),
            replace(GOOD, standing=None),
            "+ changed:  M app.py",
        ),
    ],
)
def test_every_difference_is_told(finding: Finding, recorded: Recorded, words: str) -> None:
    held = drift.held(finding, recorded)
    assert held.verdict is Verdict.FAIL
    assert words in held.excerpt or words in held.reason
    unread = replace(finding, verdict=Verdict.INCONCLUSIVE)
    assert drift.held(unread, recorded).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("finding", "recorded", "words"),
    [
        (seen(), replace(GOOD, under_way="run r2 (deploy) of ann"), "a run is under way: run r2"),
        (seen(commit="d" * 40), replace(GOOD, under_way="run r2"), "a run is under way"),
        (seen(), replace(GOOD, release=None), "has no release on this host"),
        (seen(*LEFT, "package other: 2"), GOOD, "no run has recorded package other"),
        (seen(), replace(GOOD, standing=None), "no run has recorded"),
        (seen(verdict=Verdict.INCONCLUSIVE), GOOD, "cannot be read"),
    ],
)
def test_what_nobody_can_tell_is_neither_green_nor_red(
    finding: Finding, recorded: Recorded, words: str
) -> None:
    held = drift.held(finding, recorded)
    assert held.verdict is Verdict.INCONCLUSIVE
    assert words in held.reason


def test_what_is_looked_at_no_longer_is_no_difference() -> None:
    assert drift.held(seen(*LEFT[:2]), GOOD).verdict is Verdict.PASS


def test_a_long_difference_is_cut_and_says_so() -> None:
    now = seen(*(f"file /x: {n}" for n in range(100)))
    recorded = replace(GOOD, standing=("file /x: (empty)",))
    lines = drift.held(now, recorded).excerpt.splitlines()
    assert len(lines) == drift.SHOWN + 1
    assert lines[-1] == f"… and {101 - drift.SHOWN} more"


@pytest.mark.parametrize(
    "line",
    [
        "password = hunter2",
        "  DB_PASSWORD: hunter2",
        '"api_key": "hunter2",',
        "Environment=HARMLESS=hunter2",
        "url: postgres://app:hunter2@db/shop",
        "ExecStart=/srv/api --token hunter2 --port 80",
        "ExecStart=/srv/api --api-key 'the hunter2' -v",
        "ExecStart=/srv/api --password=hunter2",
    ],
)
def test_a_value_that_may_be_secret_is_known_by_its_digest_alone(line: str) -> None:
    other = line.replace("hunter2", "hunter3")
    assert "hunter" not in masked(line)
    assert masked(line) != masked(other)
    assert masked(line) == masked(line)
    assert masked("listen 8080;") == "listen 8080;"


def test_only_what_follows_the_name_of_a_credential_is_hidden_in_a_command_line() -> None:
    line = masked("ExecStart=/srv/api --token hunter2 --port 80")
    assert line.startswith("ExecStart=/srv/api --token is #")
    assert line.endswith(" --port 80")
    assert masked("ExecStart=/srv/api --no-token --port 80").endswith("--no-token --port 80")


def test_what_an_older_backout_recorded_of_a_command_line_is_as_it_is_seen_now() -> None:
    line = "file /etc/x.service: ExecStart=/srv/api --token hunter2"
    assert without_options(line) == masked(line) == without_options(masked(line))
