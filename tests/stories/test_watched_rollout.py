"""A rollout that watches itself between two batches."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from support.project import Said
from support.prometheus import Service, asked, prometheus
from support.yard import Yard

ROLLOUT = {"batches": [1, "100%"], "soak": "0s", "watch": "500ms", "watch_every": "100ms"}
WATCHED = ("Watch batch 1", None)


def bad_later(fleet: Yard, on: str, **rollout: Any) -> None:
    """A check that goes bad on these hosts a few looks after the first host has the release."""
    looked, first = f"{fleet.files.parent}/looked-{{{{ host.name }}}}", f"{fleet.files}/First-web1"
    bad = f"test ! -e {first} || {{ echo x >> {looked}; test $(wc -l < {looked}) -le 3; }}"
    command = f"case {{{{ host.name }}}} in ({on}) {bad};; esac"
    check = {"command": command, "on": "web", "expect": ["exit_code == 0"], "alert": {"after": 2}}
    fleet.inventory(rollout={**ROLLOUT, **rollout}, checks={"each": check})
    fleet.runbook(fleet.step("First"))


def reached(said: Said) -> set[str]:
    return {s["host"] for s in said.data["steps"] if s["name"] == "First" and s["phase"] == "do"}


def test_what_stays_green_goes_on(fleet: Yard) -> None:
    bad_later(fleet, on="none")
    said = fleet.deploy()
    assert said.code == 0, said.out + said.err
    assert fleet.states(said)[WATCHED] == "done"
    assert reached(said) == {"web1", "web2", "web3"}


def test_prometheus_is_asked_about_the_new_host_beside_the_old_ones(
    fleet: Yard, tmp_path: Path
) -> None:
    service = Service(("web1", "web2", "web3"), failing={"web1": 0.05})
    with prometheus(tmp_path, service) as url:
        compare = {"prometheus": {**asked(url), "headers": {"X-Scope": "{{ target.name }}"}}}
        fleet.inventory(rollout={**ROLLOUT, "watch": "6s", "compare": compare})
        fleet.runbook(fleet.step("First"))
        said = fleet.deploy()
    assert said.code == 4, said.out + said.err
    assert "requests failed, of 0 in" in said.data["reason"]
    assert (reached(said), fleet.effects()) == ({"web1"}, {})


@pytest.mark.parametrize(
    ("on", "reason"),
    [("web1", "check each@web1 fail"), ("web*", "old hosts have it too")],
    ids=["the new host alone", "the old hosts too"],
)
def test_what_goes_bad_after_its_gate_is_found_before_the_second_batch(
    fleet: Yard, on: str, reason: str
) -> None:
    bad_later(fleet, on=on, watch="5s", watch_limit="6s")
    said = fleet.deploy()
    assert said.code == 4, said.out + said.err
    assert reason in said.data["reason"]
    assert (reached(said), fleet.effects()) == ({"web1"}, {})


def test_a_window_that_was_cut_off_is_watched_anew(fleet: Yard) -> None:
    bad_later(fleet, on="none", watch="5s")
    process = fleet.start()
    assert process.stderr is not None
    for line in process.stderr:
        if "watching for" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    said = fleet.say("resume")
    assert said.code == 0, said.out + said.err
    (seconds,) = (s["seconds"] for s in said.data["steps"] if s["name"] == WATCHED[0])
    assert seconds >= 5


def test_lint_says_when_the_first_batch_is_over_a_tenth_of_the_fleet(yard: Yard) -> None:
    hosts = {f"web{n}": {"address": f"203.0.113.{n}", "groups": ["web"]} for n in range(10)}
    yard.runbook(yard.step("First"))
    for batches, told in (([1, "100%"], False), ([2, "100%"], True), (["10%"], False)):
        yard.inventory(hosts=hosts, rollout={"batches": batches})
        said = yard.project.say("lint")
        assert (said.code, "its first batch is 2 of 10 hosts" in said.out) == (0, told), (
            said.out + said.err
        )
