"""The typed API drives a real run, and says how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout import ExitCode, Mistakes, Outcome, Project, Refused, State, Verdict
from backout.errors import BackedOut
from support.yard import Yard


def test_a_deploy_from_python_gives_a_typed_report_and_its_events(yard: Yard) -> None:
    yard.runbook(yard.step("One"))
    before = Path.cwd()
    project = Project(yard.project.directory)
    with project.events(lambda it: it.deploy("prod")) as running:
        seen = [event.step for event in running if event.state == "done"]
    report = running.report()
    assert (report.outcome, report.exit_code, report.ok) == (Outcome.SUCCEEDED, ExitCode.DONE, True)
    assert "One" in seen
    done = {(step.name, step.host): step.state for step in report.steps}
    assert done["One", "here"] is State.DONE
    assert {check.verdict for check in report.checks} == {Verdict.PASS}
    assert report.release
    assert report.hosts["here"].release == report.release
    assert project.show(report.run).outcome is Outcome.SUCCEEDED
    assert project.verify("prod").ok
    assert [run.run for run in project.history("prod")] == [report.run]
    assert Path.cwd() == before


def test_what_would_run_and_what_runs_are_typed_reports(yard: Yard) -> None:
    yard.runbook(yard.step("One"))
    yard.project.inventory("spare", yard.plain())
    project = Project(yard.project.directory)
    plan = project.plan("prod")
    assert [(each.name, each.host, each.irreversible) for each in plan.actions] == [
        ("One", "here", ""),
        ("Prove it", None, ""),
    ]
    assert {check.verdict for check in plan.checks} == {Verdict.PASS}
    report = project.deploy("prod")
    status = project.status("prod")
    assert (status.release, status.known_good, status.differs) == (report.release, True, ())
    assert status.hosts["here"].run == report.run
    assert project.statuses() == (status,)
    assert project.deploy("spare").ok
    assert {each.target for each in project.statuses()} == {"prod", "spare"}
    newest, oldest = project.history()
    assert (newest.target, oldest.target) == ("spare", "prod")
    assert newest.outcome is Outcome.SUCCEEDED
    with pytest.raises(Mistakes, match="nowhere"):
        project.status("nowhere")


def test_a_failed_deploy_is_a_report_and_an_error_for_whoever_wants_one(yard: Yard) -> None:
    yard.runbook(yard.step("One"))
    yard.good_release()
    yard.runbook(yard.step("Two", before="false"))
    report = Project(yard.project.directory).deploy("prod")
    assert report.outcome is Outcome.BACKED_OUT
    assert report.previous
    assert report.hosts["here"].release == report.previous
    with pytest.raises(BackedOut, match="Two failed"):
        report.raise_for_outcome()


def test_mistakes_are_raised_and_nobody_is_asked(yard: Yard) -> None:
    yard.runbook(yard.step("One"))
    project = Project(yard.project.directory)
    with pytest.raises(Mistakes, match="nowhere"):
        project.deploy("nowhere")
    yard.inventory(protected=True)
    refused = project.deploy("prod")
    assert (refused.outcome, refused.exit_code) == (Outcome.REFUSED, ExitCode.REFUSED)
    assert "nobody can be asked" in refused.reason
    assert yard.effects() == {}
    with pytest.raises(Refused, match="no unfinished run"):
        project.resume("prod")
    assert project.deploy("prod", yes=True).ok
