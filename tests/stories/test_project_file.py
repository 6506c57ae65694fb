"""`backout.yaml`: which zones there are, and how the web view is served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.yard import Yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with Yard(tmp_path) as yard:
        yard.runbook(yard.step("One"))
        yield yard


def rule(yard: Yard, text: str) -> None:
    (yard.project.directory / "backout.yaml").write_text(text)


def linted(yard: Yard) -> list[str]:
    said = yard.project.say("lint", "--json")
    return sorted(f"{each['path']}: {each['message']}" for each in said.data["mistakes"])


def test_a_zone_that_the_project_does_not_name_is_a_mistake_wherever_it_stands(yard: Yard) -> None:
    us = {"address": "203.0.113.9", "zone": "usa", "groups": ["web"]}
    there = {"command": "true", "expect": ["exit_code == 0"], "from": ["eu", "uss"]}
    yard.inventory(zone="eo", hosts={"web9": us}, checks={"there": there})
    rule(yard, "zones: [eu, us]\nworkers: {zone: eu}\n")
    of = "is none of the zones of backout.yaml: eu, us"
    assert linted(yard) == [
        f"checks.there.from: uss {of}; did you mean 'us'?",
        f"hosts.web9.zone: usa {of}; did you mean 'us'?",
        f"zone: eo {of}",
    ]
    # Where none are named nobody knows which there are.
    rule(yard, "workers: {zone: eu}\n")
    assert linted(yard) == []


def test_a_zone_of_workers_that_the_project_does_not_name_is_a_mistake(yard: Yard) -> None:
    rule(yard, "zones: [eu, us]\nledger: {secret: NONE}\n")
    words = "workers.zone: default is none of the zones of backout.yaml: eu, us"
    assert linted(yard) == [words]
    rule(yard, "zones: [eu, us]\nworkers: {zone: us}\nledger: {secret: NONE}\n")
    yard.project.env["NONE"] = "postgresql://127.0.0.1:1/none"
    said = yard.project.say("worker", "--zone", "uss", "--json")
    assert (said.code, said.data["error"]["where"]) == (2, "command line")
    assert "uss is none of the zones of backout.yaml" in said.data["error"]["what"]


def test_the_web_view_is_served_as_the_project_says_unless_other_words_are_typed(
    yard: Yard,
) -> None:
    rule(yard, "serve: {listen: '0.0.0.0:0'}\n")
    said = yard.project.say("serve", "--json")
    assert (said.code, "reaches 0.0.0.0" in said.data["error"]["what"]) == (3, True)
    server = yard.project.start("serve", "--listen", "127.0.0.1:0")
    yard._started.append(server)
    assert server.stdout is not None
    assert re.search(r"http://127\.0\.0\.1:\d+/", server.stdout.readline())
    rule(yard, "serve: {proxy_from: [10.0.0.5]}\n")
    said = yard.project.say("serve", "--json")
    assert (said.code, "go together" in said.data["error"]["what"]) == (2, True)
    rule(yard, "serve: {lissten: 9000}\n")
    said = yard.project.say("serve", "--json")
    assert (said.code, "did you mean 'listen'?" in said.err + said.out) == (2, True)
