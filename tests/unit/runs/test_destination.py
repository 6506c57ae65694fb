"""Where a rollback goes back to: whose hosts and checks those are, and who goes together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backout.model import Check, Host, NoOptions, Release, Rollout, Runbook, Step, Target
from backout.runs.destination import Return
from backout.runs.plan import Plan, build

WEB = ("web1", "web2", "web3")


def check(name: str, on: str | None = None) -> Check:
    return Check(name=name, kind="command", options=NoOptions(), on=on, expect=("true",))


def run(
    *steps: tuple[str, str | None],
    hosts: Sequence[str] = WEB,
    checks: Sequence[Check] = (),
    state: str = "~/state",
) -> Plan:
    """One run that did these steps, each on some hosts."""
    target = Target(
        name="prod",
        hosts={name: Host(name=name, address=name, groups=("web",)) for name in hosts},
        checks={each.name: each for each in checks},
        rollout=Rollout(batches=(1, "100%")),
        state=state,
    )
    done = tuple(Step(name=name, kind="run", options=None, on=on) for name, on in steps)
    return build(
        run="r1",
        verb="deploy",
        target=target,
        runbook=Runbook(name="deploy", steps=done),
        params={},
        release=Release(1),
        kinds={},
    )


def back(*undoing: Plan) -> Return:
    return Return("r9", undoing, Release(1))


ALIKE = run(("One", "web"), ("Two", "web"))


def test_hosts_that_are_alike_go_batch_by_batch() -> None:
    assert back(ALIKE).portions == [("web1",), ("web2", "web3")]
    assert back(ALIKE, run(("Zero", "web"))).portions == [("web1",), ("web2", "web3")]


@pytest.mark.parametrize(
    "other",
    [
        run(("One", "web"), ("Alone", "web1")),
        run(("One", "web"), ("Two", "web1"), ("Three", "web2"), ("Four", "web3")),
        run(("One", "web"), ("Here", None), ("Two", "web")),
    ],
)
def test_hosts_of_which_one_may_need_another_go_together(other: Plan) -> None:
    together = [("", *WEB)]
    assert back(other).portions == together
    assert back(ALIKE, other).portions == together
    assert back(other, ALIKE).portions == together


def test_hosts_that_only_an_older_run_knew_go_last() -> None:
    newest = run(("One", "web"), hosts=("web2",))
    assert back(newest, ALIKE).portions == [("web2",), ("web1", "web3")]
    assert back(newest, ALIKE).hosts == ("web2", "web1", "web3")


def test_a_run_that_only_acted_here_keeps_nobody_together() -> None:
    assert back(ALIKE, run(("Here", None))).portions == [("", *WEB)]


def test_hosts_and_checks_are_those_of_the_newest_run_and_what_only_older_ones_knew() -> None:
    older = run(
        ("One", "web"),
        checks=(check("well", "all"), check("old"), check("gone", "db")),
        state="~/older",
    )
    newest = run(("Two", "web"), hosts=("web1",), checks=(check("well"),))
    both = back(newest, older)
    assert set(both.target.hosts) == set(WEB)
    assert both.target.checks == {"well": check("well"), "old": check("old")}
    assert both.homes == {"web1": "~/state", "web2": "~/older", "web3": "~/older"}
