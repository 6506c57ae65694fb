"""The typed API drives a real run, and says how it ended."""

from __future__ import annotations

import inspect
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from backout import Event, ExitCode, Mistakes, Outcome, Project, Refused, State, Verdict
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
    with pytest.raises(Mistakes, match="yes: True or False"):
        project.deploy("prod", yes="no")  # type: ignore[arg-type] # a word is no consent
    assert yard.effects() == {}
    with pytest.raises(Refused, match="no unfinished run"):
        project.resume("prod")
    assert project.deploy("prod", yes=True).ok


def test_a_call_of_another_project_meanwhile_is_refused_and_neither_runs_elsewhere(
    yard: Yard, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "inventories").mkdir(parents=True)
    (other / "inventories" / "prod.yaml").write_text("hosts: {here: {connection: local}}\n")
    where = tmp_path / "where"
    yard.runbook({"name": "Say where", "run": f"pwd > {where}", "undo": f"rm -f {where}"})
    before, refused = Path.cwd(), list[Refused]()

    def beside() -> None:
        try:
            Project(other).status("prod")
        except Refused as error:
            refused.append(error)

    def listen(event: Event) -> None:
        if event.step == "Say where" and not refused:
            thread = threading.Thread(target=beside)
            thread.start()
            thread.join()

    assert Project(yard.project.directory, listen=listen).deploy("prod").ok
    assert [str(yard.project.directory) in each.what for each in refused] == [True]
    assert where.read_text().strip() == str(yard.project.directory)
    assert Path.cwd() == before


def test_the_directory_is_given_back_by_the_last_call_of_a_project(
    yard: Yard, tmp_path: Path
) -> None:
    """One that ends first leaves the others where they are."""
    where, before = tmp_path / "where", Path.cwd()
    yard.runbook({"name": "Say where", "run": f"pwd > {where}", "undo": f"rm -f {where}"})
    deployed, inside, over = list[bool](), threading.Event(), threading.Event()

    def first(_: Event) -> None:
        inside.set()
        over.wait(30)

    def second(event: Event) -> None:
        if event.step == "Say where" and not over.is_set():
            over.set()
            looking.join(30)

    root = yard.project.directory
    looking = threading.Thread(target=lambda: Project(root, listen=first).verify("prod"))
    looking.start()
    assert inside.wait(30)
    deployed.append(Project(root, listen=second).deploy("prod").ok)
    assert deployed == [True]
    assert where.read_text().strip() == str(root)
    assert Path.cwd() == before


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(0)])
def test_a_listener_that_raises_changes_nothing_of_the_run(
    yard: Yard, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(_: Event) -> None:
        raise error

    yard.runbook(yard.step("One"))
    assert Project(yard.project.directory, listen=listen).deploy("prod").ok
    assert "listener" in caplog.text


def test_a_selection_of_hosts_that_has_none_is_not_all_of_them(yard: Yard) -> None:
    yard.runbook(yard.step("One"))
    with pytest.raises(Mistakes, match="none is chosen"):
        Project(yard.project.directory).deploy("prod", hosts=[])


def test_a_directory_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match="No such file"):
        Project(tmp_path / "nowhere").deploy("prod")


@pytest.mark.parametrize("paths", [["a b", "c,d"], ("a b", "c,d"), None])
def test_a_list_of_python_is_the_list_that_the_runbook_gets(
    yard: Yard, tmp_path: Path, paths: object
) -> None:
    said = tmp_path / "said"
    step = {
        "name": "Say",
        "run": f"printf '%s\\n' {{{{ params.paths }}}} > {said}",
        "undo": f"rm -f {said}",
    }
    yard.runbook(step, params={"paths": {"type": "list", "default": ["e"]}})
    assert Project(yard.project.directory).deploy("prod", params={"paths": paths}).ok
    assert said.read_text().splitlines() == (["a b", "c,d"] if paths else ["e"])


def test_a_git_hooks_variables_lead_no_call_to_another_repository(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are there again afterwards, for the hook."""
    for place in (yard.project.directory, tmp_path / "other"):
        subprocess.run(["git", "init", "-q", str(place)], check=True)
    said, hook = tmp_path / "said", str(tmp_path / "other" / ".git")
    yard.runbook(
        {"name": "Say", "run": f"git rev-parse --show-toplevel > {said}", "undo": f"rm -f {said}"}
    )
    monkeypatch.setenv("GIT_DIR", hook)
    assert Project(yard.project.directory).deploy("prod").ok
    assert said.read_text().strip() == str(yard.project.directory)
    assert os.environ["GIT_DIR"] == hook


VERBS = [
    *("__init__", "deploy", "run", "rollback", "resume", "abort", "approve"),
    *("verify", "show", "plan", "status", "history", "events"),
]


@pytest.mark.parametrize("verb", VERBS)
def test_an_argument_of_another_type_is_a_mistake_that_says_what_to_write(
    tmp_path: Path, verb: str
) -> None:
    """Each argument of each verb, also where others are right."""
    known = list(inspect.signature(getattr(Project, verb)).parameters)[1:]
    assert known
    needed = {"run": {"runbook": "deploy"}, "approve": {"run": "r"}}
    needed |= {name: {"target": "prod"} for name in ("rollback", "resume", "abort")}
    for name in known:
        for odd in (object(), b"prod", 5.5, {5: 5}):
            words = needed.get(verb, {}) | {name: odd}
            with pytest.raises(Mistakes, match=f"^{name}: .* is expected, not ") as raised:
                getattr(Project(tmp_path), verb)(**words)
            assert raised.value.next.startswith(f"{name}=")


def test_every_verb_of_python_looks_at_its_arguments() -> None:
    public = [name for name, each in vars(Project).items() if inspect.isfunction(each)]
    takes = [
        name for name in public if len(inspect.signature(getattr(Project, name)).parameters) > 1
    ]
    assert set(VERBS) == {name for name in takes if name == "__init__" or name[0] != "_"}


@pytest.mark.parametrize(
    ("words", "said", "instead"),
    [
        ({"target": 5}, "target: a text or None is expected, not int", "target='5'"),
        (
            {"hosts": "web1"},
            "hosts: a list of texts or None is expected, not str",
            "hosts=['web1']",
        ),
        ({"accept_red": "up"}, "accept_red: a list of texts is expected", "accept_red=['up']"),
        (
            {"params": "x=1"},
            "params: a dict with texts as names or None",
            'params={"NAME": "VALUE"}',
        ),
        (
            {"params": {"x": {"a": 1}}},
            r"params\['x'\]: .* is expected, not dict",
            "params={'x': \"…\"}",
        ),
        ({"params": {"x": [["a"]]}}, "is expected, not list", "params={'x': \"…\"}"),
        ({"params": {"x": b"a"}}, "is expected, not bytes", "params={'x': \"…\"}"),
        ({"params": {"x=1": "2"}}, "'x=1' is no name of a parameter", ""),
        ({"yes": 1}, "yes: True or False is expected, not int", "yes=True, when it is meant"),
    ],
)
def test_what_was_probably_meant_is_said_from_python_too(
    yard: Yard, words: dict[str, Any], said: str, instead: str
) -> None:
    yard.runbook(yard.step("One"), params={"x": {}})
    with pytest.raises(Mistakes, match=said) as raised:
        Project(yard.project.directory).deploy(**{"target": "prod", **words})
    assert raised.value.next == instead
    assert yard.effects() == {}
