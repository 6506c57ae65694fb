"""What is read where something failed, before it is taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from backout.adapters.vault import Vault
from backout.model import Finding, Host, Runbook, Service, Target, Verdict
from backout.runs.evidence import evidence_of, late_evidence

FAILED = Finding("alive", None, Verdict.FAIL)


def worker(**logs: Callable[[int], str]) -> Any:
    """Of hosts whose services have these logs."""
    service = Service(name="api", backend="pm2")
    hosts = {name: Host(name=name, service=service) for name in logs}
    target = Target(name="prod", hosts=hosts)
    plan = SimpleNamespace(
        hosts=tuple(hosts), target=target, runbook=Runbook(name="deploy", steps=())
    )
    restarters = {name: SimpleNamespace(logs=log) for name, log in logs.items()}
    notes: dict[str, Any] = {}
    return SimpleNamespace(
        plan=plan,
        host=hosts.get,
        restarter=restarters.get,
        parts=SimpleNamespace(restarter=restarters.get, vault=Vault({}, Path())),
        noted=notes.get,
        note=notes.__setitem__,
    )


def broken(_: int) -> str:
    raise ValueError("a plug-in's own mistake")


def test_a_log_that_cannot_be_read_for_whatever_reason_keeps_no_other_from_being_told() -> None:
    found = evidence_of(worker(web1=broken, web2=lambda _: "line 25"), [FAILED], ())
    assert found["logs"] == {"web1": "(no log: ValueError)", "web2": "line 25"}


def test_of_what_leaves_sight_at_once_the_log_is_read_once_whoever_goes_on() -> None:
    lines = iter(["line 25", "line 26"])
    run = worker(web1=lambda _: next(lines))
    gone: list[str] = []
    backward = cast(
        "Any", SimpleNamespace(first=lambda: True, out_of_sight=lambda: gone.append("green"))
    )
    wish = {"failed": [FAILED.record()]}
    first = late_evidence(run, backward, wish, ())
    assert late_evidence(run, backward, wish, ()) == first
    assert (first["logs"], gone) == ({"web1": "line 25"}, ["green"] * 2)
