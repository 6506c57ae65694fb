"""What a rollback looks at before its first undo, and what must be so where the release that it had
left is there again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backout.errors import Refused
from backout.model import Finding, Host, Identity, Release, Runbook, Service, Target, Verdict
from backout.runs.baseline import Baseline
from backout.runs.setback import Found
from support.clock import ManualClock

HOSTS = ("web1", "web2")
PASS, FAIL, UNKNOWN, AWAY = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR
UP, DOWN, NOT_WELL = (
    Identity(up=True, value="1"),
    Identity(up=False),
    Identity(up=False, value="1", trying=True),
)


@dataclass
class Fleet:
    """Two runs over two hosts: the newer one knows web1 alone, and the older one both."""

    answers: list[dict[str, Verdict]]
    """Check on host -> what is found, look by look."""
    services: dict[str, Identity] = field(default_factory=dict)
    secret: bool = True
    out: tuple[Finding, ...] = ()
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    noted: dict[str, Any] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=ManualClock)

    def examine(
        self, names: Sequence[str], hosts: Any, baseline: Any, release: Any, *, patient: bool
    ) -> tuple[Finding, ...]:
        self.asked.append((tuple(names), hosts, baseline, release, patient))
        rows = (key.split("@") for key in self.answers[0])
        verdicts = self.answers.pop(0).values()
        return tuple(Finding(c, h, v) for (c, h), v in zip(rows, verdicts, strict=True))

    def fetch(self, *_: Any) -> None:
        if not self.secret:
            raise Refused("secret token is not there", next="")

    def found(self) -> Found:
        parts = SimpleNamespace(
            examine=self.examine,
            clock=self.clock,
            restarter=lambda host: SimpleNamespace(identity=lambda: self.services[host]),
            vault=SimpleNamespace(fetch=self.fetch),
        )
        decisions = SimpleNamespace(note=self.noted.__setitem__, noted=self.noted.get)
        ways = [self._way(2, HOSTS[:1], parts), self._way(1, HOSTS, parts)]
        return Found(cast("Any", parts), cast("Any", decisions), cast("Any", ways), HOSTS)

    def _way(self, number: int, hosts: Sequence[str], parts: Any) -> Any:
        known = {name: Host(name=name, address=name) for name in hosts}
        service = Service(name=f"app{number}", backend="pm2") if self.services else None
        target = Target(name="prod", hosts=known, service=service)
        book = Runbook(name="deploy", steps=())
        plan = SimpleNamespace(hosts=hosts, actions=(), target=target, runbook=book)
        worker = SimpleNamespace(
            parts=parts,
            plan=plan,
            host=known.__getitem__,
            release=Release(number),
            baseline=Baseline((Finding("well", "web1", PASS, reason=str(number)),)),
            phase=lambda words, hosts: self.told.append(f"{number}: {words}: {', '.join(hosts)}"),
            say=lambda kind, words: self.told.append(f"{number}: {kind}: {words}"),
        )
        out = [f for f in self.out if f.host in hosts]
        return SimpleNamespace(
            worker=worker,
            plan=plan,
            out=lambda asked: [f for f in out if f.host in asked],
            ill=set(),
        )


def looked(fleet: Fleet) -> Baseline:
    fleet.found().look()
    return Baseline.of(fleet.noted["baseline"])


def test_all_checks_are_looked_at_as_the_newest_run_knows_them() -> None:
    fleet = Fleet([{"well@web1": PASS, "well@web2": FAIL}])
    before = looked(fleet)
    assert [(f.key, f.verdict) for f in before.findings] == [
        ("well@web1", PASS),
        ("well@web2", FAIL),
    ]
    baseline = (Finding("well", "web1", PASS, reason="2"),)
    assert fleet.asked == [((), HOSTS, baseline, Release(2), False)]
    assert fleet.told == ["2: what is there now: web1, web2"]
    assert (before.up, before.well, fleet.found().one_way) == ({}, {}, "")


def test_what_cannot_be_told_is_looked_at_once_more_with_patience() -> None:
    first = {"slow@web1": UNKNOWN, "well@web1": PASS, "lag@web2": UNKNOWN}
    fleet = Fleet([first, {"slow@web1": PASS, "lag@web2": UNKNOWN}])
    before = looked(fleet)
    assert [(names, patient) for names, _, _, _, patient in fleet.asked] == [
        ((), False),
        (("lag", "slow"), True),
    ]
    found = {finding.key: finding.verdict for finding in before.findings}
    assert found == {"slow@web1": PASS, "well@web1": PASS, "lag@web2": UNKNOWN}


def test_what_cannot_be_asked_is_asked_again_for_a_few_seconds() -> None:
    first = {"lag@web1": UNKNOWN, "well@web1": AWAY}
    again = [{"lag@web1": UNKNOWN, "well@web1": AWAY}, {"well@web1": AWAY}, {"well@web1": PASS}]
    fleet = Fleet([first, *again])
    before = looked(fleet)
    assert [names for names, *_ in fleet.asked] == [(), ("lag", "well"), ("well",), ("well",)]
    found = {finding.key: finding.verdict for finding in before.findings}
    assert found == {"lag@web1": UNKNOWN, "well@web1": PASS}
    assert fleet.clock.monotonic() == pytest.approx(3.0)


def test_services_are_asked_by_whichever_run_knows_the_host() -> None:
    before = looked(Fleet([{}], {"web1": UP, "web2": NOT_WELL}))
    assert before.up == {"web1": True, "web2": NOT_WELL.runs}
    assert before.well == {"web1": True, "web2": False}


def test_that_there_is_no_way_forward_is_said_and_on_record_until_there_is_one() -> None:
    fleet = Fleet([{}], secret=False)
    looked(fleet)
    warning = "2: warning: should it not come up, there is no way forward again: "
    assert fleet.told[-1] == f"{warning}secret token is not there"
    assert fleet.found().one_way == "secret token is not there"
    fleet.secret = True
    assert fleet.found().one_way == ""


def test_without_a_look_there_is_no_way_forward() -> None:
    of = Fleet([]).found()
    assert of.one_way == "what was there before is not on record"
    assert of.before == Baseline()


def proved(fleet: Fleet, before: Baseline) -> tuple[tuple[Finding, ...], list[str]]:
    fleet.noted["baseline"] = {**before.record(), "one_way": ""}
    findings, red = fleet.found().proved()
    return findings, [finding.key for finding in red]


def test_what_passed_must_pass_again_and_what_was_red_need_not() -> None:
    rows = (("b", "web1", PASS), ("a", "web1", PASS), ("a", "web2", FAIL), ("c", "web1", FAIL))
    before = Baseline(tuple(Finding(*row) for row in rows))
    fleet = Fleet([{"b@web1": UNKNOWN, "a@web1": PASS, "a@web2": FAIL}])
    findings, red = proved(fleet, before)
    assert (len(findings), red) == (3, ["b@web1"])
    baseline = (Finding("well", "web1", PASS, reason="2"),)
    assert fleet.asked == [(("a", "b"), HOSTS, baseline, Release(2), True)]


def test_what_nobody_could_tell_before_must_not_fail() -> None:
    before = Baseline((Finding("a", "web1", PASS), *(Finding("b", h, AWAY) for h in HOSTS)))
    fleet = Fleet([{"a@web1": FAIL, "b@web1": UNKNOWN, "b@web2": FAIL}])
    _, red = proved(fleet, before)
    assert red == ["a@web1", "b@web2"]
    ill = (Finding("a", "web1", FAIL, reason="500"), Finding("b", "web2", FAIL, reason="500"))
    assert fleet.found().words(ill) == [
        "check a@web1 is red: 500 (it passed before)",
        "check b@web2 is red: 500 (nobody could tell before)",
    ]


def test_where_nothing_passed_nothing_is_asked() -> None:
    fleet = Fleet([])
    assert proved(fleet, Baseline((Finding("a", "web1", FAIL),))) == ((), [])
    assert fleet.asked == []


@pytest.mark.parametrize(
    ("ran", "down"), [((True, True), ["app2@web1", "app1@web2"]), ((False, True), ["app1@web2"])]
)
def test_what_ran_must_run_again(ran: tuple[bool, bool], down: list[str]) -> None:
    fleet = Fleet([], {"web1": DOWN, "web2": DOWN})
    before = Baseline(up=dict(zip(HOSTS, ran, strict=True)))
    assert proved(fleet, before)[1] == [f"service {each}" for each in down]


def test_who_is_not_in_traffic_as_before_is_told_once() -> None:
    out = (Finding("traffic of lb", "web1", FAIL), Finding("traffic of lb", "web2", FAIL))
    assert proved(Fleet([], out=out), Baseline())[1] == ["traffic of lb@web1", "traffic of lb@web2"]
