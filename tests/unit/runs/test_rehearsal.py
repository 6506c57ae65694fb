"""Where a rehearsal fails on purpose. Every point is the runbook, cut there."""

from __future__ import annotations

import pytest

from backout.model import Host, NoOptions, Rollout, Runbook, Step, Target
from backout.runs.rehearsal import WHOLE, no_return, points, strict
from backout.steps.run import RunOptions


def step(name: str, on: str | None = None, irreversible: str | None = None) -> Step:
    return Step(name=name, kind="do", options=NoOptions(), on=on, irreversible=irreversible)


def book(*steps: Step) -> Runbook:
    settle = Step(name="Prove", kind="verify", options=NoOptions())
    return Runbook(name="deploy", steps=steps, settle=(settle,))


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ((), []),
        ((step("Commit"),), ["Commit"]),
        ((step("Commit"), step("Update", "web")), ["Commit", "Update", WHOLE]),
        ((step("Update", "web"), step("Announce")), ["Update", "Announce"]),
        ((step("Drop it", irreversible="gone"), step("Update", "web")), []),
    ],
)
def test_it_fails_after_each_step_and_at_the_very_end(
    steps: tuple[Step, ...], names: list[str]
) -> None:
    assert [point.name for point in points(book(*steps), RunOptions)] == names


def test_what_fails_stands_behind_what_was_done_where_that_was_done() -> None:
    first, second, third = points(book(step("Commit"), step("Update", "web")), RunOptions)
    for point, done, on in ((first, 1, None), (second, 2, "web"), (third, 2, None)):
        *before, failing = point.runbook.steps
        assert [each.name for each in before] == ["Commit", "Update"][:done]
        assert (failing.name, failing.on, failing.readonly) == (point.fails, on, True)
        assert point.runbook.settle == book().settle, "the way back is the runbook's own"
        assert "exit 1" in failing.options.script


def test_beyond_a_step_that_cannot_be_undone_nothing_is_rehearsed() -> None:
    steps = (step("Commit"), step("Drop it", irreversible="gone"), step("Update", "web"))
    assert [point.name for point in points(book(*steps), RunOptions)] == ["Commit"]
    assert [each.name for each in no_return(book(*steps))] == ["Drop it", "Update"]
    assert no_return(book(step("Commit"))) == ()


def test_the_first_host_that_fails_ends_it_and_nobody_is_asked_for_a_name() -> None:
    hosts = {"web1": Host(name="web1")}
    target = Target(name="prod", hosts=hosts, protected=True, rollout=Rollout(max_failures=3))
    taken = strict(target)
    assert (taken.rollout.max_failures, taken.protected) == (0, False)
    assert (target.rollout.max_failures, target.protected) == (3, True)
