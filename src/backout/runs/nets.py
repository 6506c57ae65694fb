"""The net of a step that cannot be undone: the checks that must pass right before it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from backout.model import Finding, Target, Verdict
from backout.runs.plan import Action

if TYPE_CHECKING:
    from backout.runs.worker import Worker

NOTE = "net/"
"""Begins the kind of the record that keeps what was found, before the key of the action."""


def torn(worker: Worker, action: Action) -> str:
    """Why the step must not act: a check of its net does not pass, or nothing was looked at. What
    was found is on record before the step acts. Empty when all of it holds, and without a net."""
    target, net = worker.plan.target, action.step.net
    if not net:
        return ""
    words = f"right before {action.step.name}, which cannot be undone: {', '.join(net)}"
    worker.say("note", words, action.host)
    looks = [worker.look((n,), _where(target, n, action.host), patient=True) for n in net]
    found = [finding for findings in looks for finding in findings]
    rows = [{**finding.record(), "excerpt": finding.excerpt} for finding in found]
    worker.note(f"{NOTE}{action.key}", {"findings": rows})
    reasons = [*_red(found), *_unseen(net, {finding.check for finding in found})]
    return (
        f"the net of what cannot be undone does not hold: {'; '.join(reasons)}" if reasons else ""
    )


def _where(target: Target, name: str, host: str) -> tuple[str, ...]:
    """The step's own host, where the check runs on it; else every one that it runs on."""
    on = [each.name for each in target.select(target.checks[name].on or "")]
    return (host,) if host in on else tuple(on)


def _red(found: Sequence[Finding]) -> list[str]:
    bad = (f for f in found if f.verdict is not Verdict.PASS)
    return [f"check {f.key} {f.verdict}: {f.reason}" for f in bad]


def _unseen(net: Sequence[str], seen: Collection[str]) -> list[str]:
    return [f"check {name} looked at nothing" for name in net if name not in seen]
