"""The net of a step that cannot be undone: which hosts are looked at, and what does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from backout.model import Check, Finding, Host, Step, Target, Verdict
from backout.runs import nets
from backout.runs.plan import Action, Plan

HOSTS = {
    "web1": Host(name="web1", address="web1", groups=("web",)),
    "db1": Host(name="db1", address="db1", groups=("db",)),
    "db2": Host(name="db2", address="db2", groups=("db",)),
}


@dataclass
class Looks:
    """What each check says where it is looked at."""

    target: Target
    says: Mapping[str, Verdict] = field(default_factory=dict)
    at: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        return cast("Plan", self)

    def look(
        self, names: Sequence[str], hosts: Sequence[str], *, patient: bool = False
    ) -> tuple[Finding, ...]:
        assert patient
        (name,) = names
        self.at.append((name, tuple(hosts)))
        places: Sequence[str | None] = hosts if self.target.checks[name].on else (None,)
        verdict = self.says.get(name, Verdict.PASS)
        return tuple(Finding(name, host, verdict, reason="it is so") for host in places)

    def note(self, name: str, body: Mapping[str, Any]) -> None:
        self.kept.append(name if body["findings"] or not self.at[-1][1] else "")

    def say(self, kind: str, text: str, host: str = "") -> None:
        """Nobody listens."""


def looks(on: str | None = None, **says: Verdict) -> Looks:
    check = Check.model_construct(name="backup", on=on)
    return Looks(
        Target(name="prod", hosts=HOSTS).model_copy(update={"checks": {"backup": check}}), says
    )


def drop(host: str = "", net: tuple[str, ...] = ("backup",)) -> Action:
    step = Step(name="Drop", kind="run", options=None, irreversible="gone", net=net)
    return Action("steps/0", step, host)


def torn(looked: Looks, action: Action) -> str:
    return nets.torn(cast("Any", looked), action)


@pytest.mark.parametrize(
    ("on", "host", "where"),
    [
        (None, "", ()),
        (None, "db1", ()),
        ("db", "db1", ("db1",)),
        ("db", "web1", ("db1", "db2")),
        ("db", "", ("db1", "db2")),
        ("all", "web1", ("web1",)),
    ],
)
def test_it_is_looked_at_on_the_steps_own_host_or_wherever_it_runs(
    on: str | None, host: str, where: tuple[str, ...]
) -> None:
    looked = looks(on)
    assert torn(looked, drop(host)) == ""
    assert looked.at == [("backup", where)]
    assert looked.kept == ["net/steps/0"]


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.PASS])
def test_nothing_but_a_pass_holds(verdict: Verdict) -> None:
    assert torn(looks("db", backup=verdict), drop("db2")) == (
        f"the net of what cannot be undone does not hold: check backup@db2 {verdict}: it is so"
    )


def test_a_check_that_runs_nowhere_holds_nothing() -> None:
    assert torn(looks("nowhere"), drop()) == (
        "the net of what cannot be undone does not hold: check backup looked at nothing"
    )


def test_without_a_net_nothing_is_looked_at() -> None:
    looked = looks()
    assert torn(looked, drop(net=())) == ""
    assert (looked.at, looked.kept) == ([], [])
