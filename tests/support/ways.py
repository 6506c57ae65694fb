"""Runs over the world in memory, told whole: what is done in which order, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backout.errors import Refused
from backout.model import NoOptions, Service, Step
from backout.runs.ended import Ended
from backout.steps.verify import VerifyOptions

from .world import Deployer, target

Begin = Callable[..., Deployer]
"""(max_failures, book, what else the world is made with) -> a run that nobody has started."""

HERE = "here"
FAILED = "{}: Bad failed: exit code 1"
PLAN = "invoke plan --target {}"
FORWARD = ["Good", "Bad", "Restart"]
BACK = [*FORWARD, "-Bad", "-Good", "Restart"]
"""What is done on a host, and back alone."""
DEPLOYED, UNCHANGED, BACKED_OUT = ("deployed", 2, ""), ("unchanged", 1, ""), ("backed out", 1, "")
"""The state of a host, the release that it names, and why it is so."""
ALL_PASS = dict.fromkeys(("whole", "well@web1", "well@web2", "well@web3"), "pass")


def say(deployer: Deployer, verb: str = "deploy") -> Ended:
    ended = deployer.say(verb)
    assert ended is not None
    return ended


def on(deployer: Deployer, host: str) -> list[str]:
    """What was done and undone on one machine, in order."""
    words = (each.rsplit(" ", 1) for each in deployer.world.log)
    return [word for word, where in words if where == host]


def told(deployer: Deployer, *kinds: str) -> list[str]:
    return [event.text for event in deployer.told if event.kind in kinds]


def serving(deployer: Deployer) -> Deployer:
    """Every host has a service."""
    service = Service(name="app", backend="pretended", options=NoOptions())
    plain = target(deployer.run, deployer.max_failures)
    deployer.keys["target"] = plain.model_copy(update={"service": service})
    return deployer


def begun(deployer: Deployer, run: str = "") -> list[tuple[str, str]]:
    """The phase and the key of all that has begun, in order, in this run or another one."""
    records = deployer.journal.recall(run or deployer.run)
    return [(each.body["phase"], each.key) for each in records if each.kind == "begin"]


def ends(ended: Ended) -> dict[str, tuple[str, int | None, str]]:
    return {
        host: (str(end.state), end.release.number if end.release else None, end.why)
        for host, end in ended.hosts.items()
    }


def verdicts(ended: Ended) -> dict[str, str]:
    return {finding.key: str(finding.verdict) for finding in ended.findings}


def gate(**keys: Any) -> Step:
    return Step(name="Prove", kind="verify", options=VerifyOptions(), **keys)


def refused(deployer: Deployer) -> Refused:
    """Nothing was done."""
    with pytest.raises(Refused) as caught:
        deployer.say("deploy")
    assert deployer.world.log == []
    assert deployer.journal.releases(deployer.run) == ()
    return caught.value
