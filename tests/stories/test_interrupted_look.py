"""Ctrl-C in a verb that only looks: once it ends in good order, twice it leaves at once."""

from __future__ import annotations

import json
import signal

import pytest

from support.wait import eventually
from support.warm import Started
from support.yard import Yard


@pytest.fixture
def looking(yard: Yard, request: pytest.FixtureRequest) -> Started:
    """`verify`, in the middle of a look that lasts as long as `hold` does."""
    words = f"touch {yard.files}/begun; {yard.hold()}"
    yard.inventory(
        checks={"slow": {"command": words, "expect": ["exit_code >= 0"], "timeout": "10m"}}
    )
    process = yard.project.start("verify", "--target", "prod", *getattr(request, "param", ()))
    eventually(lambda: yard.exists("begun"), saying="the look")
    return process


def test_once_what_has_begun_is_awaited(yard: Yard, looking: Started) -> None:
    looking.send_signal(signal.SIGINT)
    assert looking.stderr is not None
    assert looking.stderr.readline().startswith("Stopping: what has begun is awaited")
    yard.let_go()
    _out, err = looking.communicate(timeout=30)
    assert (looking.returncode, "state: nothing was changed" in err) == (8, True)


@pytest.mark.parametrize("looking", [[], ["--json"]], indirect=True)
def test_twice_it_leaves_at_once_and_says_so(looking: Started) -> None:
    looking.send_signal(signal.SIGINT)
    assert looking.stderr is not None
    assert looking.stderr.readline().startswith("Stopping")
    looking.send_signal(signal.SIGINT)
    out, err = looking.communicate(timeout=60)
    assert looking.returncode == 8, out + err
    told = json.loads(out)["error"]["what"] if out else err
    assert "interrupted twice" in told
